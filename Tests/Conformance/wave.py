"""WAVE's dialect, clause by clause: docs/dialects/wave.md."""

import asyncio
import contextlib
import datetime
import json
import re
import secrets
import signal
import statistics
import time

import edge
from cases import address, case
from stage import halted

PATH = "/v1/streams"
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
OWN = ["analytics.update", "chat.message", "reaction.received", "stream.ended", "stream.health", "stream.started",
       "viewer.joined", "viewer.left"]
SCOPES = {name: "analytics:read" if name.startswith(("viewer", "analytics")) else "streams:read" for name in OWN}
REPLIES = {"ping", "pong", "error", "subscribed", "unsubscribed"}
GONE = object()


# What every message is


def check(message):
    """Asserts what section 2 says of a message of any type; returns the message."""
    assert isinstance(message, dict), f"not an object: {message!r}"
    assert {"type", "payload"} <= set(message) <= {"type", "payload", "id", "timestamp"}, f"wrong fields: {message}"
    assert isinstance(message["type"], str) and isinstance(message["payload"], dict), f"ill-typed: {message}"
    assert ULID.fullmatch(message.get("id", "0" * 26)), f"id is no ULID: {message}"
    if message["type"] == "error":
        payload = message["payload"]
        assert set(payload) == {"code", "message", "details"}, f"wrong fields: {message}"
        assert isinstance(payload["code"], str) and isinstance(payload["message"], str), f"ill-typed: {message}"
        assert isinstance(payload["details"], dict), f"details is no object: {message}"
    return message


def is_event(message):
    return message["type"] not in REPLIES


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_moment(text):
    """Whether it is an ISO 8601 moment of the last seconds."""
    if not isinstance(text, str) or not ISO.fullmatch(text):
        return False
    return abs(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - time.time()) < 20


# What a client does


async def connect(me, key=None, **options):
    """An open socket; with a key of all rights unless one is given."""
    return await me.open("wave", f"{PATH}?api_key={key or await me.token()}", **options)


async def ask(socket, message, reply, timeout=10):
    """Sends a message and returns the payload of its reply, or of an error; events before it are passed over."""
    await socket.send(message)
    answer = check(await socket.until(lambda each: each["type"] in (reply, "error"), timeout))
    return answer["payload"] if answer["type"] == reply else answer


async def subscribe(socket, stream, events=None):
    """Subscribes; returns the full set that the reply names, sorted."""
    message = {"type": "subscribe", "stream_id": stream} | ({} if events is None else {"events": events})
    payload = await ask(socket, message, "subscribed")
    assert set(payload) == {"stream_id", "events"} and payload["stream_id"] == stream, f"not subscribed: {payload}"
    return sorted(payload["events"])


async def unsubscribe(socket, stream):
    """Unsubscribes."""
    payload = await ask(socket, {"type": "unsubscribe", "stream_id": stream}, "unsubscribed")
    assert payload == {"stream_id": stream}, f"not unsubscribed: {payload}"


async def fails(socket, message, code):
    """Asserts that a message is answered with this error; returns its details."""
    await socket.send(message)
    answer = check(await socket.until(lambda each: not is_event(each)))
    assert answer["type"] == "error" and answer["payload"]["code"] == code, f"{code} is due, not {answer}"
    if isinstance(message, dict) and isinstance(message.get("type"), str):
        assert answer["payload"]["details"].get("request_type") == message["type"], f"no request_type: {answer}"
    return answer["payload"]["details"]


async def works(socket):
    """Asserts that the connection is open and answers."""
    await unsubscribe(socket, "stream_nothing")


async def next_event(socket, type=None, timeout=10):
    """The next event's payload; anything else before it is a failure."""
    message = check(await socket.next(timeout))
    assert is_event(message) and type in (None, message["type"]), f"{type or 'an event'} is due, not {message}"
    return message["payload"]


async def answers(socket):
    """All that was sent in answer to what was sent so far."""
    await socket.echo()
    return [check(message) for message in await socket.drained()]


async def turned_away(me, socket, code, reason, error):
    """Asserts that nothing but one error comes, and then the close."""
    message = check(await socket.next())
    assert message["type"] == "error" and message["payload"]["code"] == error, f"{error} is due, not {message}"
    try:
        message = await socket.next()
    except edge.Closed as closed:
        assert (closed.code, closed.reason) == (code, reason), closed
    else:
        raise AssertionError(f"after the error: {message}")
    return message


def burst(messages):
    """Text frames, one after the other in the same bytes."""
    return b"".join(edge.frame_bytes(edge.TEXT, json.dumps(each).encode()) for each in messages)


# What happens to streams


class Stream:
    """A stream of a tenant, and a credential that may change it."""

    def __init__(self, stage, id, tenant, token):
        self.stage, self.id, self.tenant, self.token = stage, id, tenant, token

    @classmethod
    async def make(cls, stage, tenant, live=True, protocol="webrtc"):
        token = await stage.token(tenant=tenant, scope="streams:write streams:read")
        answer = await stage.rest("POST", "stream-metrics", PATH, {"title": "T", "protocol": protocol}, token)
        assert answer.status == 201, answer
        stream = cls(stage, answer.json["id"], tenant, token)
        if live:
            await stream.start_before_all()
        return stream

    async def start_before_all(self):
        """Starts; returns when both replicas have heard of it, so that it reaches nobody who subscribes from now on."""
        sockets = [
            await edge.Socket.open(await self.stage.reach("wave", gateway), f"{PATH}?api_key={self.token}",
                                   address=address(10))
            for gateway in (0, 1)]
        try:
            for socket in sockets:
                await subscribe(socket, self.id, ["stream.started"])
            await self.start()
            for socket in sockets:
                await next_event(socket, "stream.started")
        finally:
            for socket in sockets:
                await socket.drop()

    async def start(self):
        return await self._post("start", 200)

    async def stop(self):
        return await self._post("stop", 200)

    async def joined(self, **viewer):
        """Somebody begins to watch; the viewer's id."""
        return (await self._post("viewers", 201, viewer))["viewer_id"]

    async def left(self, viewer):
        path = f"{PATH}/{self.id}/viewers/{viewer}"
        answer = await self.stage.rest("DELETE", "stream-metrics", path, token=self.token)
        assert answer.status == 204, answer

    async def lines(self):
        """The stored chat, newest first."""
        answer = await self.stage.rest("GET", "stream-metrics", f"{PATH}/{self.id}/chat", token=self.token)
        assert answer.status == 200, answer
        return answer.json["data"]

    async def _post(self, action, status, body=None):
        answer = await self.stage.rest("POST", "stream-metrics", f"{PATH}/{self.id}/{action}", body, self.token)
        assert answer.status == status, f"{action}: {answer}"
        return answer.json


def chat(stream, message):
    return {"type": "chat.message", "stream_id": stream.id, "message": message}


def reaction(stream, emoji):
    return {"type": "reaction.sent", "stream_id": stream.id, "reaction": emoji}


# 1. Endpoint and handshake


@case("wave", "1 URL", "README#2 •2")
async def path_on_every_listener(stage, me):
    """/v1/streams with an upgrade is WAVE's socket on every listener and behind HAProxy."""
    key = await me.token()
    for dialect in ("source-saver", "astro", "wave", "grimnir", "airys"):
        await works(await me.open(dialect, f"{PATH}?api_key={key}"))
    await works(await me.open("wave", f"{PATH}?api_key={key}", gateway="haproxy"))
    await works(await me.open("wave", f"{PATH}?x=1&api_key={key}&y=2"))


