"""What the libraries tell their users of each refusal and each close code."""

import asyncio
import contextlib
import dataclasses
import inspect
import json
import secrets

import cases
import edge

registry = []
LANGUAGES = ("python", "node", "go")


@dataclasses.dataclass(frozen=True)
class Question:
    """One thing that each library is asked."""

    title: str
    ask: object
    arguments: tuple
    languages: tuple
    drains: bool


def question(rows=((),), languages=LANGUAGES, drains=False):
    """Registers `async def ask(probe, …)`; a row's values are its parameters, and fill the docstring's first line."""
    def register(ask):
        names = list(inspect.signature(ask).parameters)[1:]
        for row in rows:
            title = inspect.getdoc(ask).splitlines()[0].format(**dict(zip(names, row)))
            registry.append(Question(title, ask, row, languages, drains))
        return ask
    return register


class Probe:
    """A library that is asked one thing."""

    def __init__(self, stage, group, secure, lonely, drain=None):
        self.stage, self.group, self.secure, self.drain = stage, group, secure, drain
        # Starts, or finds, a gateway that has no auth.
        self.lonely = lonely
        self.tenant = f"probe-{secrets.token_hex(6)}"
        # Source Saver's clients need no credential from this machine; limits of others are counted by address.
        self.address = cases.address(10)
        self._programs, self._sockets = [], []

    async def start(self, dialect, path="/", gateway=0, authority=None, headers={}, url=None, **task):
        """Starts the probe, which sends its messages at once or after one with the text `after`."""
        if url is None:
            url = f"ws://127.0.0.1:{await self.stage.reach(dialect, gateway)}{path}"
        # A client of this machine has no proxy.
        forwarded = {} if dialect == "source-saver" else {"X-Forwarded-For": self.address}
        task |= {"url": url, "headers": forwarded | headers}
        program = await self.group.start_probe(json.dumps(task), authority)
        self._programs.append(program)
        return program

    async def told(self, program, timeout=60):
        """The last thing that it says: `refused`, `closed` or `failed`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    for line in program.printed.splitlines():
                        said = json.loads(line)
                        if said.keys() & {"refused", "closed", "failed"}:
                            return said
                    assert not program.has_ended, f"it ended, and said {program.printed!r}"
                    await asyncio.sleep(0.05)
        raise AssertionError(f"neither refused nor closed; it said {program.printed[-2000:]!r}")

    async def refusal(self, status, dialect, path="/", **task):
        """Asserts that it is refused with this status; returns the answer's headers and body."""
        said = await self.told(await self.start(dialect, path, **task))
        assert said.get("refused") == status, f"not refused with {status}: {said}"
        return {name.lower(): value for name, value in said["headers"].items()}, said["body"]

    async def close(self, code, reason, dialect, path="/", **task):
        """Asserts that it is told this close code and reason."""
        await self.closed(code, reason, await self.start(dialect, path, **task))

    async def closed(self, code, reason, program):
        """The same of a probe that runs."""
        said = await self.told(program)
        assert (said.get("closed"), said.get("reason")) == (code, reason), f"not closed with {code} {reason!r}: {said}"

    async def end(self):
        """Ends what it started."""
        for program in self._programs:
            await program.stop()
        for socket in self._sockets:
            await socket.drop()

    async def crowd(self, count, dialect, path):
        """Others who take up places."""
        port = await self.stage.reach(dialect)
        for _ in range(count):
            self._sockets.append(await edge.Socket.open(port, path, address=self.address))
        for socket in self._sockets:
            await socket.echo()

    # Credentials

    async def token(self, type="jwt", **more):
        """One of this probe's tenant."""
        return await self.stage.token(type, self.tenant, **more)

    async def paths(self):
        """Each dialect with a path on which a credential lets in."""
        token = await self.token()
        return {"source-saver": "/", "astro": "/", "wave": f"/v1/streams?api_key={token}",
                "grimnir": f"/api/v1/events?token={token}", "airys": f"/v1/stream?token={token}"}


# Refusals


@question()
async def grimnir_without_a_token(probe):
    """401 of Grimnir without a token, with WWW-Authenticate"""
    headers, body = await probe.refusal(401, "grimnir", "/api/v1/events")
    assert headers["www-authenticate"] == "Bearer" and json.loads(body)["error"] == "unauthorized", (headers, body)


