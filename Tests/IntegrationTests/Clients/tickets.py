"""One-time tickets in the connect URL of every dialect, with the websockets library."""

import asyncio
import time

import websockets

from crosspoint import EDGE, api, check, did, run, secret
from dialects import subscribe, works

# Dialect: port above the first, path before the ticket, and how a bad one is refused: HTTP's status or the CLOSE's code.
# Astro's URL has no place for a credential: there the ticket is the token of a subscription.
DIALECTS = {
    "source-saver": (0, "/?token=", 401), "astro": (1, "/#", "err_unauthorized"),
    "wave": (2, "/v1/streams?api_key=", 4401), "grimnir": (3, "/api/v1/events?types=now_playing&token=", 401),
    "airys": (4, "/v1/stream?token=", 4401),
}


def make(token):
    answer = api("POST", "/v1/tickets", token=token, status=201)
    ticket = answer.json()
    check(ticket["ticket"].startswith("xptk_") and ticket["expires_in"] == 30, ticket)
    check("no-store" in answer.headers["Cache-Control"], answer.headers)
    return secret(ticket["ticket"])


def connect(dialect, ticket):
    port, path, _ = DIALECTS[dialect]
    place = path.removesuffix("#") if path.endswith("#") else path + ticket
    return websockets.connect(f"ws://127.0.0.1:{EDGE + port}{place}", open_timeout=20)


async def refusal(dialect, ticket):
    """The HTTP status, the close code, or Astro's error."""
    try:
        async with connect(dialect, ticket) as socket:
            if dialect == "astro":
                return await subscribe(socket, ticket, "oauth2")
            async with asyncio.timeout(20):
                while True:
                    await socket.recv()
    except websockets.InvalidStatus as exception:
        return exception.response.status_code
    except websockets.ConnectionClosed as exception:
        return exception.rcvd.code if exception.rcvd else 1006


async def sockets():
    token = secret(api("POST", "/v1/tokens", {"type": "apikey", "scope": "*"}, status=201).json()["token"])
    # A ticket opens a socket and nothing else.
    ticket = make(token)
    check(api("GET", "/v1/auth/keys", token=ticket).status_code == 401, "a ticket as a bearer credential")
    check(api("POST", "/v1/tickets", token=ticket).status_code == 401, "a ticket for a ticket")
    did("not a bearer credential")

    for dialect, (_, _, code) in DIALECTS.items():
        ticket = make(token)
        async with connect(dialect, ticket) as socket:
            await works(dialect, socket, ticket, "oauth2")
            check(await refusal(dialect, ticket) == code, dialect, "took a ticket twice")
            # Nor is it good in another dialect.
            check(await refusal("grimnir", ticket) == 401, dialect, "took a ticket twice, elsewhere")
        did(dialect)

    # Six clients, one ticket. More wrong ones in all, and their address would have to wait.
    ticket = make(token)
    answers = await asyncio.gather(*(one(ticket) for _ in range(6)))
    check(sorted(map(str, answers)) == ["401"] * 5 + ["open"], answers)
    did("a race has one winner")

    ticket, made = make(token), time.monotonic()
    await asyncio.sleep(max(0, made + 31 - time.monotonic()))
    check(await refusal("grimnir", ticket) == 401, "good for more than 30 s")
    did("expires")


async def one(ticket):
    try:
        async with connect("grimnir", ticket) as socket:
            await (await socket.ping())
            return "open"
    except websockets.InvalidStatus as exception:
        return exception.response.status_code


run(lambda: asyncio.run(sockets()))
