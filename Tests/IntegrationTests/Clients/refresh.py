"""RFC 6749, section 6, with rotation and reuse detection (RFC 9700, section 4.14)."""

from concurrent.futures import ThreadPoolExecutor

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

from browser import Browser
from crosspoint import (AUTH, REDIRECT, check, did, eventually, keep, make_client, make_user, refused, run, secret,
                        uses)

AUTHORIZE, TOKEN = AUTH + "/oauth2/authorize", AUTH + "/oauth2/token"


def signed_in(client, user, scope="streams:read radio:read"):
    session = OAuth2Session(
        client["client_id"], client["client_secret"], redirect_uri=REDIRECT, scope=scope,
        code_challenge_method="S256")
    verifier = secret(generate_token(48))
    url, state = session.create_authorization_url(AUTHORIZE, code_verifier=verifier)
    location = Browser(user["email"], user["password"]).authorize(url)
    return session, keep(
        session.fetch_token(TOKEN, authorization_response=location, state=state, code_verifier=verifier))


def flow():
    user = make_user(role="admin")
    both = ["authorization_code", "refresh_token"]
    client = make_client(redirect_uris=[REDIRECT], grants=both)
    session, first = signed_in(client, user)
    _, untouched = signed_in(client, user)

    tokens = [first]
    for _ in range(3):
        tokens.append(keep(session.refresh_token(TOKEN, refresh_token=tokens[-1]["refresh_token"])))
        check(uses(tokens[-1]["access_token"]) == 200, "the new access token does not work")
    check(len({token["refresh_token"] for token in tokens}) == len(tokens), "a refresh token came twice")
    check(len({token["access_token"] for token in tokens}) == len(tokens), "an access token came twice")
    did("rotation")

    narrow = keep(session.refresh_token(TOKEN, refresh_token=tokens[-1]["refresh_token"], scope="radio:read"))
    check(narrow["scope"] == "radio:read" and uses(narrow["access_token"]) == 403, narrow["scope"])
    # What is refused is not used up.
    refused("invalid_scope", lambda: session.refresh_token(
        TOKEN, refresh_token=narrow["refresh_token"], scope="streams:read auth:admin"))
    last = keep(session.refresh_token(TOKEN, refresh_token=narrow["refresh_token"], scope="streams:read radio:read"))
    did("scope")

    # Another client's, also one that knows the token.
    thief = make_client(redirect_uris=[REDIRECT], grants=both)
    stolen = OAuth2Session(thief["client_id"], thief["client_secret"])
    refused("invalid_grant", lambda: stolen.refresh_token(TOKEN, refresh_token=untouched["refresh_token"]))
    refused("invalid_grant", lambda: session.refresh_token(TOKEN, refresh_token=first["refresh_token"]))
    # The family is dead: the newest refresh token, and the access tokens on live services.
    refused("invalid_grant", lambda: session.refresh_token(TOKEN, refresh_token=last["refresh_token"]))
    eventually("the family's access tokens end", lambda: uses(last["access_token"]) == 401)
    did("reuse ends the family")

    # Another sign-in of the same user with the same client is another family.
    kept = keep(session.refresh_token(TOKEN, refresh_token=untouched["refresh_token"]))
    check(uses(kept["access_token"]) == 200, "another family ended too")
    did("and no other")

    # Of many at once one wins; the others are reuse.
    _, raced = signed_in(client, user)
    form = {"grant_type": "refresh_token", "refresh_token": raced["refresh_token"]}
    one = lambda _: requests.post(
        TOKEN, data=form, auth=(client["client_id"], client["client_secret"]), timeout=30)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    check(statuses == [200] + [400] * 7, statuses)
    won = [answer.json() for answer in answers if answer.status_code == 200][0]
    keep(won)
    refused("invalid_grant", lambda: session.refresh_token(TOKEN, refresh_token=won["refresh_token"]))
    did("a race has one winner")


run(flow)