@question()
async def grimnir_with_a_wrong_token(probe):
    """401 of Grimnir with a wrong token in a header"""
    await probe.refusal(401, "grimnir", "/api/v1/events", headers={"Authorization": "Bearer a.b.c"})


@question()
async def source_saver_with_a_wrong_token(probe):
    """401 of Source Saver with a wrong token"""
    await probe.refusal(401, "source-saver", "/?token=wrong")


@question([(dialect,) for dialect in ("source-saver", "astro", "wave", "grimnir", "airys")])
async def unknown_path(probe, dialect):
    """404 of {dialect} for an unknown path"""
    await probe.refusal(404, dialect, "/nowhere")


# gorilla refuses to send another version, websockets has no way to ask for one.
@question(languages=("node",))
async def another_version(probe):
    """426 for version 8 of the protocol, with the version that is spoken"""
    headers, _ = await probe.refusal(426, "source-saver", version=8)
    assert headers["sec-websocket-version"] == "13", headers


@question()
async def too_many_connections_of_an_address_to_astro(probe):
    """429 of Astro for an address that comes too often, with Retry-After 2"""
    headers, _ = await probe.refusal(429, "astro", times=400)
    assert headers["retry-after"] == "2", headers


@question()
async def too_many_attempts_of_an_address_at_grimnir(probe):
    """429 of Grimnir for the 101st attempt of an address within a minute, with Retry-After"""
    path = (await probe.paths())["grimnir"]
    program = await probe.start("grimnir", path, times=101)
    said = await probe.told(program)
    assert said.get("refused") == 429 and program.printed.count("opened") == 100, program.printed[-300:]
    headers = {name.lower(): value for name, value in said["headers"].items()}
    assert int(headers["retry-after"]) > 0 and json.loads(said["body"])["error"] == "rate_limited", said


@question([("astro", 502), ("source-saver", 503), ("wave", 503), ("grimnir", 503), ("airys", 503)], drains=True)
async def draining(probe, dialect, status):
    """{status} of {dialect} while the gateway drains"""
    path = (await probe.paths())[dialect]
    await probe.drain.leave()
    await probe.refusal(status, dialect, path, gateway=probe.drain.first)


# Close codes


@question([(dialect,) for dialect in ("source-saver", "astro", "wave", "grimnir", "airys")])
async def normal(probe, dialect):
    """1000 of {dialect} when the client closes with it"""
    await probe.close(1000, "", dialect, (await probe.paths())[dialect], close=1000)


@question([("source-saver",), ("wave",), ("grimnir",), ("astro",)], drains=True)
async def going_away(probe, dialect):
    """1001 of {dialect} from a gateway that drains"""
    program = await probe.start(dialect, (await probe.paths())[dialect], gateway=probe.drain.first)
    await program.prints("opened")
    await probe.drain.leave()
    await probe.closed(1001, "going away", program)


@question(drains=True)
async def dropped(probe):
    """1006 of airys from a gateway that drains"""
    program = await probe.start("airys", (await probe.paths())["airys"], gateway=probe.drain.first)
    await program.prints("auth_success")
    await probe.drain.leave()
    said = await probe.told(program)
    # gorilla has the library's own words as its reason.
    assert said.get("closed") == 1006 and "restarting" in program.printed, program.printed


@question([("source-saver",), ("airys",)])
async def binary(probe, dialect):
    """1003 of {dialect} for a binary message"""
    await probe.close(1003, "text frames only", dialect, (await probe.paths())[dialect], send=[{"binary": 10}])


@question()
async def wrong_reconnect_token(probe):
    """1008 of Astro for a wrong reconnect token"""
    await probe.close(1008, "invalid reconnect token", "astro", "/?reconnect_token=wrong")


@question([("source-saver", "/?token="), ("grimnir", "/api/v1/events?token=")])
async def expired(probe, dialect, path):
    """1008 of {dialect} when the token expires"""
    await probe.close(1008, "token expired", dialect, path + await probe.token(ttl=3))