@case("wave", "1 URL", "README#2 •1", "README#2 •3")
async def root(stage, me):
    """`/` on WAVE's own listener is WAVE's, and no other listener's `/`."""
    key = await me.token()
    await works(await me.open("wave", f"/?api_key={key}"))
    await turned_away(me, await me.open("wave", "/"), 4401, "Invalid Auth", "AUTHENTICATION_REQUIRED")
    socket = await me.open("astro", f"/?api_key={key}")
    assert (await socket.next())["type"] == "welcome"


@case("wave", "1 URL", "README#2 •5")
@case.table(["/v1/streams/", "/v1/streams/stream_1", "/v1", "/V1/streams", "/streams"])
async def other_paths(stage, me, path):
    """An upgrade of another path ({path}) is 404."""
    assert (await me.refused("wave", f"{path}?api_key={await me.token()}")).status == 404


@case("wave", "1 URL", "README#2 •2", "README#2 •5")
async def rest_at_the_same_path(stage, me):
    """Without an upgrade /v1/streams is the REST collection behind HAProxy; a gateway by itself answers 426."""
    stream = await Stream.make(stage, me.tenant)
    headers = {"Authorization": f"Bearer {stream.token}"}
    answer = await me.http("wave", "GET", PATH, headers, gateway="haproxy")
    assert answer.status == 200 and [each["id"] for each in answer.json["data"]] == [stream.id], answer
    assert (await me.http("wave", "GET", PATH, headers)).status == 426


@case("wave", "1 Key")
@case.table([
    (kind, place) for kind in ("apikey", "jwt", "oauth2") for place in ("query", "Authorization", "X-API-Key")])
async def places_of_the_key(stage, me, kind, place):
    """A credential of kind {kind} is taken from the {place}."""
    key, stream = await me.token(kind), await Stream.make(stage, me.tenant)
    if place == "query":
        socket = await me.open("wave", f"{PATH}?api_key={key}")
    else:
        socket = await me.open("wave", PATH, {place: f"Bearer {key}" if place == "Authorization" else key})
    assert await subscribe(socket, stream.id) == OWN


@case("wave", "1 Key format")
@case.table([("wave", "wave_live_"), ("wave_test", "wave_test_")])
async def key_format(stage, me, kind, prefix):
    """A key of kind {kind} begins with {prefix} and opens."""
    body = {"name": "K", "scopes": ["streams:read"], "tenant": me.tenant, "kind": kind, "tier": "pro"}
    answer = await stage.rest("POST", "auth", "/v1/auth/keys", body, stage.owner)
    assert answer.status == 201 and answer.json["key"].startswith(prefix), answer
    await works(await connect(me, answer.json["key"]))


async def useless_key(stage, me, fault):
    """The path and headers of a client without a good key."""
    if fault == "expired":
        key = await me.token("apikey", ttl=1)
        await asyncio.sleep(2.5)
    elif fault == "an expired token":
        key = await me.token("jwt", ttl=1)
        await asyncio.sleep(2.5)
    elif fault == "revoked":
        credential = await stage.credential("apikey", me.tenant)
        answer = await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
        assert answer.status == 204, answer
        key = credential["token"]
    else:
        key = {"unknown": f"wave_live_{secrets.token_hex(32)}", "nonsense": "x", "empty": "", "missing": None,
               "altered": (await me.token("apikey"))[:-1] + "_"}[fault]
    return PATH if key is None else f"{PATH}?api_key={key}"


@case("wave", "1 Bad/missing/expired/revoked key", "5 AUTHENTICATION_REQUIRED", "8 4401", "5 ¶1", "README#1 Auth")
@case.table(["missing", "empty", "nonsense", "unknown", "altered", "expired", "revoked", "an expired token"])
async def bad_key(stage, me, fault):
    """With a key that is {fault} the upgrade is completed, one AUTHENTICATION_REQUIRED is sent, and 4401 closes."""
    socket = await me.open("wave", await useless_key(stage, me, fault))
    await turned_away(me, socket, 4401, "Invalid Auth", "AUTHENTICATION_REQUIRED")


@case("wave", "1 Bad/missing/expired/revoked key", "5 AUTHENTICATION_REQUIRED", "8 4401")
async def bad_key_in_header(stage, me):
    """A bad key in a header is treated like one in the query."""
    for headers in ({"Authorization": "Bearer wave_live_x"}, {"X-API-Key": "wave_live_x"}):
        socket = await me.open("wave", PATH, headers)
        await turned_away(me, socket, 4401, "Invalid Auth", "AUTHENTICATION_REQUIRED")


@case("wave", "1 Bad/missing/expired/revoked key", "8 4401", "README#7 all (5)")
@case.table(["jwt", "apikey", "oauth2"])
async def key_expires(stage, me, kind):
    """When a credential of kind {kind} ends, the connection that it opened is closed with 4401."""
    socket = await connect(me, await me.token(kind, ttl=3))
    await works(socket)
    await me.gone(socket, 4401, "Invalid Auth")


@case("wave", "1 Bad/missing/expired/revoked key", "8 4401", "README#7 all (5)")
@case.table(["jwt", "apikey", "oauth2"])
async def key_revoked(stage, me, kind):
    """When a credential of kind {kind} is revoked, its connections on both replicas are closed with 4401."""
    credential = await stage.credential(kind, me.tenant)
    sockets = [await connect(me, credential["token"], gateway=gateway) for gateway in (0, 1)]
    for socket in sockets:
        await works(socket)
    answer = await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
    assert answer.status == 204, answer
    for socket in sockets:
        await me.gone(socket, 4401, "Invalid Auth")


@case("wave", "1 Server failure", "8 4500", "5 SERVICE_UNAVAILABLE / TIMEOUT / INTERNAL_ERROR", alone=True)
async def auth_away(stage, me):
    """While nobody can say whose key it is, an error is sent and 4500 closes; afterwards the key opens."""
    key = await me.token("apikey")
    with halted("auth"):
        socket = await connect(me, key)
        message = check(await socket.next(20))
        assert message["type"] == "error", message
        assert message["payload"]["code"] in ("SERVICE_UNAVAILABLE", "TIMEOUT", "INTERNAL_ERROR"), message
        await me.gone(socket, 4500, "Server Error")
    async with asyncio.timeout(30):
        while True:
            socket = await connect(me, key)
            with contextlib.suppress(edge.Closed, AssertionError):
                return await works(socket)
            await asyncio.sleep(0.5)


@case("wave", "1 Frames", "5 VALIDATION_ERROR")
async def binary_frames(stage, me):
    """A binary message is VALIDATION_ERROR, and the connection goes on."""
    socket = await connect(me)
    for _ in range(2):
        await socket.send(json.dumps({"type": "ping"}).encode())
        answer = check(await socket.next())
        assert answer["type"] == "error" and answer["payload"]["code"] == "VALIDATION_ERROR", answer
        assert {"field", "reason"} <= set(answer["payload"]["details"]), answer
    await works(socket)


