"""Access tokens verified from the JWKS by joserfc and by PyJWT, also after the signing key was rotated."""

import jwt
import requests
from joserfc import jwt as jose
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from crosspoint import AUTH, api, check, did, eventually, metadata, run, secret, uses

JWKS = AUTH + "/.well-known/jwks.json"
AUDIENCE = "crosspoint"


def make(**more):
    body = {"type": "jwt", "scope": "streams:read", "ttl_seconds": 600, **more}
    return secret(api("POST", "/v1/tokens", body, status=201).json()["token"])


def by_joserfc(token, keys, audience=AUDIENCE, issuer=None):
    token = jose.decode(token, keys, algorithms=["ES256"])
    jose.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer or metadata()["issuer"]},
        aud={"essential": True, "value": audience}, exp={"essential": True}, iat={"essential": True},
        sub={"essential": True}, jti={"essential": True}).validate(token.claims)
    return token.header, token.claims


def by_pyjwt(token, audience=AUDIENCE, issuer=None):
    # Each time anew: nothing is remembered from before a rotation.
    key = jwt.PyJWKClient(JWKS).get_signing_key_from_jwt(token)
    return jwt.decode(
        token, key.key, algorithms=["ES256"], audience=audience, issuer=issuer or metadata()["issuer"],
        options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]})


def fetch():
    return KeySet.import_key_set(requests.get(JWKS, timeout=30).json())


def both(token):
    header, claims = by_joserfc(token, fetch())
    check(claims == by_pyjwt(token), "they read different claims")
    # RFC 9068, section 2.1.
    check(header["typ"].lower() == "at+jwt" and header["alg"] == "ES256" and header["kid"], header)
    return header, claims


def fails(exception, call):
    try:
        call()
    except exception:
        return
    raise AssertionError("was not refused")


def flow():
    before = make()
    header, claims = both(before)
    check(claims["scope"] == "streams:read" and claims["tenant"] == "default", claims)
    check(590 <= claims["exp"] - claims["iat"] <= 610, claims)
    did("both libraries")

    for audience, issuer in (("elsewhere", None), (AUDIENCE, "https://issuer.example")):
        fails(JoseError, lambda: by_joserfc(before, fetch(), audience, issuer))
        fails(jwt.InvalidTokenError, lambda: by_pyjwt(before, audience, issuer))
    signed, signature = before.rsplit(".", 1)
    forged = f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    fails(JoseError, lambda: by_joserfc(forged, fetch()))
    fails(jwt.InvalidTokenError, lambda: by_pyjwt(forged))
    did("pinned")

    made = api("POST", "/v1/auth/signing-keys", status=201).json()["kid"]
    check(made != header["kid"] and made in {key["kid"] for key in requests.get(JWKS, timeout=30).json()["keys"]}, made)
    # Others learn a key before it signs.
    eventually("the new key signs", lambda: jwt.get_unverified_header(make())["kid"] == made, within=60)
    after = make()
    new, _ = both(after)
    check(new["kid"] == made, "signed with the old key")
    old, _ = both(before)
    check(old["kid"] == header["kid"], "the old key left the JWKS with a token alive")
    check(uses(before) == 200 and uses(after) == 200, "another service knows only one of them")
    did("after a rotation")

    api("DELETE", f"/v1/auth/signing-keys/{header['kid']}", status=204)
    kids = {key["kid"] for key in requests.get(JWKS, timeout=30).json()["keys"]}
    check(header["kid"] not in kids and new["kid"] in kids, kids)
    fails(Exception, lambda: both(before))
    both(after)
    did("after a revocation of the old key")


run(flow)
