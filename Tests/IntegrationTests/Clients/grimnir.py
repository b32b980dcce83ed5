"""Grimnir's sign-in and refresh, as its own clients do it: plain JSON, tokens for its event socket."""

import asyncio

import jwt
import requests
import websockets

from crosspoint import AUTH, EDGE, check, did, make_user, metadata, run, secret

LOGIN, REFRESH = AUTH + "/api/v1/auth/login", AUTH + "/api/v1/auth/refresh"


def send(url, body, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(url, json=body, headers=headers, timeout=30)


def good(answer):
    check(answer.status_code == 200, answer.status_code, answer.text)
    check("no-store" in answer.headers.get("Cache-Control", ""), answer.headers)
    token = answer.json()
    check(token["token_type"] == "Bearer" and token["expires_in"] == 900, token)
    secret(token["access_token"], token["refresh_token"])
    return token


def bad(answer, status=401):
    check(answer.status_code == status, answer.status_code, answer.text)
    check(isinstance(answer.json()["error"], str) and answer.json()["error"], answer.text)


def verified(token):
    key = jwt.PyJWKClient(AUTH + "/.well-known/jwks.json").get_signing_key_from_jwt(token)
    return jwt.decode(token, key.key, algorithms=["ES256"], audience="crosspoint", issuer=metadata()["issuer"])


async def listens(token):
    uri = f"ws://127.0.0.1:{EDGE + 3}/api/v1/events?types=now_playing"
    async with websockets.connect(uri, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        await socket.ping()


def flow():
    user = make_user(role="dj")
    credentials = {"email": user["email"], "password": user["password"]}
    first = good(send(LOGIN, credentials))
    claims = verified(first["access_token"])
    check(claims["uid"] == claims["sub"] == user["id"], claims)
    check("dj" in claims["roles"], claims)
    # Both are whole seconds, which may make one more.
    check(0 < claims["exp"] - claims["iat"] <= 901, claims)
    asyncio.run(listens(first["access_token"]))
    did("login")

    # The e-mail's case is not the user's to remember.
    good(send(LOGIN, {**credentials, "email": user["email"].upper()}))
    unknown = send(LOGIN, {"email": "nobody@example.com", "password": user["password"]})
    wrong = send(LOGIN, {**credentials, "password": secret("not " + user["password"])})
    bad(wrong)
    bad(unknown)
    # Whether there is such a user cannot be read from the answer.
    check(wrong.json() == unknown.json(), wrong.text, unknown.text)
    did("refused")

    second = good(send(REFRESH, {"refresh_token": first["refresh_token"]}))
    check(second["refresh_token"] != first["refresh_token"], "not rotated")
    asyncio.run(listens(second["access_token"]))
    # A still valid access token does it too, as the original has it.
    third = good(send(REFRESH, None, token=second["access_token"]))
    check(verified(third["access_token"])["uid"] == user["id"], "another user")
    did("refresh")

    bad(send(REFRESH, {"refresh_token": first["refresh_token"]}))
    bad(send(REFRESH, {"refresh_token": second["refresh_token"]}))
    bad(send(REFRESH, {"refresh_token": third["refresh_token"]}))
    bad(send(REFRESH, None, token=second["access_token"]))
    good(send(LOGIN, credentials))
    did("reuse ends the family")


run(flow)