@case("wave", "1 Inbound size", "8 ¶1", "README#1 Max inbound msg")
@case.table([("one frame", 1), ("four frames", 4)])
async def inbound_size(stage, me, what, parts):
    """A message of 64 KiB in {what} is taken, one of a byte more closes with 1009."""
    for size, is_taken in ((65_536, True), (65_537, False)):
        socket = await connect(me)
        text = json.dumps({"type": "unsubscribe", "stream_id": "big"}).encode().ljust(size)
        step = -(-size // parts)
        pieces = [text[at:at + step] for at in range(0, size, step)]
        for number, piece in enumerate(pieces):
            opcode = edge.TEXT if number == 0 else edge.CONTINUATION
            await socket.frame(opcode, piece, fin=number == len(pieces) - 1)
        if is_taken:
            assert check(await socket.next()) == {"type": "unsubscribed", "payload": {"stream_id": "big"}}
        else:
            await me.gone(socket, 1009)


@case("wave", "1 Greeting", "README#1 Greeting")
async def no_greeting(stage, me):
    """Nothing is sent to a client that says nothing."""
    socket = await connect(me)
    await works(socket)
    await socket.silence(1)
    assert [frame[0] for frame in socket.frames] == [edge.TEXT], socket.frames


@case("wave", "1 Frames", "README#3 •1")
async def one_text_frame_each(stage, me):
    """Every message of the server is one unfragmented text frame."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    await subscribe(socket, stream.id)
    await socket.send(chat(stream, "ü" * 1000))
    await next_event(socket, "chat.message")
    await ask(socket, {"type": "ping"}, "pong")
    assert [(opcode, fin) for opcode, fin, _ in socket.frames] == [(edge.TEXT, True)] * 3, socket.frames


# 2. Envelopes


@case("wave", "2 ¶2", "2 ¶1")
async def flat_and_wrapped(stage, me):
    """Fields are read at the top level and in `payload`; where both have one, the top level wins."""
    one, two = await Stream.make(stage, me.tenant), await Stream.make(stage, me.tenant)
    socket = await connect(me)
    wrapped = {"type": "subscribe", "payload": {"stream_id": one.id, "events": ["chat.message"]}}
    assert await ask(socket, wrapped, "subscribed") == {"stream_id": one.id, "events": ["chat.message"]}
    mixed = {"type": "subscribe", "stream_id": two.id, "payload": {"stream_id": one.id, "events": ["chat.message"]}}
    assert await ask(socket, mixed, "subscribed") == {"stream_id": two.id, "events": ["chat.message"]}
    both = chat(one, "top") | {"payload": {"stream_id": two.id, "message": "wrapped"}}
    await socket.send(both)
    payload = await next_event(socket, "chat.message")
    assert (payload["stream_id"], payload["message"]) == (one.id, "top"), payload
    await socket.send({"type": "chat.message", "payload": {"stream_id": two.id, "message": "wrapped"}})
    payload = await next_event(socket, "chat.message")
    assert (payload["stream_id"], payload["message"]) == (two.id, "wrapped"), payload
    assert await ask(socket, {"type": "ping", "payload": {"timestamp": 7}}, "pong") == {"timestamp": 7}
    assert await ask(socket, {"type": "ping", "timestamp": 8, "payload": {"timestamp": 7}}, "pong") == {"timestamp": 8}


@case("wave", "2 ¶1", "9 ¶1", "README#6 •6", "README#3 •5")
async def one_id_everywhere(stage, me):
    """One event is the same message, with the same id, on every connection of both replicas."""
    stream, key = await Stream.make(stage, me.tenant), await me.token()
    sockets = [await connect(me, key, gateway=gateway) for gateway in (0, 0, 1, 1)]
    for socket in sockets:
        await subscribe(socket, stream.id)
    ids = set()
    for text in ("one", "two"):
        await sockets[0].send(chat(stream, text))
        heard = [check(await socket.next()) for socket in sockets]
        assert all(message == heard[0] for message in heard), heard
        assert heard[0]["payload"]["message"] == text
        ids.add(heard[0].get("id"))
    assert len(ids) == 2 or ids == {None}, ids


# 3. Client to server


@case("wave", "3 subscribe", "4 subscribed / unsubscribed", "4 ¶1")
async def union(stage, me):
    """A subscribe adds to what was asked for before; the reply names the full set, each event once."""
    stream, socket = await Stream.make(stage, me.tenant, live=False), await connect(me)
    assert await subscribe(socket, stream.id, ["chat.message"]) == ["chat.message"]
    assert await subscribe(socket, stream.id, ["stream.started", "chat.message"]) == ["chat.message", "stream.started"]
    assert await subscribe(socket, stream.id, ["stream.started"] * 3) == ["chat.message", "stream.started"]
    await stream.start()
    assert (await next_event(socket, "stream.started"))["stream_id"] == stream.id
    await socket.send(chat(stream, "hi"))
    await next_event(socket, "chat.message")
    await stream.joined()
    assert await answers(socket) == []


@case("wave", "3 subscribe", "README#6 •3")
@case.table([("without events", None), ("with an empty list of events", [])])
async def all_events(stage, me, what, events):
    """A subscribe {what} means all eight events, also after one with some."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    assert await subscribe(socket, stream.id, events) == OWN
    other = await Stream.make(stage, me.tenant)
    await subscribe(socket, other.id, ["chat.message"])
    assert await subscribe(socket, other.id, events) == OWN


@case("wave", "3 unsubscribe", "4 subscribed / unsubscribed", "9 ¶1")
async def unsubscribed(stage, me):
    """An unsubscribe drops the whole stream and no other; not subscribed, the reply is the same."""
    one, two = await Stream.make(stage, me.tenant), await Stream.make(stage, me.tenant)
    socket, control = await connect(me), await connect(me)
    for stream in (one, two):
        await subscribe(socket, stream.id)
    await subscribe(control, one.id)
    await unsubscribe(socket, one.id)
    await control.send(chat(one, "not for you"))
    await next_event(control, "chat.message")
    await control.send(chat(two, "for you"))
    assert (await next_event(socket))["message"] == "for you"
    await unsubscribe(socket, one.id)
    await unsubscribe(socket, "stream_nothing")
    assert await subscribe(socket, one.id, ["stream.ended"]) == ["stream.ended"]


@case("wave", "3 chat.message", "4 chat.message", "9 ¶1", "README#4 Chat message")
async def chat_to_everybody(stage, me):
    """A line is stored and broadcast, with what the server assigns, to all who listen, also to its sender."""
    stream = await Stream.make(stage, me.tenant)
    keys = [await me.token("apikey", name=name) for name in ("Ann", "Bob")]
    ann, bob = await connect(me, keys[0]), await connect(me, keys[1], gateway=1)
    deaf = await connect(me, keys[1], gateway=1)
    for socket in (ann, bob):
        await subscribe(socket, stream.id, ["chat.message"])
    await subscribe(deaf, stream.id, ["stream.ended"])
    forged = {"user_id": "u", "username": "Eve", "message_id": "m", "timestamp": "2000-01-01T00:00:00Z"}
    await ann.send(chat(stream, "hi 😀 \"\\\n") | forged)
    line, same = await next_event(ann, "chat.message"), await next_event(bob, "chat.message")
    assert line == same and line in await stream.lines()
    assert set(line) == {"stream_id", "message_id", "user_id", "username", "message", "timestamp"}, line
    assert line["stream_id"] == stream.id and line["message"] == "hi 😀 \"\\\n" and is_moment(line["timestamp"]), line
    assert line["username"] == "Ann" and line["user_id"] not in ("u", "") and line["message_id"] not in ("m", ""), line
    await bob.send(chat(stream, "hi"))
    other, _ = await next_event(ann, "chat.message"), await next_event(bob, "chat.message")
    assert other["username"] == "Bob" and other["message_id"] != line["message_id"], other
    assert await answers(deaf) == []


@case("wave", "3 ¶1", "3 chat.message", "3 reaction.sent")
async def sent_without_subscription(stage, me):
    """Who is not subscribed may send chat and reactions, and gets nothing of them."""
    stream = await Stream.make(stage, me.tenant)
    sender, listener = await connect(me), await connect(me)
    await subscribe(listener, stream.id)
    await sender.send(chat(stream, "hi"))
    await next_event(listener, "chat.message")
    await sender.send(reaction(stream, "👍"))
    await next_event(listener, "reaction.received")
    assert await answers(sender) == []


@case("wave", "3 ¶1", "3 chat.message", "3 reaction.sent")
@case.table([("idle", True, False), ("live", True, True), ("ended", False, False)])
async def state_decides(stage, me, state, is_chat_open, are_reactions_open):
    """On a stream that is {state}, chat is open or not, and so are reactions; what is refused stays an error."""
    stream, socket = await Stream.make(stage, me.tenant, live=state != "idle"), await connect(me)
    if state == "ended":
        await stream.stop()
    await subscribe(socket, stream.id)
    for message, type, is_open in ((chat(stream, "hi"), "chat.message", is_chat_open),
                                   (reaction(stream, "👍"), "reaction.received", are_reactions_open)):
        if is_open:
            await socket.send(message)
            await next_event(socket, type)
        else:
            details = await fails(socket, message, "VALIDATION_ERROR")
            assert {"field", "reason"} <= set(details), f"details of a VALIDATION_ERROR: {details}"
    assert len(await stream.lines()) == is_chat_open


@case("wave", "3 chat.message")
@case.table([("a character", "a"), ("a space", " "), ("1000 characters", "a" * 1000), ("1000 of two bytes", "ü" * 1000),
             ("1000 of four bytes", "😀" * 1000), ("a line break", "a\nb"), ("markup", "<b>&amp;</b>")])
async def good_lines(stage, me, what, text):
    """A line of {what} is taken and comes as it was sent."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    await subscribe(socket, stream.id, ["chat.message"])
    await socket.send(chat(stream, text))
    assert (await next_event(socket, "chat.message"))["message"] == text
    assert [line["message"] for line in await stream.lines()] == [text]


@case("wave", "3 reaction.sent", "4 reaction.received")
@case.table(["👍", "❤️", "🇩🇪", "👩🏽‍🚀", "👨‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣"])
async def good_reactions(stage, me, emoji):
    """{emoji} is one emoji: it is counted and broadcast, whatever the client says of its user."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    beside = await connect(me, gateway=1)
    for each in (socket, beside):
        await subscribe(each, stream.id, ["reaction.received"])
    await socket.send(reaction(stream, emoji) | {"user_id": "eve"})
    payload = await next_event(socket, "reaction.received")
    assert payload == await next_event(beside, "reaction.received")
    assert set(payload) == {"stream_id", "reaction", "count", "timestamp"}, payload
    assert payload["stream_id"] == stream.id and payload["reaction"] == emoji and payload["count"] == 1, payload
    assert is_moment(payload["timestamp"]), payload


@case("wave", "4 reaction.received", "3 reaction.sent")
async def reactions_counted(stage, me):
    """`count` is the running total of each emoji since the stream went live, announced at most four times a second."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    await subscribe(socket, stream.id, ["reaction.received"])
    began = time.monotonic()
    await socket.raw(burst([reaction(stream, emoji) for _ in range(60) for emoji in ("👍", "🎉")]))
    counts = {"👍": [], "🎉": []}
    while any(not each or each[-1] < 60 for each in counts.values()):
        payload = await next_event(socket, "reaction.received")
        counts[payload["reaction"]].append(payload["count"])
    most = 4 * (time.monotonic() - began) + 4
    for emoji, each in counts.items():
        assert each == sorted(each) and each[-1] == 60, f"{emoji}: {each}"
        assert len(each) <= most, f"{emoji}: {len(each)} announcements, not {most:.0f}: {each}"
    await socket.silence(0.6)
    await socket.send(reaction(stream, "👍"))
    assert (await next_event(socket))["count"] == 61


@case("wave", "3 ping", "6 •1", "4 ping / pong", "README#1 Heartbeat")
@case.table([0, 7, -1, 1700000000000, 1700000000000.5])
async def ping_echoed(stage, me, timestamp):
    """A ping with the timestamp {timestamp} is answered with a pong of the same."""
    socket = await connect(me)
    payload = await ask(socket, {"type": "ping", "timestamp": timestamp}, "pong")
    assert payload == {"timestamp": timestamp}, payload


@case("wave", "3 ping", "6 •1", "README#7 WAVE")
@case.table([("no", GONE), ("a text as", "now"), ("null as", None), ("an object as", {})])
async def ping_without_timestamp(stage, me, what, timestamp):
    """A ping with {what} timestamp is answered with the server's time in milliseconds."""
    socket = await connect(me)
    message = {"type": "ping"} if timestamp is GONE else {"type": "ping", "timestamp": timestamp}
    payload = await ask(socket, message, "pong")
    assert set(payload) == {"timestamp"} and is_number(payload["timestamp"]), payload
    assert abs(payload["timestamp"] - time.time() * 1000) < 20_000, payload


@case("wave", "3 pong")
@case.table([({"timestamp": 1},), ({},), ({"timestamp": "x"},)])
async def pong_ignored(stage, me, fields):
    """A client's pong ({fields}) is ignored."""
    socket = await connect(me)
    await works(socket)
    await socket.send({"type": "pong"} | fields)
    assert await answers(socket) == []
    await works(socket)


# 4. Server to client


@case("wave", "4 stream.started", "4 stream.ended", "README#4 Stream live / ended")
@case.table(["webrtc", "rtmp", "srt", "ndi"])
async def started_and_ended(stage, me, protocol):
    """A {protocol} stream that goes live and ends is stream.started and stream.ended, once each, with all fields."""
    stream, socket = await Stream.make(stage, me.tenant, False, protocol), await connect(me)
    await subscribe(socket, stream.id)
    await stream.start()
    started = await next_event(socket, "stream.started")
    assert set(started) == {"stream_id", "started_at", "protocol", "ingest_endpoint"}, started
    assert started["stream_id"] == stream.id and started["protocol"] == protocol, started
    assert is_moment(started["started_at"]), started
    assert started["ingest_endpoint"] is None or isinstance(started["ingest_endpoint"], str), started
    await stream.stop()
    ended = await next_event(socket, "stream.ended")
    assert set(ended) == {"stream_id", "ended_at", "duration", "recording_id"}, ended
    assert ended["stream_id"] == stream.id, ended
    assert is_moment(ended["ended_at"]) and is_number(ended["duration"]) and 0 <= ended["duration"] < 20, ended
    assert ended["recording_id"] is None or isinstance(ended["recording_id"], str), ended
    assert await answers(socket) == []


@case("wave", "4 viewer.joined", "4 viewer.left")
@case.table([("DE", "desktop"), ("JP", "mobile"), ("BR", "tablet"), ("ZA", "tv"), ("US", "other")])
async def viewers(stage, me, country, device):
    """A viewer from {country} on {device} who comes and goes is viewer.joined and viewer.left with all their fields."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    await subscribe(socket, stream.id)
    viewer = await stream.joined(country=country, device=device)
    joined = await next_event(socket, "viewer.joined")
    assert is_moment(joined.pop("joined_at")), joined
    assert joined == {"stream_id": stream.id, "viewer_id": viewer, "country": country, "device": device}, joined
    await stream.left(viewer)
    left = await next_event(socket, "viewer.left")
    assert is_moment(left.pop("left_at")) and 0 <= left.pop("watch_time") < 20, left
    assert left == {"stream_id": stream.id, "viewer_id": viewer}, left


@case("wave", "4 viewer.left", "4 stream.ended", "9 ¶1")
async def viewers_leave_an_ended_stream(stage, me):
    """Who still watches when a stream ends leaves before it has ended."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    await subscribe(socket, stream.id)
    watching = {await stream.joined() for _ in range(3)}
    for _ in range(3):
        await next_event(socket, "viewer.joined")
    await stream.stop()
    assert {(await next_event(socket, "viewer.left"))["viewer_id"] for _ in range(3)} == watching
    await next_event(socket, "stream.ended")


@case("wave", "4 {type}", "README#4 Encoder metrics", "README#4 Audience numbers")
@case.table([
    ("stream.health", {"bitrate": 4500, "fps": 59.94, "packet_loss": 0.001, "latency": 120}),
    ("analytics.update",
     {"concurrent_viewers": 12, "total_views": 340, "peak_viewers": 45, "average_watch_time": 61.5}),
])
async def telemetry(stage, me, type, data):
    """{type} comes to who asked for it and has its scope, as it was measured."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me, gateway=2)
    deaf = await connect(me, gateway=2)
    await subscribe(socket, stream.id, [type])
    await subscribe(deaf, stream.id, [name for name in OWN if name != type])
    data = {"stream_id": stream.id} | data
    published = await me.publish(type, data, room=stream.id, durable=False)
    message = check(await socket.next())
    assert message["type"] == type and message["payload"] == data, message
    assert message.get("id", published["id"]) == published["id"], message
    assert await answers(deaf) == []


@case("wave", "4 ¶1", "5 VALIDATION_ERROR", "3 subscribe")
@case.table(["stream.paused", "*", "stream.*", "stream", "STREAM.STARTED", "ping", "error", "reaction.sent",
             "auth.revoked", ""])
async def unknown_event(stage, me, name):
    """"{name}" is no event: VALIDATION_ERROR, and nothing of that message is subscribed."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    message = {"type": "subscribe", "stream_id": stream.id, "events": ["chat.message", name]}
    details = await fails(socket, message, "VALIDATION_ERROR")
    assert details.get("field") == "events" and isinstance(details.get("reason"), str), details
    assert await subscribe(socket, stream.id, ["stream.ended"]) == ["stream.ended"]


@case("wave", "README#6 WAVE", "README#6 •1", "README#6 •3", "4 ¶1")
async def events_of_others(stage, me):
    """Any other event of the suite is asked for by its type and room; one without a room by the tenant."""
    socket = await connect(me, gateway=2)
    assert await subscribe(socket, "station-1", ["radio.now_playing"]) == ["radio.now_playing"]
    assert await subscribe(socket, me.tenant, ["performance.update"]) == ["performance.update"]
    for room in ("station-2", "station-1"):
        await me.publish("radio.now_playing", {"station_id": room}, room=room)
    assert (await next_event(socket, "radio.now_playing")) == {"station_id": "station-1"}
    await me.publish("performance.update", {"system": {}}, durable=False)
    assert (await next_event(socket, "performance.update")) == {"system": {}}


# 5. Errors


def changed(message, changes):
    """The message with some members replaced or taken out."""
    return {name: value for name, value in (message | changes).items() if value is not GONE}


@case("wave", "5 VALIDATION_ERROR", "5 ¶1", "5 ¶2", "4 error", "{clause}")
@case.table([
    ("no type", "2 ¶2", "type", {"type": GONE}),
    ("a type that is a number", "2 ¶2", "type", {"type": 7}),
    ("an unknown type", "2 ¶2", "type", {"type": "chat.send"}),
    ("a type in capitals", "2 ¶2", "type", {"type": "SUBSCRIBE"}),
    ("a type that only the server sends", "2 ¶2", "type", {"type": "stream.started"}),
    ("a subscribe without stream_id", "3 subscribe", "stream_id", {"stream_id": GONE}),
    ("a subscribe with a number as stream_id", "3 subscribe", "stream_id", {"stream_id": 7}),
    ("a subscribe with an empty stream_id", "3 subscribe", "stream_id", {"stream_id": ""}),
    ("a subscribe with a text as events", "3 subscribe", "events", {"events": "chat.message"}),
    ("a subscribe with numbers as events", "3 subscribe", "events", {"events": [1]}),
    ("a subscribe with an object as events", "3 subscribe", "events", {"events": {}}),
    ("an unsubscribe without stream_id", "3 unsubscribe", "stream_id", {"type": "unsubscribe", "stream_id": GONE}),
    ("an unsubscribe with null as stream_id", "3 unsubscribe", "stream_id", {"type": "unsubscribe", "stream_id": None}),
    ("a line without stream_id", "3 chat.message", "stream_id",
     {"type": "chat.message", "message": "x", "stream_id": GONE}),
    ("a line without message", "3 chat.message", "message", {"type": "chat.message"}),
    ("a line with a number as message", "3 chat.message", "message", {"type": "chat.message", "message": 7}),
    ("an empty line", "3 chat.message", "message", {"type": "chat.message", "message": ""}),
    ("a line of 1001 characters", "3 chat.message", "message", {"type": "chat.message", "message": "a" * 1001}),
    ("a line of 1001 emojis", "3 chat.message", "message", {"type": "chat.message", "message": "😀" * 1001}),
    ("a reaction without stream_id", "3 reaction.sent", "stream_id",
     {"type": "reaction.sent", "reaction": "👍", "stream_id": GONE}),
    ("a reaction without reaction", "3 reaction.sent", "reaction", {"type": "reaction.sent"}),
    ("a number as reaction", "3 reaction.sent", "reaction", {"type": "reaction.sent", "reaction": 7}),
    ("an empty reaction", "3 reaction.sent", "reaction", {"type": "reaction.sent", "reaction": ""}),
    ("a letter as reaction", "3 reaction.sent", "reaction", {"type": "reaction.sent", "reaction": "a"}),
    ("a digit as reaction", "3 reaction.sent", "reaction", {"type": "reaction.sent", "reaction": "1"}),
    ("two emojis as reaction", "3 reaction.sent", "reaction", {"type": "reaction.sent", "reaction": "👍👍"}),
    ("a shortcode as reaction", "3 reaction.sent", "reaction", {"type": "reaction.sent", "reaction": ":+1:"}),
    ("an emoji of 35 bytes", "3 reaction.sent", "reaction", {"type": "reaction.sent", "reaction": "👩🏻‍❤️‍💋‍👩🏼"}),
])
async def bad_field(stage, me, what, clause, field, changes):
    """{what} is VALIDATION_ERROR with field and reason, and the connection goes on."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    message = changed({"type": "subscribe", "stream_id": stream.id, "events": ["chat.message"]}, changes)
    details = await fails(socket, message, "VALIDATION_ERROR")
    assert details.get("field") == field and isinstance(details.get("reason"), str), details
    await works(socket)
    assert await stream.lines() == []


@case("wave", "5 VALIDATION_ERROR", "5 ¶2", "README#7 all (5)")
@case.table([
    ("an empty text", ""), ("an open brace", "{"), ("a word", "hello"), ("an array", "[]"), ("a string", '"ping"'),
    ("a number", "7"), ("null", "null"), ("two objects", '{"type":"ping"}{"type":"ping"}'),
    ("a trailing comma", '{"type":"ping",}'), ("NaN", '{"type":"ping","timestamp":NaN}'),
    ("129 levels", '{"a":' * 129 + "1" + "}" * 129),
])
async def bad_json(stage, me, what, text):
    """A text that is no JSON object ({what}) is VALIDATION_ERROR with field and reason, and the connection goes on."""
    socket = await connect(me)
    details = await fails(socket, text, "VALIDATION_ERROR")
    assert isinstance(details.get("field"), str) and isinstance(details.get("reason"), str), details
    await works(socket)


@case("wave", "5 NOT_FOUND", "5 ¶3", "5 ¶2")
@case.table(["stream_0000000000000000000000zzzz", "stream_abc123", "x"])
async def unknown_stream(stage, me, stream):
    """Whatever is asked of a stream that is not there ({stream}) is NOT_FOUND and names it; unsubscribe is answered."""
    socket = await connect(me)
    for message in ({"type": "subscribe", "stream_id": stream},
                    {"type": "subscribe", "stream_id": stream, "events": ["chat.message"]},
                    {"type": "chat.message", "stream_id": stream, "message": "hi"},
                    {"type": "reaction.sent", "stream_id": stream, "reaction": "👍"}):
        assert (await fails(socket, message, "NOT_FOUND"))["stream_id"] == stream
    await unsubscribe(socket, stream)


@case("wave", "5 FORBIDDEN", "5 ¶3", "README#3 •5")
async def stream_of_others(stage, me):
    """Whatever is asked of another organisation's stream is FORBIDDEN, and nothing of it is delivered or changed."""
    stream = await Stream.make(stage, f"{me.tenant}-other")
    socket = await connect(me)
    owner = await connect(me, await stage.token(tenant=stream.tenant))
    await subscribe(owner, stream.id)
    for message in ({"type": "subscribe", "stream_id": stream.id},
                    {"type": "subscribe", "stream_id": stream.id, "events": ["chat.message"]},
                    chat(stream, "intruder"), reaction(stream, "👍")):
        await fails(socket, message, "FORBIDDEN")
    await owner.send(chat(stream, "among us"))
    assert (await next_event(owner, "chat.message"))["message"] == "among us"
    assert await answers(socket) == []
    assert len(await stream.lines()) == 1


@case("wave", "5 FORBIDDEN", "README#6 WAVE", "README#6 •5")
async def events_of_others_apart(stage, me):
    """Events of another tenant do not come, even where a room has the same name."""
    socket = await connect(me, gateway=2)
    beside = await connect(me, await stage.token(tenant=f"{me.tenant}-b"), gateway=2)
    for each in (socket, beside):
        await subscribe(each, "station-1", ["radio.now_playing"])
    await me.publish("radio.now_playing", {"title": "ours"}, room="station-1")
    assert await next_event(socket) == {"title": "ours"}
    assert await answers(beside) == []


@case("wave", "5 ¶3", "5 FORBIDDEN", "README#7 WAVE")
@case.table([(name, SCOPES[name]) for name in OWN])
async def scope_of_event(stage, me, name, scope):
    """{name} needs {scope}: that alone grants it, with the other scope it is FORBIDDEN and nothing is subscribed."""
    stream = await Stream.make(stage, me.tenant)
    other = ({"streams:read", "analytics:read"} - {scope}).pop()
    granted = await connect(me, await me.token(scope=scope))
    assert await subscribe(granted, stream.id, [name]) == [name]
    denied = await connect(me, await me.token(scope=f"{other} streams:write"))
    theirs = next(each for each in OWN if SCOPES[each] == other)
    for events in ([name], [theirs, name]):
        await fails(denied, {"type": "subscribe", "stream_id": stream.id, "events": events}, "FORBIDDEN")
    assert await subscribe(denied, stream.id, [theirs]) == [theirs]


@case("wave", "5 ¶3", "README#7 WAVE", "3 subscribe")
@case.table(["streams:read", "analytics:read"])
async def scope_without_names(stage, me, scope):
    """Without names a key with {scope} gets what that allows, and those events only."""
    stream = await Stream.make(stage, me.tenant)
    socket, control = await connect(me, await me.token(scope=scope)), await connect(me)
    assert await subscribe(socket, stream.id) == [name for name in OWN if SCOPES[name] == scope]
    await subscribe(control, stream.id)
    await stream.joined()
    await control.send(chat(stream, "hi"))
    await control.send(reaction(stream, "👍"))
    seen = [check(await control.next()) for _ in range(3)]
    await stream.stop()
    while seen[-1]["type"] != "stream.ended":
        seen.append(check(await control.next()))
    expected = [message for message in seen if SCOPES[message["type"]] == scope]
    assert [check(await socket.next()) for _ in expected] == expected
    assert await answers(socket) == []


@case("wave", "5 ¶3", "5 FORBIDDEN")
@case.table(["analytics:read", "streams:write analytics:read", "radio:read"])
async def scope_of_sending(stage, me, scope):
    """With {scope} only, neither chat nor reactions may be sent: FORBIDDEN."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me, await me.token(scope=scope))
    await fails(socket, chat(stream, "hi"), "FORBIDDEN")
    await fails(socket, reaction(stream, "👍"), "FORBIDDEN")
    assert await stream.lines() == []


@case("wave", "5 ¶3")
@case.table(["*", "streams:*", "streams:read"])
async def scope_to_send(stage, me, scope):
    """With {scope} chat and reactions may be sent."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me, await me.token(scope=scope))
    await subscribe(socket, stream.id, ["chat.message", "reaction.received"])
    await socket.send(chat(stream, "hi"))
    await next_event(socket, "chat.message")
    await socket.send(reaction(stream, "👍"))
    await next_event(socket, "reaction.received")


@case("wave", "5 SERVICE_UNAVAILABLE / TIMEOUT / INTERNAL_ERROR", "5 ¶2", "README#6 •3", alone=True)
async def service_away(stage, me):
    """While streams' service stands still, a line is an error without a close; a subscribe is granted all the same."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    with halted("stream-metrics"):
        await socket.send(chat(stream, "lost"))
        answer = check(await socket.until(lambda each: each["type"] == "error", 30))
        assert answer["payload"]["code"] in ("SERVICE_UNAVAILABLE", "TIMEOUT", "INTERNAL_ERROR"), answer
        assert answer["payload"]["details"].get("request_type") == "chat.message", answer
        payload = await ask(socket, {"type": "subscribe", "stream_id": stream.id}, "subscribed", timeout=30)
        assert sorted(payload["events"]) == OWN, payload
        await works(socket)
    async with asyncio.timeout(30):
        while True:
            await socket.send(chat(stream, "again"))
            message = check(await socket.until(lambda each: each["type"] in ("chat.message", "error"), 20))
            if message["type"] == "chat.message" and message["payload"]["message"] == "again":
                break


# 6. Heartbeat


@case("wave", "6 •2", "6 •1", "3 ping", "README#1 Heartbeat")
async def pong_is_late(stage, me):
    """A pong comes about 50 ms after its ping, never within 20 ms, and holds nothing else up."""
    socket, waits = await connect(me), []
    await works(socket)
    for number in range(15):
        began = time.monotonic()
        await ask(socket, {"type": "ping", "timestamp": number}, "pong")
        waits.append(time.monotonic() - began)
        assert socket.is_open
    assert min(waits) >= 0.020, waits
    assert 0.04 <= statistics.median(waits) < 0.25, waits
    await socket.raw(burst([{"type": "ping", "timestamp": 1}, {"type": "unsubscribe", "stream_id": "s"}]))
    order = [check(await socket.next())["type"] for _ in range(2)]
    assert order == ["unsubscribed", "pong"], order


@case("wave", "6 •2")
async def pongs_in_order(stage, me):
    """Of many pings at once each gets its own pong, in order."""
    socket = await connect(me)
    await socket.raw(burst([{"type": "ping", "timestamp": number} for number in range(100)]))
    assert [check(await socket.next())["payload"]["timestamp"] for _ in range(100)] == list(range(100))


@case("wave", "6 •3", "6 •4", "4 ping / pong", "README#1 Heartbeat", slow=True)
async def server_pings(stage, me):
    """The server sends its ping and a PING frame every 30 s; who answers only the frames stays connected for 95 s."""
    socket = await connect(me)
    began, pings, frames = time.monotonic(), [], []
    while (now := time.monotonic() - began) < 95:
        for message in await socket.drained():
            check(message)
            assert message["type"] == "ping" and set(message["payload"]) == {"timestamp"}, message
            assert abs(message["payload"]["timestamp"] - time.time() * 1000) < 20_000, message
            pings.append(now)
        frames += [now] * (len(socket.pings) - len(frames))
        await asyncio.sleep(0.2)
    for times in (pings, frames):
        gaps = [after - before for before, after in zip([0] + times, times)]
        assert len(times) == 3 and all(27 < gap < 33 for gap in gaps), (pings, frames)
    await works(socket)


@case("wave", "6 •4", "8 1006", slow=True)
async def silent_client(stage, me):
    """A client that sends nothing, not even a PONG, is dropped after 90 s."""
    socket = await connect(me)
    socket.answers_pings = False
    began = time.monotonic()
    await socket.closing(timeout=110)
    lasted = time.monotonic() - began
    assert 88 < lasted < 102, f"dropped after {lasted:.1f} s"


@case("wave", "6 •4", "README#3 •1")
async def ping_frames(stage, me):
    """A client's PING frame is answered with its payload."""
    socket = await connect(me)
    for number, payload in enumerate((b"", b"hello", b"p" * 125), 1):
        await socket.frame(edge.PING, payload)
        async with asyncio.timeout(10):
            while len(socket.pongs) < number:
                await asyncio.sleep(0.02)
        assert socket.pongs[-1] == payload, socket.pongs


# 7. Limits


@case("wave", "7 {plan}", "7 ¶1", "5 RATE_LIMITED", "1 Rate limited / too many sockets", "8 4429",
      "README#1 Rate limit")
@case.table([("Free", "free", 60), ("Pro", "pro", 300), ("Enterprise", "enterprise", 1000)])
async def message_rate(stage, me, plan, tier, per_minute):
    """On plan {plan} twice {per_minute} messages are taken at once, then {per_minute} a minute; beyond that 4429."""
    socket = await connect(me, await me.token("apikey", tier=tier))
    await works(socket)
    began = time.monotonic()
    await socket.raw(burst([{"type": "unsubscribe", "stream_id": "s"}] * (2 * per_minute + per_minute // 5 + 50)))
    taken, errors = 1, []
    try:
        while True:
            message = check(await socket.next())
            taken += message["type"] == "unsubscribed"
            errors += [message["payload"]] if message["type"] == "error" else []
    except edge.Closed as closed:
        assert (closed.code, closed.reason) == (4429, "Rate Limited"), closed
    most = 2 * per_minute + per_minute / 60 * (time.monotonic() - began + 1) + 1
    assert 2 * per_minute <= taken <= most, f"{taken} taken, not {2 * per_minute} to {most:.0f}"
    assert len(errors) == 1 and errors[0]["code"] == "RATE_LIMITED", errors
    assert errors[0]["details"] == {"retry_after": 60}, errors


@case("wave", "7 ¶1", "7 Free")
async def message_rate_refills(stage, me):
    """A spent rate fills up again by a message a second on plan Free, for each connection by itself."""
    key = await me.token("apikey", tier="free")
    socket, beside = await connect(me, key), await connect(me, key)
    unsubscribe_it = {"type": "unsubscribe", "stream_id": "s"}
    for each in (socket, beside):
        await works(each)
        await each.raw(burst([unsubscribe_it] * 119))
        assert len(await answers(each)) == 119
    await asyncio.sleep(4.2)
    await socket.raw(burst([unsubscribe_it] * 4))
    assert [message["type"] for message in await answers(socket)] == ["unsubscribed"] * 4
    await socket.raw(burst([unsubscribe_it] * 10))
    await me.gone(socket, 4429, "Rate Limited")


@case("wave", "7 ¶1")
@case.table([("pings", {"type": "ping", "timestamp": 1}, 400), ("pongs", {"type": "pong", "timestamp": 1}, 0)])
async def heartbeats_are_free(stage, me, what, message, replies):
    """400 {what} on plan Free cost nothing."""
    socket = await connect(me, await me.token("apikey", tier="free"))
    await works(socket)
    await socket.raw(burst([message] * 400))
    for _ in range(replies):
        assert check(await socket.next())["type"] == "pong"
    await socket.raw(burst([{"type": "unsubscribe", "stream_id": "s"}] * 119))
    assert [message["type"] for message in await answers(socket)] == ["unsubscribed"] * 119


@case("wave", "7 ¶1", "5 RATE_LIMITED", "8 4429")
async def bad_messages_cost_too(stage, me):
    """Messages that are none count like others."""
    socket = await connect(me, await me.token("apikey", tier="free"))
    await socket.raw(b"".join(edge.frame_bytes(edge.TEXT, b"{") for _ in range(160)))
    await me.gone(socket, 4429, "Rate Limited")


@case("wave", "7 Free", "1 Rate limited / too many sockets", "7 ¶1", "8 4429", "README#7 all (3)",
      "README#1 Connection limit")
async def sockets_of_free(stage, me):
    """A free key has 50 sockets over all gateways; one more is let in, told RATE_LIMITED and closed with 4429."""
    key = await me.token("apikey", tier="free")
    sockets = [await connect(me, key, gateway=number % 2) for number in range(50)]
    for socket in sockets:
        await works(socket)
    for gateway in (0, 1):
        socket = await connect(me, key, gateway=gateway)
        await turned_away(me, socket, 4429, "Rate Limited", "RATE_LIMITED")
    await works(await connect(me, await me.token("apikey", tier="free")))
    await leave(sockets.pop())
    async with asyncio.timeout(15):
        while True:
            socket = await connect(me, key)
            with contextlib.suppress(edge.Closed, AssertionError):
                await works(socket)
                break
            await asyncio.sleep(0.2)
    for socket in sockets:
        assert socket.is_open


async def leave(socket):
    """Closes a connection and waits until the gateway has taken it."""
    await socket.close()
    await socket.closing()


@case("wave", "7 {plan}", "1 Rate limited / too many sockets", "8 4429", alone=True)
@case.table([("Pro", "pro", 500, True), ("Enterprise", "enterprise", 560, False)])
async def sockets_of_plan(stage, me, plan, tier, count, is_limited):
    """On plan {plan} {count} sockets of a key are let in; with Pro one more is 4429."""
    key = await me.token("apikey", tier=tier)
    sockets = []
    while len(sockets) < count:
        several = range(len(sockets), min(count, len(sockets) + 20))
        sockets += await asyncio.gather(*(connect(me, key, gateway=number % 2) for number in several))
    for socket in sockets:
        await works(socket)
    extra = await connect(me, key)
    if is_limited:
        await turned_away(me, extra, 4429, "Rate Limited", "RATE_LIMITED")
    else:
        await works(extra)


@case("wave", "7 ¶2")
async def stream_limit(stage, me):
    """A connection listens to 100 streams; one more is an error, and there is room again after an unsubscribe."""
    socket = await connect(me, gateway=2)
    for number in range(100):
        await subscribe(socket, f"station-{number}", ["radio.now_playing"])
    message = {"type": "subscribe", "stream_id": "station-100", "events": ["radio.now_playing"]}
    await socket.send(message)
    answer = check(await socket.next())
    assert answer["type"] == "error" and answer["payload"]["details"].get("request_type") == "subscribe", answer
    assert await subscribe(socket, "station-7", ["radio.health"]) == ["radio.health", "radio.now_playing"]
    for room in ("station-100", "station-0", "station-99"):
        await me.publish("radio.now_playing", {"station_id": room}, room=room)
    assert [(await next_event(socket))["station_id"] for _ in range(2)] == ["station-0", "station-99"]
    await unsubscribe(socket, "station-0")
    await subscribe(socket, "station-100", ["radio.now_playing"])


# 8. Close codes


@case("wave", "8 1000")
@case.table([1000, 1001, 3000, None])
async def client_closes(stage, me, code):
    """A client's CLOSE with {code} is answered with the same."""
    socket = await connect(me)
    await works(socket)
    await socket.close(code)
    assert (await socket.closing())[0] == (code or 1005)


@contextlib.asynccontextmanager
async def own_gateway(stage):
    """A gateway that the case may end."""
    gateway = await stage.gateway()
    try:
        yield gateway
    finally:
        if gateway.process.returncode is None:
            gateway.signal(signal.SIGKILL)
            await gateway.ended()


@case("wave", "8 1001", "README#3 •4", "README#7 all (4)")
async def drain(stage, me):
    """A gateway that drains closes its clients with 1001, and what they were due comes before."""
    stream = await Stream.make(stage, me.tenant)
    async with own_gateway(stage) as gateway:
        sockets = [await connect(me, gateway=gateway) for _ in range(3)]
        for socket in sockets[:2]:
            await subscribe(socket, stream.id, ["chat.message"])
        await sockets[2].send(chat(stream, "the last"))
        assert (await next_event(sockets[0]))["message"] == "the last"
        gateway.signal()
        for socket in sockets:
            await me.gone(socket, 1001, "going away", timeout=31)
        assert (await next_event(sockets[1]))["message"] == "the last"
        assert await gateway.ended() == 0


@case("wave", "8 1001", "README#3 •4")
async def draining_refuses(stage, me):
    """While a gateway drains, an upgrade is refused with 503 and Retry-After, whatever the key."""
    async with own_gateway(stage) as gateway:
        held = await me.open("astro", gateway=gateway)
        socket, key = await connect(me, gateway=gateway), await me.token()
        held.answers_close = socket.answers_close = False
        gateway.signal()
        await held.until(lambda message: message["type"] == "reconnect")
        for path in (f"{PATH}?api_key={key}", f"{PATH}?api_key=x", PATH):
            refusal = await me.refused("wave", path, gateway=gateway)
            assert refusal.status == 503 and int(refusal.headers["retry-after"]) > 0, (refusal, refusal.headers)


@case("wave", "8 ¶2", "README#1 Resume")
async def no_resume(stage, me):
    """A new connection has none of the subscriptions of the one before, and gets nothing of what it missed."""
    stream, key = await Stream.make(stage, me.tenant), await me.token()
    socket, sender = await connect(me, key), await connect(me, key)
    await subscribe(socket, stream.id)
    await subscribe(sender, stream.id)
    await socket.drop()
    await sender.send(chat(stream, "missed"))
    await next_event(sender)
    socket = await connect(me, key)
    await works(socket)
    await sender.send(chat(stream, "not asked for"))
    await next_event(sender)
    assert await answers(socket) == []
    await subscribe(socket, stream.id, ["chat.message"])
    await sender.send(chat(stream, "now"))
    assert (await next_event(socket))["message"] == "now"


@case("wave", "8 ¶1", "README#3 •2", "README#7 all", alone=True)
async def slow_consumer(stage, me):
    """Who reads nothing while more than 4 MiB of events wait is closed with 1008; others there miss nothing."""
    slow, brisk = await connect(me, gateway=2, receive_buffer=131_072), await connect(me, gateway=2)
    for socket in (slow, brisk):
        await subscribe(socket, "station-1", ["radio.now_playing"])
    slow.pause()
    event = {"type": "radio.now_playing", "tenant": me.tenant, "room": "station-1", "durable": True}
    await stage.publish_all([event | {"data": {"number": number, "note": "x" * 250_000}} for number in range(44)])
    for number in range(44, 49):
        await asyncio.sleep(0.3)
        await me.publish("radio.now_playing", {"number": number}, room="station-1")
    slow.resume()
    await me.gone(slow, 1008, "too slow", timeout=20)
    assert [(await next_event(brisk))["number"] for _ in range(49)] == list(range(49))


@case("wave", "9 ¶1", "README#3 •2", "README#7 all", "8 ¶1", alone=True)
@case.table([("stream.health", {"bitrate": 4500, "fps": 60, "packet_loss": 0, "latency": 9}),
             ("analytics.update",
              {"concurrent_viewers": 1, "total_views": 2, "peak_viewers": 3, "average_watch_time": 4})])
async def telemetry_conflates(stage, me, type, data):
    """Who is too slow for {type} gets the newest value and fewer of the others, and is not closed for it."""
    stream, slow = await Stream.make(stage, me.tenant), await connect(me, gateway=2, receive_buffer=131_072)
    brisk = await connect(me, gateway=2)
    for socket in (slow, brisk):
        await subscribe(socket, stream.id, [type, "stream.ended"])
    slow.pause()
    event = {"type": type, "tenant": me.tenant, "room": stream.id, "durable": False}
    data = {"stream_id": stream.id, "note": "x" * 20_000} | data
    for first in range(0, 1500, 100):
        await stage.publish_all([event | {"data": data | {"number": first + number}} for number in range(100)])
        while (await next_event(brisk, type))["number"] < first + 99:
            pass
    await asyncio.sleep(2)
    await stage.publish_all([event | {"data": data | {"number": 1500}}])
    slow.resume()
    numbers = [(await next_event(slow, type))["number"]]
    while numbers[-1] < 1500:
        numbers.append((await next_event(slow, type))["number"])
    assert numbers == sorted(set(numbers)) and len(numbers) < 1501, f"{len(numbers)} values came"
    await works(slow)


# 9. Ordering and delivery


@case("wave", "9 ¶1", "3 chat.message")
async def chat_order(stage, me):
    """Chat of several senders comes once each and in the same order to all, on both replicas, and so it is stored."""
    stream, key = await Stream.make(stage, me.tenant), await me.token()
    listeners = [await connect(me, key, gateway=number % 2) for number in range(4)]
    for socket in listeners:
        await subscribe(socket, stream.id, ["chat.message"])
    senders = [await connect(me, key, gateway=number % 2) for number in range(4)]
    await asyncio.gather(*(
        sender.raw(burst([chat(stream, f"{name}{number}") for number in range(20)]))
        for name, sender in zip("abcd", senders)))
    heard = [[await next_event(socket, "chat.message") for _ in range(80)] for socket in listeners]
    assert all(each == heard[0] for each in heard), "the order differs"
    texts = [line["message"] for line in heard[0]]
    for name in "abcd":
        assert [text for text in texts if text[0] == name] == [f"{name}{number}" for number in range(20)], texts
    stored = [line["message"] for line in await stream.lines()]
    assert stored == texts[::-1][:len(stored)] and len(stored) >= 50, stored
    for socket in listeners:
        assert await answers(socket) == []


@case("wave", "9 ¶1", "3 chat.message")
async def stored_before_broadcast(stage, me):
    """A line that has come is in the stream's chat already."""
    stream, socket = await Stream.make(stage, me.tenant), await connect(me)
    await subscribe(socket, stream.id, ["chat.message"])
    for number in range(10):
        await socket.send(chat(stream, f"line {number}"))
        line = await next_event(socket, "chat.message")
        assert (await stream.lines())[0] == line


@case("wave", "9 ¶1", "3 subscribe", "3 unsubscribe")
async def replies_and_events(stage, me):
    """`subscribed` comes before the first event that it allows, and after `unsubscribed` none comes."""
    stream, socket, sender = await Stream.make(stage, me.tenant), await connect(me), await connect(me, gateway=1)
    stop = asyncio.Event()
    busy = asyncio.create_task(chatter(sender, stream, stop))
    try:
        for _ in range(6):
            await socket.send({"type": "subscribe", "stream_id": stream.id, "events": ["chat.message"]})
            assert check(await socket.next())["type"] == "subscribed"
            for _ in range(3):
                await next_event(socket, "chat.message")
            await unsubscribe(socket, stream.id)
            await socket.silence(0.3)
    finally:
        stop.set()
        await busy


async def chatter(sender, stream, stop):
    """Sends lines, about 15 a second, until it is told to stop."""
    while not stop.is_set():
        await sender.send(chat(stream, "la"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.06):
                await stop.wait()