@question([
    ("source-saver", "/?token=", 1008, "token revoked"), ("grimnir", "/api/v1/events?token=", 1008, "token revoked"),
    ("wave", "/v1/streams?api_key=", 4401, "Invalid Auth"),
    ("airys", "/v1/stream?token=", 4401, "authentication failed"),
])
async def revoked(probe, dialect, path, code, reason):
    """{code} of {dialect} when the token is revoked"""
    credential = await probe.stage.credential("jwt", probe.tenant)
    program = await probe.start(dialect, path + credential["token"])
    await program.prints("opened")
    answer = await probe.stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=probe.stage.owner)
    assert answer.status == 204, answer
    await probe.closed(code, reason, program)


@question()
async def abuse(probe):
    """1008 of Source Saver for more than 200 messages after its rate limit"""
    await probe.close(1008, "too many messages", "source-saver", send=[{"text": '{"action":"ping"}', "times": 400}])


@question([("source-saver", 65537), ("astro", 65537), ("wave", 65537), ("grimnir", 4097), ("airys", 1048577)])
async def too_big(probe, dialect, size):
    """1009 of {dialect} for a message of {size} bytes"""
    await probe.close(1009, "message too big", dialect, (await probe.paths())[dialect], send=[{"long": size}])


@question([("wave", "/v1/streams?api_key=wrong", "Invalid Auth"),
           ("airys", "/v1/stream?token=wrong", "authentication failed")])
async def wrong_credential(probe, dialect, path, reason):
    """4401 of {dialect} for a wrong credential"""
    await probe.close(4401, reason, dialect, path)


@question()
async def wrong_airys_message(probe):
    """4401 of airys for a wrong token in its first message"""
    message = '{"type":"auth","token":"wrong"}'
    await probe.close(4401, "authentication failed", "airys", "/v1/stream", send=[{"text": message}])


@question()
async def wave_too_fast(probe):
    """4429 of WAVE for more messages than the plan's burst of 120"""
    key = await probe.token("apikey", tier="free")
    await probe.close(4429, "Rate Limited", "wave", f"/v1/streams?api_key={key}",
                      send=[{"text": '{"type":"unsubscribe","stream_id":"stream_1"}', "times": 140}])


@question()
async def airys_too_fast(probe):
    """4429 of Airys for the third overflow within a minute"""
    ping = {"text": '{"type":"ping"}'}
    seconds = [ping | {"times": 260}] + 4 * [ping | {"pause": 1.2, "times": 160}]
    await probe.close(4429, "rate limited", "airys", (await probe.paths())["airys"], send=seconds, after="auth_success")


@question([("wave", 50, "Rate Limited"), ("airys", 100, "connection limit")])
async def too_many_connections(probe, dialect, most, reason):
    """4429 of {dialect} for one connection more than {most}"""
    key = await probe.token("apikey", tier="free")
    path = {"wave": f"/v1/streams?api_key={key}", "airys": f"/v1/stream?token={key}"}[dialect]
    await probe.crowd(most, dialect, path)
    await probe.close(4429, reason, dialect, path)


# Without auth a gateway cannot judge what it has not seen before.


@question([("source-saver", "/?token="), ("grimnir", "/api/v1/events?token=")])
async def unjudged(probe, dialect, path):
    """503 of {dialect} for an API key while auth is away"""
    await probe.refusal(503, dialect, path + await probe.token("apikey"), gateway=await probe.lonely())


@question([("wave", "/v1/streams?api_key=", "Server Error"), ("airys", "/v1/stream?token=", "internal error")])
async def unjudged_after_the_upgrade(probe, dialect, path, reason):
    """4500 of {dialect} for an API key while auth is away"""
    await probe.close(4500, reason, dialect, path + await probe.token("apikey"), gateway=await probe.lonely())


# TLS


@question()
async def untrusted(probe):
    """no connection with TLS to a certificate that it does not trust"""
    url = await probe.secure.origin("source-saver", 0)
    said = await probe.told(await probe.start("source-saver", url=url))
    assert "certificate" in said.get("failed", "").lower(), said


@question()
async def trusted(probe):
    """401 and 4401 over TLS, to a certificate that it trusts"""
    authority = probe.secure.authority
    url = f"{await probe.secure.origin('grimnir', 0)}/api/v1/events"
    await probe.refusal(401, "grimnir", url=url, authority=authority)
    url = f"{await probe.secure.origin('wave', 0)}/v1/streams?api_key=wrong"
    await probe.close(4401, "Invalid Auth", "wave", url=url, authority=authority)
