"""RFC 7009, with authlib: access tokens of both forms, refresh tokens, and what is not one's own."""

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

from browser import Browser
from crosspoint import (AUTH, REDIRECT, check, did, eventually, keep, make_client, make_user, refused, run, secret,
                        uses)

AUTHORIZE, TOKEN = AUTH + "/oauth2/authorize", AUTH + "/oauth2/token"
INTROSPECT, REVOKE = AUTH + "/oauth2/introspect", AUTH + "/oauth2/revoke"


def is_active(session, token):
    return session.introspect_token(INTROSPECT, token=token).json()["active"]


def flow():
    for form in ("opaque", "jwt"):
        client = make_client(token_format=form)
        session = OAuth2Session(client["client_id"], client["client_secret"], scope="streams:read")
        fetch = lambda: keep(session.fetch_token(TOKEN, grant_type="client_credentials"))["access_token"]
        for hint in (None, "access_token", "refresh_token", "nonsense"):
            token, kept = fetch(), fetch()
            check(uses(token) == 200 and uses(kept) == 200, "they do not work before")
            answer = session.revoke_token(REVOKE, token=token, token_type_hint=hint)
            check(answer.status_code == 200, hint, answer.status_code, answer.text)
            check(not is_active(session, token), "still active")
            eventually("another service refuses it", lambda: uses(token) == 401)
            check(is_active(session, kept) and uses(kept) == 200, "another one ended too")
        did(f"access tokens, {form}")

        # Section 2.2: what is not valid anyway is no error.
        for unknown in ("nonsense", token, "xpat_" + "0" * 64, "a.b.c"):
            check(session.revoke_token(REVOKE, token=unknown).status_code == 200, unknown)
        did(f"unknown tokens, {form}")

        # Section 2.1: another client's is refused; with which word is not said, but it lives on.
        other = make_client()
        stranger = OAuth2Session(other["client_id"], other["client_secret"])
        check(stranger.revoke_token(REVOKE, token=kept).status_code in (200, 400, 403), "a strange answer")
        check(is_active(session, kept) and uses(kept) == 200, "a stranger ended it")
        answer = requests.post(REVOKE, data={"token": kept}, auth=(client["client_id"], "wrong"), timeout=30)
        check(answer.status_code == 401 and answer.json()["error"] == "invalid_client", answer.text)
        check(is_active(session, kept), "ended without the client's secret")
        did(f"strangers, {form}")

    user = make_user(role="admin")
    client = make_client(redirect_uris=[REDIRECT], grants=["authorization_code", "refresh_token"])
    session = OAuth2Session(
        client["client_id"], client["client_secret"], redirect_uri=REDIRECT, scope="streams:read",
        code_challenge_method="S256")
    verifier = secret(generate_token(48))
    url, state = session.create_authorization_url(AUTHORIZE, code_verifier=verifier)
    location = Browser(user["email"], user["password"]).authorize(url)
    token = keep(session.fetch_token(TOKEN, authorization_response=location, state=state, code_verifier=verifier))
    check(uses(token["access_token"]) == 200, "it does not work before")
    answer = session.revoke_token(REVOKE, token=token["refresh_token"], token_type_hint="refresh_token")
    check(answer.status_code == 200, answer.text)
    refused("invalid_grant", lambda: session.refresh_token(TOKEN, refresh_token=token["refresh_token"]))
    # Section 2.1: the access tokens of the same grant should end with it.
    eventually("the grant's access token ends", lambda: uses(token["access_token"]) == 401)
    did("a refresh token and its grant")


run(flow)
