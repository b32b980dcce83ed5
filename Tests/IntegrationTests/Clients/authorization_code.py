"""RFC 6749, section 4.1, and RFC 7636 with S256, through the real pages, with authlib and requests-oauthlib."""

from urllib.parse import parse_qs, urlsplit

import jwt
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from requests_oauthlib import OAuth2Session as RequestsOAuth2Session

from browser import Browser
from crosspoint import (AUTH, REDIRECT, STREAMS, check, did, keep, make_client, make_user, metadata, refused, run,
                        secret, uses)

AUTHORIZE, TOKEN = AUTH + "/oauth2/authorize", AUTH + "/oauth2/token"


def clients():
    both = ["authorization_code", "refresh_token"]
    confidential = make_client(redirect_uris=[REDIRECT], grants=both, token_format="jwt")
    public = make_client(redirect_uris=[REDIRECT], grants=both, type="public")
    check("client_secret" not in public, "a public client has a secret")
    return {"confidential": confidential, "public": public}


def with_authlib(client, user, browser):
    """The session after the flow, the token answer, and what was sent for it."""
    method = "client_secret_basic" if client.get("client_secret") else "none"
    session = OAuth2Session(
        client["client_id"], client.get("client_secret"), redirect_uri=REDIRECT, scope="streams:read",
        code_challenge_method="S256", token_endpoint_auth_method=method)
    verifier = secret(generate_token(48))
    url, state = session.create_authorization_url(AUTHORIZE, code_verifier=verifier)
    location = browser.authorize(url)
    query = parse_qs(urlsplit(location).query)
    check(query["state"] == [state], "another state")
    # RFC 9207: who answers, so that a client of several servers can tell.
    check(query["iss"] == [metadata()["issuer"]], query.get("iss"))
    token = keep(session.fetch_token(TOKEN, authorization_response=location, state=state, code_verifier=verifier))
    check(token["scope"] == "streams:read", token)
    check(session.get(STREAMS + "/v1/streams").status_code == 200, "the token does not open a service")
    if client.get("client_secret"):
        claims = jwt.decode(token["access_token"], options={"verify_signature": False})
        check(claims["sub"] == user["id"] and claims["client_id"] == client["client_id"], claims)
    return session, token, (location, state, verifier)


def flow():
    user = make_user(role="admin")
    for kind, client in clients().items():
        browser = Browser(user["email"], user["password"])
        session, token, sent = with_authlib(client, user, browser)
        check((browser.logins, browser.consents) == (1, 1), "pages:", browser.logins, browser.consents)
        check(token["refresh_token"] not in (None, token["access_token"]), "no refresh token")
        did(f"authlib, {kind}")

        # RFC 6749, section 4.1.2: a code counts once, and what a copied one brought ends.
        location, state, verifier = sent
        again = lambda: session.fetch_token(
            TOKEN, authorization_response=location, state=state, code_verifier=verifier)
        refused("invalid_grant", again)
        check(uses(token["access_token"]) in (200, 401), "a strange answer")
        refused("invalid_grant", lambda: session.refresh_token(TOKEN, refresh_token=token["refresh_token"]))
        did(f"a code is good once, {kind}")

        # Signed in already: at most the consent is asked for.
        other = RequestsOAuth2Session(client["client_id"], redirect_uri=REDIRECT, scope=["streams:read"], pkce="S256")
        url, _ = other.authorization_url(AUTHORIZE)
        location = browser.authorize(url)
        check(browser.logins == 1, "asked for the password again")
        options = {"client_secret": client["client_secret"]} if client.get("client_secret") else {
            "include_client_id": True}
        keep(other.fetch_token(TOKEN, authorization_response=location, **options))
        check(other.get(STREAMS + "/v1/streams").status_code == 200, "the token does not open a service")
        did(f"requests-oauthlib, {kind}")

        session = OAuth2Session(
            client["client_id"], redirect_uri=REDIRECT, scope="streams:read", code_challenge_method="S256")
        url, state = session.create_authorization_url(AUTHORIZE, code_verifier=generate_token(48))
        denied = parse_qs(urlsplit(Browser(user["email"], user["password"]).authorize(url, allow=False)).query)
        check(denied["error"] == ["access_denied"] and denied["state"] == [state], denied)
        check("code" not in denied, "a code for a no")
        did(f"denied, {kind}")


run(flow)
