"""RFC 6749, section 4.4, with authlib and requests-oauthlib: opaque and JWT access tokens."""

from authlib.integrations.requests_client import OAuth2Session
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session as RequestsOAuth2Session

from crosspoint import AUTH, STREAMS, api, check, did, keep, make_client, refused, run, uses

TOKEN = AUTH + "/oauth2/token"


def flow():
    for form in ("opaque", "jwt"):
        client = make_client(token_format=form)
        for method in ("client_secret_basic", "client_secret_post"):
            session = OAuth2Session(
                client["client_id"], client["client_secret"], token_endpoint_auth_method=method, scope="streams:read")
            token = keep(session.fetch_token(TOKEN, grant_type="client_credentials"))
            check(token["access_token"].count(".") == (2 if form == "jwt" else 0), form, token["access_token"])
            check(token["scope"] == "streams:read", token["scope"])
            # RFC 6749, section 4.4.3: a client that can ask again needs no refresh token.
            check("refresh_token" not in token, "a refresh token for a client's own credentials")
            check(session.get(STREAMS + "/v1/streams").status_code == 200, "the token does not open a service")
            did(f"authlib, {method}, {form}")

        other = RequestsOAuth2Session(client=BackendApplicationClient(client["client_id"], scope=["radio:read"]))
        token = keep(other.fetch_token(TOKEN, client_id=client["client_id"], client_secret=client["client_secret"]))
        check(set(token["scope"]) == {"radio:read"}, token)
        check(uses(token["access_token"]) == 403, "opens what it has no scope for")
        did(f"requests-oauthlib, {form}")

        wrong = OAuth2Session(client["client_id"], client["client_secret"] + "0")
        refused("invalid_client", lambda: wrong.fetch_token(TOKEN, grant_type="client_credentials"))
        wider = OAuth2Session(client["client_id"], client["client_secret"], scope="auth:admin")
        refused("invalid_scope", lambda: wider.fetch_token(TOKEN, grant_type="client_credentials"))
        did(f"refused, {form}")

        api("DELETE", f"/v1/oauth2/clients/{client['client_id']}", status=204)
        refused("invalid_client", lambda: session.fetch_token(TOKEN, grant_type="client_credentials"))
        did(f"a revoked client, {form}")


run(flow)
