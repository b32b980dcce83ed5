"""RFC 8414, checked by authlib's own validator, and each endpoint that it names."""

import requests
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

from crosspoint import AUTH, check, did, run


def flow():
    url = get_well_known_url(AUTH, external=True)
    check(url == AUTH + "/.well-known/oauth-authorization-server", url)
    answer = requests.get(url, timeout=30)
    check(answer.status_code == 200, answer.status_code, answer.text)
    check(answer.headers["Content-Type"].startswith("application/json"), answer.headers)
    fact = AuthorizationServerMetadata(answer.json())
    fact.validate()
    # Section 3.3: a client that looked here must find this.
    check(fact["issuer"] == AUTH, fact["issuer"])
    did("metadata")

    check(fact["response_types_supported"] == ["code"], fact["response_types_supported"])
    check(fact["code_challenge_methods_supported"] == ["S256"], fact["code_challenge_methods_supported"])
    check(set(fact["grant_types_supported"]) == {"authorization_code", "client_credentials", "refresh_token"},
          fact["grant_types_supported"])
    check({"client_secret_basic", "client_secret_post"} <= set(fact["token_endpoint_auth_methods_supported"]), fact)
    check(fact["authorization_response_iss_parameter_supported"] is True, "RFC 9207")
    check(fact.get("response_modes_supported", ["query"]) == ["query"], fact)
    check("streams:read" in fact.get("scopes_supported", ["streams:read"]), fact)
    did("what it supports")

    for name in ("authorization", "token", "introspection", "revocation"):
        endpoint = fact[f"{name}_endpoint"]
        check(endpoint.startswith(AUTH + "/"), endpoint)
        answer = requests.post(endpoint, data={}, timeout=30, allow_redirects=False)
        check(400 <= answer.status_code < 500 and answer.status_code not in (404, 405), endpoint, answer.status_code)
    keys = requests.get(fact["jwks_uri"], timeout=30)
    check(keys.status_code == 200 and keys.json()["keys"], keys.text)
    # RFC 7517: nothing of a private key.
    check(all(set(key) <= {"kty", "crv", "x", "y", "alg", "use", "kid", "key_ops"} for key in keys.json()["keys"]),
          "too much in the JWKS")
    did("endpoints")


run(flow)
