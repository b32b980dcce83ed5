"""What the flows share: where the suite is, what they were given and got, and how they tell."""

import json
import os
import secrets
import sys
import time

import requests

AUTH = os.environ["CROSSPOINT_AUTH"]
STREAMS = os.environ["CROSSPOINT_STREAMS"]
OWNER = os.environ["CROSSPOINT_OWNER_KEY"]
EDGE = int(os.environ["CROSSPOINT_EDGE_PORT"])
# The libraries refuse to speak without TLS, which ends at the load balancer.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

# Nobody listens there: the flows read the redirect and do not follow it.
REDIRECT = "http://127.0.0.1:9/callback"

_checked = []
_secrets = {OWNER}


def check(fact, *what):
    """The flow fails unless this is so; the words say what was seen."""
    assert fact, " ".join(str(word) for word in what)


def did(what):
    _checked.append(what)


def secret(*texts):
    """Remembers what must be in no log; returns the first."""
    _secrets.update(text for text in texts if text)
    return texts[0]


def finish():
    """Must be the flow's last word: the test waits for it."""
    print(json.dumps({"checked": _checked, "secrets": sorted(_secrets)}), flush=True)


def refused(error, call):
    """The OAuth2 error with which the library reports that the call was refused."""
    try:
        answer = call()
    except Exception as exception:  # Each library has its own class; all of them carry the code.
        code = getattr(exception, "error", None)
        check(code == error, f"refused with {code!r}, not {error!r}:", repr(exception))
        return exception
    raise AssertionError(f"not refused with {error}: {answer}")


def api(method, path, body=None, token=OWNER, base=AUTH, status=None):
    """One request to a REST API with a bearer credential."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.request(method, base + path, json=body, headers=headers, timeout=30, allow_redirects=False)
    if status is not None:
        check(answer.status_code == status, method, path, answer.status_code, answer.text)
    return answer


def uses(token):
    """The status with which another service answers who holds this token."""
    return api("GET", "/v1/streams", token=token, base=STREAMS).status_code


def eventually(what, condition, within=15):
    deadline = time.monotonic() + within
    while not condition():
        check(time.monotonic() < deadline, "not in time:", what)
        time.sleep(0.02)


def make_client(**more):
    """A registered OAuth2 client."""
    body = {"name": "a standard client", "scope": "streams:read radio:read", **more}
    client = api("POST", "/v1/oauth2/clients", body, status=201).json()
    secret(client.get("client_secret"))
    return client


def make_user(role):
    """A user who is that in the default channel and can sign in, with the password that goes with it."""
    password = secret(secrets.token_urlsafe(18))
    email = f"{secrets.token_hex(6)}@example.com"
    body = {"email": email, "password": password, "name": "Ada", "roles": [{"channel": "default", "role": role}]}
    user = api("POST", "/v1/auth/users", body, status=201).json()
    return {**user, "email": email, "password": password}


def metadata():
    return requests.get(AUTH + "/.well-known/oauth-authorization-server", timeout=30).json()


def keep(token):
    """Remembers the secrets of a token answer, and checks its form (RFC 6749, section 5.1)."""
    check(token["token_type"].lower() == "bearer", token)
    check(isinstance(token["expires_in"], int) and token["expires_in"] > 0, token)
    secret(token["access_token"], token.get("refresh_token"))
    return token


def run(flow):
    """Runs the flow, and shows how it failed if it does."""
    flow()
    check(_checked, "the flow checked nothing")
    finish()
    sys.exit(0)
