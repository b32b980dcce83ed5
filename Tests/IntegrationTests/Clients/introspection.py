"""RFC 7662, with authlib."""

import time

import requests
from authlib.integrations.requests_client import OAuth2Session

from crosspoint import AUTH, api, check, did, keep, make_client, metadata, run, secret

TOKEN, INTROSPECT = AUTH + "/oauth2/token", AUTH + "/oauth2/introspect"


def flow():
    for form in ("opaque", "jwt"):
        client = make_client(token_format=form)
        session = OAuth2Session(client["client_id"], client["client_secret"], scope="streams:read")
        token = keep(session.fetch_token(TOKEN, grant_type="client_credentials"))["access_token"]
        for hint in (None, "access_token", "refresh_token"):
            answer = session.introspect_token(INTROSPECT, token=token, token_type_hint=hint)
            check(answer.status_code == 200, answer.status_code, answer.text)
            check("no-store" in answer.headers["Cache-Control"], answer.headers)
            fact = answer.json()
            check(fact["active"] is True, hint, fact)
            check(fact["scope"] == "streams:read" and fact["client_id"] == client["client_id"], fact)
            check(fact["sub"] == client["client_id"], fact)
            check(fact.get("token_type", "Bearer") == "Bearer", fact)
            check(fact["iat"] <= time.time() + 1 < fact["exp"], fact)
            check(fact.get("iss", metadata()["issuer"]) == metadata()["issuer"], fact)
        did(f"active, {form}")

        # RFC 7662, section 2.2: no more than this of what is not active.
        for unknown in ("nonsense", token[:-1], token + "0", "xpat_" + "0" * 64, "a.b.c", "xp_" + "1" * 64):
            fact = session.introspect_token(INTROSPECT, token=unknown).json()
            check(fact == {"active": False}, fact)
        did(f"not active, {form}")

        # Section 4: not for whoever asks, or tokens can be scanned for.
        for auth in (None, (client["client_id"], "wrong")):
            answer = requests.post(INTROSPECT, data={"token": token}, auth=auth, timeout=30)
            check(answer.status_code == 401 and answer.json()["error"] == "invalid_client", answer.text)
            check("WWW-Authenticate" in answer.headers, answer.headers)
        stranger = make_client(tenant="elsewhere")
        other = OAuth2Session(stranger["client_id"], stranger["client_secret"])
        check(other.introspect_token(INTROSPECT, token=token).json() == {"active": False}, "another tenant sees it")
        did(f"not for strangers, {form}")

        api("DELETE", f"/v1/oauth2/clients/{client['client_id']}", status=204)
        peer = make_client()
        session = OAuth2Session(peer["client_id"], peer["client_secret"])
        check(session.introspect_token(INTROSPECT, token=token).json() == {"active": False}, "outlives its client")
        did(f"revoked, {form}")
    secret(token)


run(flow)
