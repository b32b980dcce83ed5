"""StreamElements Astro's dialect, clause by clause: docs/dialects/astro.md."""

import asyncio
import base64
import contextlib
import datetime
import hmac
import json
import os
import pathlib
import re
import secrets
import signal
import time

import edge
from cases import address, case
from stage import halted

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
FIELDS = {
    "welcome": {"id", "ts", "type", "data"},
    "reconnect": {"id", "ts", "type", "data"},
    "response": {"id", "ts", "type", "data"},
    "message": {"id", "ts", "type", "topic", "room", "data"},
}
OPTIONAL = {"response": {"nonce", "error"}}
BAD_TOKEN = (1008, "invalid reconnect token")
GONE = object()


# What every message is


def check(message):
    """Asserts what section 2 says of a message of any type; returns the message."""
    assert isinstance(message, dict), f"not an object: {message!r}"
    kind = message.get("type")
    assert kind in FIELDS, f"unknown type: {message}"
    extra = set(message) - FIELDS[kind]
    assert set(message) >= FIELDS[kind] and extra <= OPTIONAL.get(kind, set()), f"wrong fields: {message}"
    assert ULID.fullmatch(message["id"]), f"id is no ULID: {message}"
    assert MOMENT.fullmatch(message["ts"]), f"ts is not RFC 3339 in seconds: {message}"
    assert isinstance(message["data"], dict), f"data is no object: {message}"
    for field in {"topic", "room", "nonce", "error"} & set(message):
        assert isinstance(message[field], str), f"{field} is no string: {message}"
    if kind != "message":
        assert isinstance(message["data"].get("message"), str), f"data has no message: {message}"
    return message


def is_message(message):
    return message.get("type") == "message"


# What a client does


async def connect(me, path="/", **options):
    """A socket whose welcome has been read."""
    socket = await me.open("astro", path, **options)
    assert check(await socket.next())["type"] == "welcome"
    return socket


def command(topic, token=None, room=None, token_type="jwt", nonce=None, type="subscribe"):
    """A client's message; what is None is left out."""
    data = {"topic": topic, "room": room, "token": token, "token_type": token_type if token else None}
    data = {name: value for name, value in data.items() if value is not None}
    return {"type": type, "data": data} | ({} if nonce is None else {"nonce": nonce})


async def ask(socket, message, timeout=10):
    """Sends a message with a nonce of its own and returns the response; passes over events that come before."""
    nonce = secrets.token_hex(6)
    await socket.send(message | {"nonce": nonce})
    return check(await socket.until(lambda each: each.get("nonce") == nonce, timeout))


async def subscribe(socket, topic, token, room=None, token_type="jwt"):
    """Subscribes; returns the canonical room."""
    answer = await ask(socket, command(topic, token, room, token_type))
    assert "error" not in answer, f"not subscribed to {topic}: {answer}"
    return answer["data"]["room"]


async def unsubscribe(socket, topic, room=None):
    """Unsubscribes; returns the room that the reply names."""
    answer = await ask(socket, command(topic, room=room, type="unsubscribe"))
    assert "error" not in answer, f"not unsubscribed from {topic}: {answer}"
    return answer["data"]["room"]


async def fails(socket, message, error):
    """Asserts that a message is answered with this error."""
    answer = await ask(socket, message)
    assert answer.get("error") == error, f"{error} is due, not {answer}"
    return answer


async def works(socket):
    """Asserts that the connection is open and answers commands."""
    await unsubscribe(socket, "channel.tips")


async def next_message(socket, timeout=10):
    """The next event; anything else before it is a failure."""
    message = check(await socket.next(timeout))
    assert message["type"] == "message", f"an event is due, not {message}"
    return message


def burst(messages):
    """Text frames, one after the other in the same bytes; a dict goes as JSON."""
    texts = (each if isinstance(each, str) else json.dumps(each) for each in messages)
    return b"".join(edge.frame_bytes(edge.TEXT, text.encode()) for text in texts)


async def answers(socket):
    """All that was sent in answer to what was sent so far."""
    await socket.echo()
    return [check(message) for message in await socket.drained()]


# What happens in a channel


class Channel:
    """A channel in which activities can be made to happen."""

    def __init__(self, stage, tenant, writer):
        self.stage, self.tenant, self.writer = stage, tenant, writer

    @classmethod
    async def make(cls, stage, tenant):
        return cls(stage, tenant, await stage.token(tenant=tenant, scope="activities:write"))

    async def happens(self, username="ann", kind="follow", provider="twitch", **data):
        """Makes an activity happen; returns it as the service keeps it."""
        body = {"type": kind, "provider": provider, "data": {"username": username} | data}
        path = f"/kappa/v2/activities/{self.tenant}"
        answer = await self.stage.rest("POST", "stream-metrics", path, body, self.writer)
        assert answer.status == 201, f"no activity: {answer}"
        return answer.json


async def quiet(sockets, channel):
    """Asserts that an activity of the channel reaches none of the sockets, on gateways 0 and 1."""
    control = [await connect_beside(channel, gateway) for gateway in (0, 1)]
    try:
        activity = await channel.happens("quiet")
        for each in control:
            await each.until(lambda message: is_message(message) and message["data"]["_id"] == activity["_id"])
        for socket in sockets:
            came = [message for message in await answers(socket) if is_message(message)]
            assert not came, f"came although nothing should: {came}"
    finally:
        for each in control:
            await each.drop()


async def connect_beside(channel, gateway):
    """A socket that listens to the channel's activities, to know when one has crossed a gateway."""
    socket = await edge.Socket.open(await channel.stage.reach("astro", gateway), "/", address=address(10))
    token = await channel.stage.token(tenant=channel.tenant, scope="activities:read")
    await subscribe(socket, "channel.activities", token)
    return socket


def usernames(messages):
    return [message["data"]["data"]["username"] for message in messages]


# 1. Endpoint and handshake


@case("astro", "1 URL", "1 ¶1", "2 ¶2", "2 id", "2 ts", "2 type", "2 data")
@case.table(["/", "/?", "/?v=1", "/ws", "/astro"])
async def welcomed(stage, me, path):
    """A client that opens {path} is welcomed at once, with a client_id of its own."""
    socket = await me.open("astro", path)
    welcome = check(await socket.next())
    assert welcome["type"] == "welcome" and set(welcome["data"]) == {"message", "client_id"}, welcome
    assert ULID.fullmatch(welcome["data"]["client_id"])
    other = check(await (await me.open("astro", path)).next())
    assert other["data"]["client_id"] != welcome["data"]["client_id"] and other["id"] != welcome["id"]
    await socket.silence(0.3)


@case("astro", "1 URL", "README#2 •3")
async def hosts(stage, me):
    """On any listener `/` is Astro's for a Host that begins with astro., and so are the aliases."""
    for dialect in ("source-saver", "wave", "grimnir", "airys"):
        socket = await me.open(dialect, "/", {"Host": "astro.example.com"})
        assert check(await socket.next())["type"] == "welcome"
        for path in ("/ws", "/astro"):
            socket = await me.open(dialect, path)
            assert check(await socket.next())["type"] == "welcome"


@case("astro", "1 URL", "README#2 •5")
@case.table(["/wss", "/ws/", "/astro/x", "/index.html"])
async def unknown_path(stage, me, path):
    """Another path ({path}) is 404."""
    assert (await me.refused("astro", path)).status == 404


@case("astro", "1 Auth at connect")
async def no_credential_at_connect(stage, me):
    """Nothing is asked for at the handshake, and a credential there, good or bad, means nothing."""
    token = await me.token()
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"X-API-Key": "x"}, {"Authorization": f"Bearer {token}"}):
        socket = await connect(me, headers=headers)
        await fails(socket, command("channel.chatstats"), "err_bad_request")


@case("astro", "1 Connection rate exceeded", "README#1 Rate limit")
async def connection_rate(stage, me):
    """An address may open 30 connections at once and 10 more a second; beyond that 429 with Retry-After: 2."""
    began = time.monotonic()
    results = await asyncio.gather(*(me.open("astro") for _ in range(90)), return_exceptions=True)
    refusals = [each for each in results if isinstance(each, edge.Refused)]
    opened = sum(isinstance(each, edge.Socket) for each in results)
    most = 30 + 10 * (time.monotonic() - began) + 1
    assert len(refusals) + opened == 90, f"neither opened nor refused: {set(map(repr, results))}"
    assert 30 <= opened <= most, f"{opened} opened, not 30 to {most:.0f}"
    for refusal in refusals:
        assert refusal.status == 429 and refusal.headers.get("retry-after") == "2", (refusal, refusal.headers)
    await connect(me, address=address(10))
    await asyncio.sleep(1.1)
    later = await asyncio.gather(*(me.open("astro") for _ in range(10)), return_exceptions=True)
    assert all(isinstance(each, edge.Socket) for each in later), later


@case("astro", "1 Frames")
async def binary_is_ignored(stage, me):
    """Binary frames are ignored, whole or in parts: no answer, no close, and they cost no command."""
    socket = await connect(me)
    text = json.dumps(command("channel.tips", type="unsubscribe", nonce="binary")).encode()
    for _ in range(150):
        await socket.send(text)
    await socket.frame(edge.BINARY, text[:10], fin=False)
    await socket.frame(edge.CONTINUATION, text[10:])
    await socket.send(b"")
    assert await answers(socket) == []
    await works(socket)


@case("astro", "1 Frames", "1 Outbound size", "README#3 •1")
async def one_text_frame_each(stage, me):
    """Each message of the server is one unfragmented text frame, at most 40,960 bytes even for a large activity."""
    socket = await connect(me)
    channel = await Channel.make(stage, me.tenant)
    await subscribe(socket, "channel.activities", await me.token())
    await fails(socket, command("nope"), "err_bad_request")
    await channel.happens("ann", note="é" * 16_000)
    await next_message(socket)
    assert len(socket.frames) == 4, socket.frames
    for opcode, fin, length in socket.frames:
        assert opcode == edge.TEXT and fin and length <= 40_960, socket.frames


@case("astro", "1 Outbound size")
async def outbound_cap(stage, me):
    """A large event is one frame too; none exceeds 1 MiB."""
    socket = await connect(me, gateway=2)
    await subscribe(socket, "channel.tips", await me.token())
    sizes = (200_000, 1_040_000, 1_060_000, 10)
    for size in sizes:
        await me.publish("channel.tips", {"note": "x" * size}, room=me.tenant)
    lengths = []
    while not lengths or lengths[-1] != 10:
        lengths.append(len((await next_message(socket, 20))["data"]["note"]))
    assert lengths == [200_000, 1_040_000, 10], f"came: {lengths}"
    frames = [(opcode, fin) for opcode, fin, length in socket.frames if length > 40_960]
    assert frames == [(edge.TEXT, True)] * 2, frames


@case("astro", "1 Inbound size", "8 Close codes", "README#1 Max inbound msg")
@case.table([("one frame", 1), ("four frames", 4)])
async def inbound_size(stage, me, what, parts):
    """A message of 8 KiB in {what} is taken, of 64 KiB after a token was; one of a byte more closes with 1009."""
    token = await me.token()
    for size, is_taken in ((8192, True), (8193, False), (65_536, True), (65_537, False)):
        socket = await connect(me)
        if size > 8193:
            await subscribe(socket, "channel.activities", token)
        text = json.dumps(command("channel.tips", type="unsubscribe", nonce="big")).encode().ljust(size)
        step = -(-size // parts)
        pieces = [text[at:at + step] for at in range(0, size, step)]
        for number, piece in enumerate(pieces):
            opcode = edge.TEXT if number == 0 else edge.CONTINUATION
            await socket.frame(opcode, piece, fin=number == len(pieces) - 1)
        if is_taken:
            answer = check(await socket.next())
            assert answer["nonce"] == "big" and "error" not in answer, answer
        else:
            await me.gone(socket, 1009)


@case("astro", "1 Inbound size")
async def endless_frame(stage, me):
    """A frame that announces a terabyte closes with 1009 as soon as more than 8 KiB of it have come."""
    socket = await connect(me)
    await socket.frame(edge.TEXT, b" " * 8193, length=1 << 40)
    await me.gone(socket, 1009)


# 2. Envelope


@case("astro", "2 ¶3", "2 id", "2 ts", "2 topic", "2 room", "9 ¶1", "README#6 •6", "README#3 •5")
async def one_id_everywhere(stage, me):
    """One event is the same message, with the same id, on all connections of both replicas; other ids are unique."""
    token, channel = await me.token(), await Channel.make(stage, me.tenant)
    sockets = [await connect(me, gateway=gateway) for gateway in (0, 0, 1, 1)]
    for socket in sockets:
        await subscribe(socket, "channel.activities", token)
    for username in ("ann", "bob"):
        activity = await channel.happens(username)
        heard = [await next_message(socket) for socket in sockets]
        assert all(message == heard[0] for message in heard), heard
        assert heard[0]["data"] == activity and heard[0]["room"] == me.tenant
        assert heard[0]["topic"] == "channel.activities"
    ids = [heard[0]["id"]] + [(await ask(sockets[0], {"type": "x"}))["id"] for _ in range(5)]
    assert len(set(ids)) == len(ids)


@case("astro", "2 ts", "README#1 Time format")
async def moments(stage, me):
    """`ts` is UTC in whole seconds, and now."""
    socket = await me.open("astro")
    welcome = check(await socket.next())
    token, channel = await me.token(), await Channel.make(stage, me.tenant)
    await socket.send(command("channel.activities", token))
    response = check(await socket.next())
    await channel.happens()
    for message in (welcome, response, await next_message(socket)):
        moment = datetime.datetime.strptime(message["ts"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
        assert abs(moment.timestamp() - time.time()) < 20, message


@case("astro", "2 nonce", "3 nonce", "2 type")
@case.table(["n", "", "0", "ü 😀 \"\\ \t", "n" * 128, "ü" * 128])
async def nonce_comes_back(stage, me, nonce):
    """A nonce of up to 128 characters comes back as it was, with success and with failure."""
    socket = await connect(me)
    await socket.send(command("channel.tips", type="unsubscribe", nonce=nonce))
    assert check(await socket.next())["nonce"] == nonce
    await socket.send(command("channel.nope", nonce=nonce))
    answer = check(await socket.next())
    assert answer["nonce"] == nonce and answer["error"] == "err_bad_request"


@case("astro", "2 nonce", "2 error", "2 data")
async def left_out(stage, me):
    """`nonce` is left out where the command had none, and `error` on success."""
    socket, token = await connect(me), await me.token()
    await socket.send(command("channel.tips", token))
    await socket.send(command("channel.tips", type="unsubscribe"))
    await socket.send(command("channel.nope"))
    granted, dropped, failed = [check(await socket.next()) for _ in range(3)]
    assert set(granted) == set(dropped) == {"id", "ts", "type", "data"}, (granted, dropped)
    assert set(failed) == {"id", "ts", "type", "error", "data"}, failed


# 3. Client to server


@case("astro", "3 ¶1", "3 ¶2", "3 •1", "2 error", "2 data", "6 ¶1")
async def subscribed(stage, me):
    """A subscribe is answered with its nonce, the text, the topic and the canonical room."""
    socket = await connect(me)
    await socket.send(command("channel.activities", await me.token(), nonce="n-1"))
    answer = check(await socket.next())
    assert answer | {"id": "", "ts": ""} == {
        "id": "", "ts": "", "type": "response", "nonce": "n-1",
        "data": {"message": "successfully subscribed to topic", "topic": "channel.activities", "room": me.tenant},
    }, answer


@case("astro", "3 •2", "3 ¶3")
@case.table([("its room", True, False), ("an empty room", "", False), ("no room", None, False),
             ("a room that is not held", "other", True), ("no room and nothing held", None, True)])
async def unsubscribed(stage, me, what, room, is_unheld):
    """An unsubscribe with {what} succeeds and names the room, "" for all."""
    socket, room = await connect(me), me.tenant if room is True else room
    if not is_unheld:
        await subscribe(socket, "channel.tips", await me.token())
    answer = await ask(socket, command("channel.tips", room=room, type="unsubscribe"))
    assert "error" not in answer and answer["data"] == {
        "message": "successfully unsubscribed from topic", "topic": "channel.tips", "room": room or "",
    }, answer


@case("astro", "3 ¶3", "9 ¶1")
@case.table([("its room", True), ("an empty room", ""), ("no room", None)])
async def unsubscribe_ends_delivery(stage, me, what, room):
    """After an unsubscribe with {what} no further event comes; another topic's still do."""
    socket, token, channel = await connect(me), await me.token(), await Channel.make(stage, me.tenant)
    await subscribe(socket, "channel.activities", token)
    await channel.happens()
    await next_message(socket)
    await unsubscribe(socket, "channel.activities", me.tenant if room is True else room)
    await quiet([socket], channel)


@case("astro", "3 ¶3", "5 ¶2")
async def unsubscribe_room_by_room(stage, me):
    """An unsubscribe with a room drops that room only; one without drops all rooms of the topic and no other topic."""
    one, two = await Channel.make(stage, me.tenant), await Channel.make(stage, f"{me.tenant}-2")
    tokens = [await stage.token(tenant=each.tenant) for each in (one, two)]
    socket = await connect(me)
    for token in tokens:
        await subscribe(socket, "channel.activities", token)
        await subscribe(socket, "stream.started", token)
    await unsubscribe(socket, "channel.activities", one.tenant)
    await quiet([socket], one)
    await two.happens()
    assert (await next_message(socket))["room"] == two.tenant
    await subscribe(socket, "channel.activities", tokens[0])
    await unsubscribe(socket, "channel.activities")
    await quiet([socket], one)
    await quiet([socket], two)
    stream = await live_stream(stage, tokens[0])
    assert (await next_message(socket))["data"]["stream_id"] == stream


async def live_stream(stage, token):
    """A stream that has just gone live; its id."""
    made = await stage.rest("POST", "stream-metrics", "/v1/streams", {"title": "T", "protocol": "rtmp"}, token)
    assert made.status == 201, made
    await change_stream(stage, token, made.json["id"], "start")
    return made.json["id"]


async def change_stream(stage, token, stream, action):
    answer = await stage.rest("POST", "stream-metrics", f"/v1/streams/{stream}/{action}", token=token)
    assert answer.status == 200, answer


@case("astro", "3 ¶3")
async def subscribed_twice(stage, me):
    """Subscribing again, also by another name of the room, succeeds, and each event comes once."""
    socket, token, channel = await connect(me), await me.token(), await Channel.make(stage, me.tenant)
    for room in (None, "", me.tenant, None):
        assert await subscribe(socket, "channel.activities", token, room) == me.tenant
    for username in ("ann", "bob", "eve"):
        await channel.happens(username)
    heard = [await next_message(socket) for _ in range(3)]
    assert usernames(heard) == ["ann", "bob", "eve"]
    assert await answers(socket) == []


@case("astro", "3 ¶3")
async def token_refreshed(stage, me):
    """Subscribing again refreshes the token: the end of the first one changes nothing."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    await subscribe(socket, "channel.activities", await me.token(ttl=3))
    await subscribe(socket, "channel.activities", await me.token())
    await socket.silence(5)
    await channel.happens()
    await next_message(socket)


@case("astro", "3 ¶3")
async def before_the_welcome(stage, me):
    """A subscribe that is sent before the welcome was read is answered after it."""
    token = await me.token()
    socket = await me.open("astro", read=False)
    await socket.send(command("channel.activities", token, nonce="early"))
    socket.resume()
    assert check(await socket.next())["type"] == "welcome"
    assert check(await socket.next())["nonce"] == "early"


@case("astro", "3 type", "6 invalid_message_type", "6 ¶1")
@case.table(["authenticate", "ping", "message", "SUBSCRIBE", "subscribe ", ""])
async def unknown_type(stage, me, type):
    """The type "{type}" is answered with invalid_message_type and the nonce, and the connection goes on."""
    socket = await connect(me)
    answer = await fails(socket, {"type": type, "data": {"topic": "channel.tips"}}, "invalid_message_type")
    assert set(answer["data"]) == {"message"}, answer
    await works(socket)


def changed(message, changes):
    """The message with some members, named with dots, replaced or taken out."""
    message = json.loads(json.dumps(message))
    for path, value in changes.items():
        *parents, name = path.split(".")
        place = message
        for parent in parents:
            place = place[parent]
        if value is GONE:
            del place[name]
        else:
            place[name] = value
    return message


@case("astro", "{clause}", "6 err_bad_request")
@case.table([
    ("no type", "3 type", {"type": GONE}),
    ("a type that is a number", "3 type", {"type": 1}),
    ("a type that is null", "3 type", {"type": None}),
    ("no data", "3 ¶1", {"data": GONE}),
    ("data that is an array", "3 ¶1", {"data": []}),
    ("data that is a string", "3 ¶1", {"data": "channel.tips"}),
    ("data that is null", "3 ¶1", {"data": None}),
    ("no topic", "3 data.topic", {"data.topic": GONE}),
    ("a topic that is a number", "3 data.topic", {"data.topic": 7}),
    ("an empty topic", "3 data.topic", {"data.topic": ""}),
    ("an unknown topic", "3 data.topic", {"data.topic": "channel.nope"}),
    ("a topic in capitals", "3 data.topic", {"data.topic": "CHANNEL.TIPS"}),
    ("a former topic", "3 data.topic", {"data.topic": "channel.giveaway"}),
    ("an inner topic", "3 data.topic", {"data.topic": "auth.revoked"}),
    ("the topic *", "5 ¶2", {"data.topic": "*"}),
    ("the topic channel.*", "5 ¶2", {"data.topic": "channel.*"}),
    ("the topic channel", "5 ¶2", {"data.topic": "channel"}),
    ("a room that is a number", "3 data.room", {"data.room": 7}),
    ("a room that is an array", "3 data.room", {"data.room": ["a"]}),
    ("a room of 129 characters", "3 data.room", {"data.room": "r" * 129}),
    ("no token", "3 data.token", {"data.token": GONE}),
    ("a token that is a number", "3 data.token", {"data.token": 7}),
    ("a token of 4097 characters", "3 data.token", {"data.token": "t" * 4097}),
    ("no token_type", "3 data.token_type", {"data.token_type": GONE}),
    ("a token_type that is a number", "3 data.token_type", {"data.token_type": 7}),
    ("an unknown token_type", "3 data.token_type", {"data.token_type": "bearer"}),
])
async def bad_field(stage, me, what, clause, changes):
    """A subscribe with {what} is err_bad_request with its nonce; nothing is subscribed, and the connection goes on."""
    socket = await connect(me)
    good = command("channel.activities", await me.token())
    answer = await fails(socket, changed(good, changes), "err_bad_request")
    assert set(answer["data"]) == {"message"}, answer
    assert await subscribe(socket, "channel.activities", good["data"]["token"]) == me.tenant


@case("astro", "3 data.topic", "3 data.room", "6 err_bad_request")
@case.table([("no topic", {"data.topic": GONE}), ("an unknown topic", {"data.topic": "channel.nope"}),
             ("a room that is a number", {"data.room": 7}), ("a room of 129 characters", {"data.room": "r" * 129}),
             ("no data", {"data": GONE})])
async def bad_unsubscribe(stage, me, what, changes):
    """An unsubscribe with {what} is err_bad_request."""
    socket = await connect(me)
    await fails(socket, changed(command("channel.tips", type="unsubscribe"), changes), "err_bad_request")
    await works(socket)


@case("astro", "3 nonce", "6 err_bad_request")
@case.table([("a number", 1), ("true", True), ("an object", {}), ("an array", ["n"]), ("null", None),
             ("129 characters", "n" * 129)])
async def bad_nonce(stage, me, what, nonce):
    """A nonce that is {what} is err_bad_request."""
    socket = await connect(me)
    await socket.send(command("channel.tips", type="unsubscribe") | {"nonce": nonce})
    answer = check(await socket.next())
    assert answer.get("error") == "err_bad_request", answer
    await works(socket)


@case("astro", "6 err_bad_request", "2 nonce", "README#7 all (5)")
@case.table([
    ("an empty text", ""), ("an open brace", "{"), ("a cut message", '{"type":"subscribe","data":{'),
    ("a word", "hello"), ("an array", "[]"),
    ("a string", '"subscribe"'), ("a number", "7"), ("null", "null"), ("two objects", "{}{}"),
    ("a trailing comma", '{"type":"subscribe",}'), ("single quotes", "{'type':'subscribe'}"),
    ("NaN", '{"type":"subscribe","nonce":NaN}'), ("a raw control character", '{"type":"sub\nscribe"}'),
    ("129 levels", '{"a":' * 129 + "1" + "}" * 129),
])
async def bad_json(stage, me, what, text):
    """A text that is no JSON object ({what}) is err_bad_request without a nonce, and the connection goes on."""
    socket = await connect(me)
    await socket.send(text)
    answer = check(await socket.next())
    assert answer.get("error") == "err_bad_request" and "nonce" not in answer, answer
    await works(socket)


@case("astro", "3 data.room", "3 data.token", "6 err_unauthorized")
async def largest_fields(stage, me):
    """A room of 128 characters and a token of 4096 are read, and denied."""
    socket = await connect(me)
    await fails(socket, command("channel.tips", await me.token(), "r" * 128), "err_unauthorized")
    await fails(socket, command("channel.tips", "t" * 4096), "err_unauthorized")


# 4. Authorization, rooms, scopes


@case("astro", "4 {kind}", "4 •1", "3 data.token_type")
@case.table([("jwt", "jwt"), ("apikey", "apikey"), ("oauth2", "oauth2"), ("oauth2", "oauth"), ("jwt", "oauth2")])
async def token_kinds(stage, me, kind, token_type):
    """A token of kind {kind} is taken as token_type {token_type}, with the scopes that it has and no more."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    token = await me.token(kind, scope="activities:read session:read")
    await fails(socket, command("channel.tips", token, token_type=token_type), "err_unauthorized")
    for topic in ("channel.session.update", "channel.activities", "channel.chatstats"):
        assert await subscribe(socket, topic, token, token_type=token_type) == me.tenant
    await channel.happens()
    await next_message(socket)


@case("astro", "4 jwt", "4 •1")
@case.table(["jwt", "apikey", "oauth2"])
async def owners_scope(stage, me, kind):
    """A token of kind {kind} with the scope * opens every topic."""
    socket, token = await connect(me), await me.token(kind, scope="*")
    for topic in sorted(SCOPES):
        assert await subscribe(socket, topic, token, token_type=kind) == me.tenant


@case("astro", "6 err_unauthorized", "3 data.token_type")
@case.table([("jwt", "apikey"), ("apikey", "jwt"), ("apikey", "oauth2"), ("oauth2", "jwt"), ("oauth2", "apikey")])
async def wrong_token_type(stage, me, kind, token_type):
    """A token of kind {kind} shown as {token_type} is err_unauthorized."""
    socket, token = await connect(me), await me.token(kind)
    await fails(socket, command("channel.activities", token, token_type=token_type), "err_unauthorized")
    await subscribe(socket, "channel.activities", token, token_type=kind)


async def useless(stage, me, kind, fault):
    """A token of a kind that is worth nothing."""
    credential = await stage.credential(kind, me.tenant, ttl=1 if fault == "expired" else 600)
    token = credential["token"]
    if fault == "expired":
        await asyncio.sleep(2.5)
    if fault == "revoked":
        answer = await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
        assert answer.status == 204, answer
        await asyncio.sleep(0.5)
    altered = token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]
    return {"altered": altered, "unknown": token[:5] + secrets.token_hex(32)}.get(fault, token)


@case("astro", "6 err_unauthorized", "6 ¶1")
@case.table([
    (kind, fault) for kind in ("jwt", "apikey", "oauth2") for fault in ("unknown", "altered", "expired", "revoked")])
async def useless_token(stage, me, kind, fault):
    """A token of kind {kind} that is {fault} is err_unauthorized and opens nothing; the connection goes on."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    token = await useless(stage, me, kind, fault)
    answer = await fails(socket, command("channel.activities", token, token_type=kind), "err_unauthorized")
    assert set(answer["data"]) == {"message"}, answer
    await quiet([socket], channel)
    await subscribe(socket, "channel.activities", await me.token(kind), token_type=kind)


@case("astro", "4 •2", "3 data.room", "2 room", "3 •1", "README#7 Astro")
@case.table([("no room", None), ("an empty room", ""), ("the channel's id", "id"), ("the channel's name", "name"),
             ("the channel's name in lower case", "lower")])
async def own_room(stage, me, what, room):
    """{what} stands for the token's channel, whose id the reply and every message show."""
    name = f"Studio-{me.tenant}"
    made = await stage.rest("POST", "auth", "/v1/auth/channels", {"id": me.tenant, "name": name}, stage.owner)
    assert made.status == 201, made
    channel, socket = await Channel.make(stage, me.tenant), await connect(me)
    room = {"id": me.tenant, "name": name, "lower": name.lower()}.get(room, room)
    assert await subscribe(socket, "channel.activities", await me.token(), room) == me.tenant
    await channel.happens()
    assert (await next_message(socket))["room"] == me.tenant
    assert await unsubscribe(socket, "channel.activities", room) == (me.tenant if room else "")
    await quiet([socket], channel)


@case("astro", "4 •2", "README#7 Astro")
async def channel_renamed(stage, me):
    """When a channel gets another name, that one stands for it and the former does not."""
    former, now = f"Before-{me.tenant}", f"After-{me.tenant}"
    made = await stage.rest("POST", "auth", "/v1/auth/channels", {"id": me.tenant, "name": former}, stage.owner)
    assert made.status == 201, made
    changed_to = await stage.rest("PATCH", "auth", f"/v1/auth/channels/{me.tenant}", {"name": now}, stage.owner)
    assert changed_to.status == 200, changed_to
    socket, token = await connect(me), await me.token()
    assert await subscribe(socket, "channel.activities", token, now) == me.tenant
    await fails(socket, command("channel.activities", token, former), "err_unauthorized")


@case("astro", "4 •2", "6 err_unauthorized", "README#7 Astro")
async def foreign_room(stage, me):
    """Another channel's room, by its id or a name, is err_unauthorized, and nothing of it is delivered."""
    other = await Channel.make(stage, f"{me.tenant}-other")
    socket, token = await connect(me), await me.token()
    for room in (other.tenant, other.tenant.upper(), "default", "somebody"):
        await fails(socket, command("channel.activities", token, room), "err_unauthorized")
    await subscribe(socket, "channel.activities", token)
    await quiet([socket], other)


@case("astro", "4 •2", "6 err_unauthorized", "README#7 Astro")
@case.table([("id", "{tenant}-other"), ("name", "Other-{tenant}")])
async def foreign_room_as_own_name(stage, me, what, room):
    """Another channel's {what} is denied also to a token whose own name reads the same."""
    names = {"id": f"{me.tenant}-other", "name": f"Other-{me.tenant}"}
    made = await stage.rest("POST", "auth", "/v1/auth/channels", names, stage.owner)
    assert made.status == 201, made
    other, room = await Channel.make(stage, names["id"]), room.format(tenant=me.tenant)
    socket = await connect(me)
    await fails(socket, command("channel.activities", await me.token(name=room), room), "err_unauthorized")
    await quiet([socket], other)


@case("astro", "4 •2", "5 ¶2", "README#6 Astro", "README#6 •1", "README#6 •2")
async def rooms_of_entities(stage, me):
    """A topic with rooms of its own is heard by room, or without one by the channel; messages name their room."""
    token = await me.token()
    whole, one = await connect(me, gateway=2), await connect(me, gateway=2)
    assert await subscribe(whole, "radio.now_playing", token) == me.tenant
    assert await subscribe(one, "radio.now_playing", token, "station-1") == "station-1"
    for room in ("station-1", "station-2", "station-1"):
        await me.publish("radio.now_playing", {"station_id": room}, room=room)
    assert [(await next_message(whole))["room"] for _ in range(3)] == ["station-1", "station-2", "station-1"]
    assert [(await next_message(one))["room"] for _ in range(2)] == ["station-1", "station-1"]
    assert await subscribe(one, "performance.update", token) == me.tenant
    await me.publish("performance.update", {"system": {}}, durable=False)
    assert (await next_message(one))["room"] == me.tenant


@case("astro", "4 •2", "6 err_unauthorized", "README#6 •5")
async def granted_stations(stage, me):
    """A token that names stations opens these and no others."""
    socket, token = await connect(me, gateway=2), await me.token(stations=["s1", "s2"])
    await fails(socket, command("radio.now_playing", token, "s3"), "err_unauthorized")
    assert await subscribe(socket, "radio.now_playing", token) == me.tenant
    for room in ("s3", "s2", "s1"):
        await me.publish("radio.now_playing", {"station_id": room}, room=room)
    assert [(await next_message(socket))["room"] for _ in range(2)] == ["s2", "s1"]


@case("astro", "4 •2", "README#7 Astro")
async def tenants_apart(stage, me):
    """Events of one channel reach nobody who shows another channel's token, on either replica."""
    ours, theirs = await Channel.make(stage, me.tenant), await Channel.make(stage, f"{me.tenant}-b")
    sockets = []
    for gateway in (0, 1):
        sockets.append(await connect(me, gateway=gateway))
        await subscribe(sockets[-1], "channel.activities", await me.token())
    await quiet(sockets, theirs)
    await ours.happens("mine")
    for socket in sockets:
        assert usernames([await next_message(socket)]) == ["mine"]


@case("astro", "4 •2", "README#7 Astro")
async def two_channels_on_one_connection(stage, me):
    """Tokens of two channels meet on one connection: each opens its own channel, and each message names its room."""
    channels = [await Channel.make(stage, me.tenant), await Channel.make(stage, f"{me.tenant}-b")]
    socket = await connect(me)
    for channel in channels:
        token = await stage.token(tenant=channel.tenant)
        assert await subscribe(socket, "channel.activities", token) == channel.tenant
    for channel in channels:
        await channel.happens()
        message = await next_message(socket)
        assert message["room"] == channel.tenant == message["data"]["channel"]


@case("astro", "4 •3", "6 err_deadline_exceeded", alone=True)
@case.table(["oauth2", "apikey"])
async def authorization_deadline(stage, me, kind):
    """Without an answer from auth a token of kind {kind} is err_deadline_exceeded after 5 s, and good later."""
    socket, token = await connect(me), await me.token(kind)
    message = command("channel.activities", token, token_type=kind)
    with halted("auth"):
        began = time.monotonic()
        await fails(socket, message, "err_deadline_exceeded")
        assert time.monotonic() - began < 7
    async with asyncio.timeout(20):
        while "error" in await ask(socket, message):
            await asyncio.sleep(0.5)


@case("astro", "4 •4", "6 err_unauthorized", "README#7 all (5)")
@case.table(["jwt", "apikey", "oauth2"])
async def token_expires(stage, me, kind):
    """When a token of kind {kind} ends, its subscriptions are dropped, each with err_unauthorized and no nonce."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    token = await me.token(kind, ttl=3)
    for topic in ("channel.activities", "channel.tips"):
        await subscribe(socket, topic, token, token_type=kind)
    await subscribe(socket, "stream.started", await me.token())
    dropped = [check(await socket.next()) for _ in range(2)]
    for answer in dropped:
        assert answer.get("error") == "err_unauthorized" and "nonce" not in answer, answer
        assert set(answer["data"]) == {"message", "topic", "room"} and answer["data"]["room"] == me.tenant, answer
    assert {answer["data"]["topic"] for answer in dropped} == {"channel.activities", "channel.tips"}
    await quiet([socket], channel)
    await live_stream(stage, await me.token())
    assert (await next_message(socket))["topic"] == "stream.started"


@case("astro", "8 Close codes", "README#7 all (5)")
@case.table(["jwt", "apikey", "oauth2"])
async def token_revoked(stage, me, kind):
    """When a token of kind {kind} is revoked, every connection that used it is closed with 1008 on both replicas."""
    credential = await stage.credential(kind, me.tenant)
    sockets = [await connect(me, gateway=gateway) for gateway in (0, 1)]
    for socket in sockets:
        await subscribe(socket, "channel.activities", credential["token"], token_type=kind)
    answer = await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
    assert answer.status == 204, answer
    for socket in sockets:
        await me.gone(socket, 1008, "token revoked")


@case("astro", "6 rate_limit_exceeded", "2 nonce")
async def too_many_wrong_tokens(stage, me):
    """Where a rate limit is the answer to too many wrong tokens of an address, it has no nonce."""
    socket, limited = await connect(me), None
    for number in range(40):
        await socket.send(command("channel.tips", f"xpat_{number}{me.tenant}", token_type="oauth2", nonce=f"n{number}"))
        answer = check(await socket.next())
        assert answer.get("error") in ("err_unauthorized", "rate_limit_exceeded"), answer
        if answer["error"] == "rate_limit_exceeded":
            limited = answer
    assert limited, "40 wrong tokens, and no limit"
    assert "nonce" not in limited, limited


# 5. Topics

TIP = {
    "donation": {"user": {"username": "ann", "geo": "DE", "email": "ann@example.com", "channel": "c"}, "message": "hi",
                 "amount": 5.5, "currency": "EUR", "paymentMethod": "paypal"},
    "_id": "5f5b3a1e9d3c4a0001a1b2c3", "channel": "c", "provider": "paypal", "approved": "allowed", "status": "success",
    "createdAt": "2024-01-15T16:30:00.000Z", "updatedAt": "2024-01-15T16:30:00.000Z", "transactionId": "t-1",
}
TOPICS = [
    ("channel.activities", "channel.activities", "activities:read", True,
     {"type": "follow", "provider": "twitch", "channel": "c", "data": {"username": "ann", "displayName": "Ann",
      "providerId": "1", "avatar": "https://example.com/a.png"}, "_id": "5f5b3a1e9d3c4a0001a1b2c3",
      "createdAt": "2024-01-15T16:30:00.000Z", "updatedAt": "2024-01-15T16:30:00.000Z", "activityId": "a-1",
      "sessionEventsCount": 3}),
    ("channel.announcements", "channel.announcements", "channel:read", True, {"text": "hello"}),
    ("channel.chatstats", "channel.chatstats", None, False, {"lines": 12}),
    ("channel.chat.message", "channel.chat.message", "overlays:read", True,
     {"broadcaster_user_id": "1", "chatter_user_id": "2", "message_id": "m-1", "color": "#ff0000",
      "message": {"text": "hi 😀", "fragments": [{"type": "text", "text": "hi 😀"}]}, "badges": [],
      "message_type": "text", "reply": None}),
    ("channel.tips", "channel.tips", "tips:read", True, TIP),
    ("channel.tips.moderation", "channel.tips.moderation", "tips:moderation", True, TIP | {"approvedBy": "bob"}),
    ("channel.session.update", "channel.session.update", "session:read", True,
     {"key": "follower-latest", "name": "follower-latest", "data": {"name": "ann", "activityId": "a-1"},
      "provider": "twitch", "channel": "c"}),
    ("channel.stream.status", "channel.stream.status", "stream-live:read", True, {"isLive": True}),
    ("channel.overlay.action", "channel.overlay.action", "overlays:read", True, {"action": "playNext"}),
    ("channel.overlay.broadcast", "channel.overlay.broadcast", "overlays:broadcast", True,
     {"target": "global", "event": "my-event", "data": {"x": [1, 2, {"y": None}]}}),
    ("channel.overlay.update", "channel.overlay.update", "overlays:read", True,
     {"settings": {"width": 1920, "height": 1080, "name": "Main"}, "_id": "o-1", "channel": "c", "type": "regular",
      "name": "Main", "preview": "", "widgets": [], "mobile": False, "campaign": None, "favorite": True,
      "createdAt": "2024-01-15T16:30:00.000Z", "updatedAt": "2024-01-15T16:30:00.000Z"}),
    ("channel.kvstore.update", "channel.kvstore.update", "kvstore:read", True, {"key": "k", "value": 1}),
    ("channel.songrequest", "channel.songrequest", "overlays:read", True,
     {"event": "song.position", "payload": {"songId": "s-1", "position": 12}}),
    ("channel.contests", "channel.contests", None, True, {"event": "state", "state": "running", "contestId": "c-1"}),
    ("channel.giveaways", "channel.giveaways", None, True,
     {"channelId": "c", "giveawayId": "g-1", "event": "winner", "state": "completed", "data": {}}),
    ("channel.loyalty.redemptions", "channel.loyalty.redemptions, channel.loyalty.items", "store:read", True, {"x": 1}),
    ("channel.loyalty.items", "channel.loyalty.redemptions, channel.loyalty.items", "store:read", True, {"x": 1}),
    ("channel.chatbot.status", "channel.chatbot.status", "bot:read", True, {"muted": True, "mod": False}),
    ("channel.chatbot.modules.pyramid", "channel.chatbot.modules.pyramid / .emotecombo", "bot:read", True,
     {"msg_id": "m", "user_id": "1", "user_name": "ann", "word": "Kappa", "width": 3}),
    ("channel.chatbot.modules.emotecombo", "channel.chatbot.modules.pyramid / .emotecombo", "bot:read", True,
     {"msg_id": "m", "user_id": "1", "user_name": "ann", "emote": "Kappa", "count": 7}),
    ("channel.chatbot.counters", "channel.chatbot.counters", None, True, {"counter": "deaths", "value": 3}),
    ("channel.chatbot.audiencequeue", "channel.chatbot.audiencequeue", "bot:read", True,
     {"event": "audience-queue:created", "payload": {"queue": {}, "member": None}}),
    ("channel.chatbot.timeout", "channel.chatbot.timeout", None, True,
     {"msg_id": "m", "user_id": "1", "user_name": "ann", "duration": 600}),
] + [
    (f"channel.chatbot.{name}", "channel.chatbot.modules, .commands, .timers, .filters", "bot:read", True, {"x": 1})
    for name in ("modules", "commands", "timers", "filters")
]
SCOPES = {topic: scope for topic, _, scope, _, _ in TOPICS} | {"channel.session.reset": "session:read"}
ALL_SCOPES = {scope for scope in SCOPES.values() if scope}


async def scope_decides(stage, me, topic, scope):
    """Two sockets on gateway 2: one is refused the topic for want of its scope, one has it by just this scope.

    Where a topic needs none, any token opens it, and the first one holds another channel's token."""
    denied, granted = await connect(me, gateway=2), await connect(me, gateway=2)
    if scope:
        others = " ".join(sorted(ALL_SCOPES - {scope}))
        answer = await fails(denied, command(topic, await me.token(scope=others)), "err_unauthorized")
        assert set(answer["data"]) == {"message"}, answer
    else:
        await subscribe(denied, topic, await stage.token(tenant=f"{me.tenant}-other"))
    token = await me.token(scope=scope or "cameras:read")
    assert await subscribe(granted, topic, token) == me.tenant
    return denied, granted


@case("astro", "5 {row}", "4 •1", "6 err_unauthorized", "2 topic", "2 room", "2 data", "9 ¶1")
@case.table(TOPICS)
async def topic(stage, me, topic, row, scope, durable, data):
    """{topic} is opened by {scope} alone, and its data comes as it was published."""
    denied, granted = await scope_decides(stage, me, topic, scope)
    published = await me.publish(topic, data, room=me.tenant, durable=durable)
    message = await next_message(granted)
    assert message["data"] == data and message["topic"] == topic and message["room"] == me.tenant, message
    assert message["id"] == published["id"], (message, published)
    assert await answers(denied) == []


@case("astro", "5 channel.session.reset", "4 •1")
async def session_reset(stage, me):
    """channel.session.reset comes both ways: the flat map, and the same map in `session`."""
    session = {"follower-latest": {"name": "ann"}, "tip-session": {"amount": 12.5}, "follower-total": {"count": 7}}
    denied, granted = await scope_decides(stage, me, "channel.session.reset", "session:read")
    await me.publish("channel.session.reset", session, room=me.tenant)
    message = await next_message(granted)
    assert message["data"] == session | {"session": session}, message
    assert await answers(denied) == []


KINDS = """event follow tip communityGiftPurchase channelPointsRedemption sponsor superchat host raid subscriber cheer
    cheerPurchase charityCampaignDonation redemption merch fan supporter follower stars share videolike elixir purchase
    hypetrainStart hypetrainProgress hypetrainEnd giveaway sponsorship sponsorshipPassive""".split()
PROVIDERS = "twitch youtube represent fourthwall lunar lilithgames x StreamElements grabtap kick".split()


@case("astro", "5 ¶1", "5 channel.activities", "9 ¶1")
async def activities(stage, me):
    """Activities of every type and provider come with all their fields, in the order in which they happened."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    await subscribe(socket, "channel.activities", await me.token(scope="activities:read"))
    made = []
    for number, kind in enumerate(KINDS):
        extra = {"displayName": "Ann", "providerId": "1", "avatar": "https://example.com/a.png", "amount": number}
        made.append(await channel.happens(f"user-{number}", kind, PROVIDERS[number % len(PROVIDERS)], **extra))
    for number, (kind, activity) in enumerate(zip(KINDS, made)):
        data = (await next_message(socket))["data"]
        assert data == activity and data["type"] == kind, (data, activity)
        assert data["provider"] == PROVIDERS[number % len(PROVIDERS)] and data["channel"] == me.tenant
        assert set(data) == {"type", "provider", "channel", "data", "_id", "createdAt", "updatedAt", "activityId",
                             "sessionEventsCount"}
        assert data["data"]["username"] == f"user-{number}" and data["data"]["amount"] == number


@case("astro", "5 channel.activities")
async def activity_replayed(stage, me):
    """An activity that is replayed comes once more, as it is, as an event of its own."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    await subscribe(socket, "channel.activities", await me.token())
    activity = await channel.happens()
    path = f"/kappa/v2/activities/{me.tenant}/{activity['_id']}/replay"
    assert (await stage.rest("POST", "stream-metrics", path, token=channel.writer)).status == 200
    first, second = await next_message(socket), await next_message(socket)
    assert first["data"] == second["data"] and first["id"] != second["id"]


@case("astro", "5 channel.stream.status")
async def stream_status(stage, me):
    """channel.stream.status says isLive only: true with the channel's first live stream, false after its last."""
    socket, token = await connect(me), await me.token()
    await subscribe(socket, "channel.stream.status", token)
    one = await live_stream(stage, token)
    assert (await next_message(socket))["data"] == {"isLive": True}
    two = await live_stream(stage, token)
    await change_stream(stage, token, one, "stop")
    await socket.silence(0.5)
    await change_stream(stage, token, two, "stop")
    assert (await next_message(socket))["data"] == {"isLive": False}


@case("astro", "5 ¶2")
@case.table([("channel.tips", "channel.tips.moderation"),
             ("channel.chatbot.modules", "channel.chatbot.modules.pyramid"),
             ("channel.chatbot.modules.pyramid", "channel.chatbot.modules")])
async def no_other_topics(stage, me, topic, other):
    """Who subscribes to {topic} gets nothing of {other}."""
    socket = await connect(me, gateway=2)
    await subscribe(socket, topic, await me.token())
    await me.publish(other, {"n": 1}, room=me.tenant)
    await me.publish(topic, {"n": 2}, room=me.tenant)
    assert (await next_message(socket))["data"] == {"n": 2}


# 6. Errors; each code's own cases are above


@case("astro", "6 ¶1")
async def errors_do_not_close(stage, me):
    """After every kind of error the connection is open and its subscriptions go on."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    await subscribe(socket, "channel.activities", await me.token())
    await fails(socket, command("channel.nope"), "err_bad_request")
    await fails(socket, command("channel.activities", "wrong"), "err_unauthorized")
    await fails(socket, {"type": "authenticate"}, "invalid_message_type")
    await socket.raw(burst(["{"] * 200))
    assert "rate_limit_exceeded" in {answer["error"] for answer in await answers(socket)}
    await channel.happens()
    await next_message(socket)


# 7. Graceful shutdown and reconnect token


def reconnect_key_file():
    """Where the suite's gateways have the key of their reconnect tokens."""
    home = pathlib.Path(os.environ.get("CROSSPOINT_HOME", pathlib.Path(__file__).parents[2] / ".crosspoint"))
    return home / "reconnect.key"


@contextlib.asynccontextmanager
async def own_gateway(stage, **environment):
    """A gateway that the case may end."""
    gateway = await stage.gateway(GATEWAY_RECONNECT_KEY_FILE=reconnect_key_file(), **environment)
    try:
        yield gateway
    finally:
        if gateway.process.returncode is None:
            gateway.signal(signal.SIGKILL)
            await gateway.ended()


async def farewell(socket, timeout=10):
    """The `reconnect` message of a gateway that drains; its token."""
    message = check(await socket.until(lambda each: each.get("type") == "reconnect", timeout))
    assert set(message["data"]) == {"message", "reconnect_token"}, message
    assert message["data"]["message"] == "The server is shutting down.", message
    return message["data"]["reconnect_token"]


async def resume(me, token, gateway=0):
    """A socket that a reconnect token has opened, and its client_id. The first message is the welcome."""
    socket = await me.open("astro", f"/?reconnect_token={token}", gateway=gateway)
    welcome = check(await socket.next())
    assert welcome["type"] == "welcome" and set(welcome["data"]) == {"message", "client_id"}, welcome
    return socket, welcome["data"]["client_id"]


async def shut_out(me, token, gateway=0):
    """Asserts that a reconnect token opens nothing: no message, only the close."""
    socket = await me.open("astro", f"/?reconnect_token={token}", gateway=gateway)
    try:
        message = await socket.next()
    except edge.Closed as closed:
        assert (closed.code, closed.reason) == BAD_TOKEN, closed
    else:
        raise AssertionError(f"the token is answered with {message}")


async def left_behind(me, gateway, topics, token):
    """A socket on a gateway with subscriptions and its client_id, ready to be sent away."""
    socket = await me.open("astro", gateway=gateway)
    welcome = check(await socket.next())
    for topic in topics:
        await subscribe(socket, topic, token)
    return socket, welcome["data"]["client_id"]


async def leave(socket):
    """Closes a connection and waits until the gateway has taken it."""
    await socket.close()
    await socket.closing()


@case("astro", "7 •1", "2 ¶1", "2 type", "README#3 •4", "README#1 Resume")
async def reconnect_for_everybody(stage, me):
    """A gateway that drains sends each client one `reconnect` with a token of its own, subscribed or not."""
    async with own_gateway(stage) as gateway:
        sockets = [await connect(me, gateway=gateway) for _ in range(4)]
        for socket in sockets[:2]:
            await subscribe(socket, "channel.activities", await me.token())
        gateway.signal()
        tokens = [await farewell(socket) for socket in sockets]
        assert len(set(tokens)) == 4
        for socket in sockets:
            await socket.silence(0.3)
            assert socket.is_open


@case("astro", "7 •2", "3 ¶3", "2 type", "README#5 •4")
@case.table([0, 1, "haproxy"])
async def subscriptions_restored(stage, me, replica):
    """The token opens on another gateway ({replica}): the same client_id, the same subscriptions, and no responses."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    async with own_gateway(stage) as gateway:
        old, client = await left_behind(me, gateway, ["channel.activities", "stream.started", "channel.tips"], token)
        await unsubscribe(old, "channel.tips")
        gateway.signal()
        ticket = await farewell(old)
        await leave(old)
    new, again = await resume(me, ticket, replica)
    assert again == client, f"client_id was {client}, is {again}"
    await new.silence(0.5)
    await channel.happens()
    assert (await next_message(new))["topic"] == "channel.activities"
    await live_stream(stage, token)
    assert (await next_message(new))["topic"] == "stream.started"
    assert await unsubscribe(new, "channel.activities") == ""
    await quiet([new], channel)


@case("astro", "7 •2", "7 •6", "9 ¶1", "README#5 •4")
@case.table([0, 1])
async def gap_replayed(stage, me, replica):
    """What happened while nobody was connected comes after the welcome, once and in order; then what happens next."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], token)
        await channel.happens("before")
        assert usernames([await next_message(old)]) == ["before"]
        gateway.signal()
        ticket = await farewell(old)
        await leave(old)
    missed = [f"missed-{number}" for number in range(12)]
    for username in missed:
        await channel.happens(username)
    new, _ = await resume(me, ticket, replica)
    await channel.happens("after")
    heard = [await next_message(new) for _ in range(13)]
    assert usernames(heard) == missed + ["after"], usernames(heard)
    await new.silence(0.5)


@case("astro", "7 •6", "4 •1", "README#6 •5")
async def gap_of_others(stage, me):
    """What is replayed is what the subscriptions ask for: nothing of another channel, another topic or another room."""
    channel, other = await Channel.make(stage, me.tenant), await Channel.make(stage, f"{me.tenant}-b")
    token = await me.token()
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], token)
        gateway.signal()
        ticket = await farewell(old)
        await leave(old)
    await other.happens("theirs")
    await live_stream(stage, token)
    await channel.happens("mine")
    new, _ = await resume(me, ticket)
    assert usernames([await next_message(new)]) == ["mine"]
    await new.silence(0.5)


@case("astro", "7 •5", "9 ¶1")
async def overlap(stage, me):
    """The old connection goes on delivering beside the new one, and an event on both has the same id."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], token)
        gateway.signal()
        ticket = await farewell(old)
        await channel.happens("old only")
        first = await next_message(old)
        new, _ = await resume(me, ticket)
        await channel.happens("both")
        second = await next_message(old)
        assert usernames([first, second]) == ["old only", "both"]
        assert [await next_message(new) for _ in range(2)] == [first, second]
        await leave(old)
        await channel.happens("new only")
        assert usernames([await next_message(new)]) == ["new only"]
        await new.silence(0.5)


@case("astro", "7 •5", "7 •6")
async def replayed_from_the_token_on(stage, me):
    """The replay begins where the token was made: what the old connection still delivered comes again, id and all."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], token)
        await channel.happens("before")
        await next_message(old)
        gateway.signal()
        ticket = await farewell(old)
        await channel.happens("delivered")
        delivered = await next_message(old)
        await leave(old)
    await channel.happens("missed")
    new, _ = await resume(me, ticket)
    heard = [await next_message(new) for _ in range(2)]
    assert usernames(heard) == ["delivered", "missed"] and heard[0] == delivered, heard
    await new.silence(0.5)


@case("astro", "7 •6", "9 ¶1", slow=True)
async def long_gap(stage, me):
    """However many events happened in between (1,500), each comes once and in order, without too slow a client."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], token)
        gateway.signal()
        ticket = await farewell(old)
        await leave(old)
    began = time.monotonic()
    await asyncio.gather(*(several(channel, f"m{maker}-", 75) for maker in range(20)))
    assert time.monotonic() - began < 80, "too slow to make 1,500 activities before the token ends"
    new, _ = await resume(me, ticket)
    await channel.happens("after")
    heard = [await next_message(new, 30) for _ in range(1501)]
    assert [message["data"]["sessionEventsCount"] for message in heard] == list(range(1, 1502))
    assert len({message["id"] for message in heard}) == 1501 and usernames(heard)[-1] == "after"
    await new.silence(0.5)


@case("astro", "7 •5", "6 err_internal_error", "README#7 Astro")
async def commands_after_the_farewell(stage, me):
    """After its `reconnect` a connection takes no more commands: each is err_internal_error, and events go on."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], token)
        gateway.signal()
        ticket = await farewell(old)
        await fails(old, command("stream.started", token), "err_internal_error")
        await fails(old, command("channel.activities", type="unsubscribe"), "err_internal_error")
        await channel.happens()
        await next_message(old)
        new, _ = await resume(me, ticket)
        await next_message(new)
        await live_stream(stage, token)
        await channel.happens("last")
        for socket in (old, new):
            assert usernames([await next_message(socket)]) == ["last"]


@case("astro", "7 •5", "8 Close codes", "README#3 •4", "README#7 all (4)", slow=True)
async def drain_ends(stage, me):
    """A client that stays is served until the drain ends within 30 s, then closed with 1001; the gateway exits 0."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], token)
        began = time.monotonic()
        gateway.signal()
        await farewell(old)
        await asyncio.sleep(15)
        await channel.happens("late")
        assert usernames([await next_message(old)]) == ["late"]
        await me.gone(old, 1001, timeout=30)
        lasted = time.monotonic() - began
        assert 20 < lasted < 31, f"closed after {lasted:.1f} s"
        assert await gateway.ended() == 0
        assert time.monotonic() - began < 32


@case("astro", "1 Draining server", "README#3 •4")
@case.table(["/", "/ws", "/?reconnect_token=x"])
async def draining_refuses(stage, me, path):
    """While a gateway drains, an upgrade of {path} is refused with 502."""
    async with own_gateway(stage) as gateway:
        socket = await connect(me, gateway=gateway)
        gateway.signal()
        await farewell(socket)
        refusal = await me.refused("astro", path, gateway=gateway)
        assert refusal.status == 502, refusal


@case("astro", "7 •4", "7 •3", "README#7 Astro")
async def single_use(stage, me):
    """A reconnect token opens once: shown again, on the same replica or the other, it is closed with 1008."""
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], await me.token())
        gateway.signal()
        ticket = await farewell(old)
    first, _ = await resume(me, ticket)
    for replica in (0, 1):
        await shut_out(me, ticket, replica)
    await works(first)
    await leave(first)
    await shut_out(me, ticket, 1)


@case("astro", "7 •4")
async def single_use_at_once(stage, me):
    """Of many uses of one reconnect token at the same moment on both replicas one opens."""
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, ["channel.activities"], await me.token())
        gateway.signal()
        ticket = await farewell(old)
    sockets = await asyncio.gather(*(
        me.open("astro", f"/?reconnect_token={ticket}", gateway=number % 2) for number in range(10)))
    outcomes = await asyncio.gather(*(socket.next() for socket in sockets), return_exceptions=True)
    welcomes = [each for each in outcomes if isinstance(each, dict)]
    closes = [(each.code, each.reason) for each in outcomes if isinstance(each, edge.Closed)]
    assert len(welcomes) == 1 and closes == [BAD_TOKEN] * 9, outcomes


def parts_of(token):
    """The header and the claims of a JWT."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (header, claims))


def encoded(value):
    text = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(header, claims, key):
    """A JWT, HS256 whatever its header says."""
    content = f"{encoded(header)}.{encoded(claims)}"
    return f"{content}.{encoded(hmac.digest(key, content.encode(), 'sha256'))}"


def reconnect_key(token):
    """The key that signed this token: what the key file holds, as bytes or in hexadecimal digits."""
    text = reconnect_key_file().read_bytes().strip()
    candidates = [text]
    with contextlib.suppress(ValueError):
        candidates.insert(0, bytes.fromhex(text.decode()))
    content, _, signature = token.rpartition(".")
    for key in candidates:
        if hmac.compare_digest(encoded(hmac.digest(key, content.encode(), "sha256")), signature):
            return key
    raise AssertionError("the token is not signed HS256 with the key that the gateways share")


async def reconnect_token(stage, me, topics=("channel.activities",)):
    """A reconnect token that nobody has used."""
    async with own_gateway(stage) as gateway:
        old, client = await left_behind(me, gateway, topics, await me.token())
        gateway.signal()
        return await farewell(old), client


@case("astro", "7 •4", "README#5 •1")
async def token_form(stage, me):
    """A reconnect token is a URL-safe HS256 JWT of at most 4 KiB under the shared key: aud, iat, exp (+120 s), jti."""
    token, _ = await reconnect_token(stage, me)
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", token) and len(token) <= 4096, token
    reconnect_key(token)
    header, claims = parts_of(token)
    assert header["alg"] == "HS256", header
    assert isinstance(claims["jti"], str) and claims["jti"] and claims["aud"], claims
    assert abs(claims["exp"] - claims["iat"] - 120) <= 1 and abs(claims["iat"] - time.time()) < 30, claims


@case("astro", "7 •3", "1 Query", "8 Close codes", "README#2 •3")
@case.table([("an empty one", ""), ("a word", "x"), ("dots", ".."), ("three words", "a.b.c"),
             ("4 KiB of a", "a" * 4096)])
async def no_reconnect_token(stage, me, what, token):
    """What is no reconnect token ({what}) is let in and closed with 1008 without a welcome, on any listener."""
    for dialect in ("astro", "source-saver", "airys"):
        socket = await me.open(dialect, f"/?reconnect_token={token}")
        try:
            message = await socket.next()
        except edge.Closed as closed:
            assert (closed.code, closed.reason) == BAD_TOKEN, closed
        else:
            raise AssertionError(f"the token is answered with {message}")


@case("astro", "7 •3", "7 •4")
@case.table([
    "altered claims", "another signature", "no signature", "no header", "alg none", "alg none, signed", "another key",
    "HS512 in the header", "the past as its end", "no end", "another audience", "a fourth part",
])
async def forged_token(stage, me, what):
    """A reconnect token with {what} is closed with 1008, and the true one opens afterwards."""
    token, _ = await reconnect_token(stage, me)
    key = reconnect_key(token)
    header, claims = parts_of(token)
    content, _, signature = token.rpartition(".")
    fresh = claims | {"jti": secrets.token_hex(13).upper()}
    now = int(time.time())
    forged = {
        "altered claims": lambda: f"{encoded(header)}.{encoded(claims | {'exp': claims['exp'] + 60})}.{signature}",
        "another signature": lambda: f"{content}.{encoded(secrets.token_bytes(32))}",
        "no signature": lambda: f"{content}.",
        "no header": lambda: f".{encoded(claims)}.{signature}",
        "alg none": lambda: f"{encoded(header | {'alg': 'none'})}.{encoded(fresh)}.",
        "alg none, signed": lambda: signed(header | {"alg": "none"}, fresh, key),
        "another key": lambda: signed(header, fresh, secrets.token_bytes(32)),
        "HS512 in the header": lambda: signed(header | {"alg": "HS512"}, fresh, key),
        "the past as its end": lambda: signed(header, fresh | {"iat": now - 240, "exp": now - 120}, key),
        "no end": lambda: signed(header, {name: fresh[name] for name in fresh if name != "exp"}, key),
        "another audience": lambda: signed(header, fresh | {"aud": "crosspoint"}, key),
        "a fourth part": lambda: f"{token}.{signature}",
    }[what]()
    for replica in (0, 1):
        await shut_out(me, forged, replica)
    await resume(me, token)


@case("astro", "7 •3", "7 •4")
async def forged_well(stage, me):
    """What the cases of forged tokens change is what closes them: the same token, signed again as it was, opens."""
    token, client = await reconnect_token(stage, me)
    header, claims = parts_of(token)
    again = signed(header, claims | {"jti": secrets.token_hex(13).upper()}, reconnect_key(token))
    assert (await resume(me, again))[1] == client


@case("astro", "7 •3", "README#5 •1")
@case.table(["jwt", "apikey", "oauth2"])
async def access_token_as_reconnect_token(stage, me, kind):
    """An access token of kind {kind} is no reconnect token."""
    await shut_out(me, await me.token(kind))


@case("astro", "7 •4", "README#5 •1", "6 err_unauthorized")
async def reconnect_token_as_access_token(stage, me):
    """A reconnect token is no access token, of whatever token_type."""
    token, _ = await reconnect_token(stage, me)
    socket = await connect(me)
    for kind in ("jwt", "apikey", "oauth2"):
        await fails(socket, command("channel.activities", token, token_type=kind), "err_unauthorized")
    await resume(me, token)


@case("astro", "7 •4", "4 •4")
async def restored_subscription_expires(stage, me):
    """A restored subscription ends with the token that it was made with, as if nothing had been between."""
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, [], None)
        await subscribe(old, "channel.activities", await me.token(ttl=8))
        gateway.signal()
        ticket = await farewell(old)
        await leave(old)
    new, _ = await resume(me, ticket)
    answer = check(await new.next(15))
    assert answer.get("error") == "err_unauthorized" and "nonce" not in answer, answer
    assert answer["data"]["topic"] == "channel.activities" and answer["data"]["room"] == me.tenant
    await quiet([new], await Channel.make(stage, me.tenant))


@case("astro", "7 •2", "README#7 all (5)")
@case.table(["jwt", "apikey", "oauth2"])
async def revoked_meanwhile(stage, me, kind):
    """Nothing is delivered on the word of a token of kind {kind} that was revoked between the two connections."""
    channel = await Channel.make(stage, me.tenant)
    credential = await stage.credential(kind, me.tenant)
    async with own_gateway(stage) as gateway:
        old, _ = await left_behind(me, gateway, [], None)
        await subscribe(old, "channel.activities", credential["token"], token_type=kind)
        gateway.signal()
        ticket = await farewell(old)
        await leave(old)
    await channel.happens("missed")
    answer = await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
    assert answer.status == 204, answer
    new = await me.open("astro", f"/?reconnect_token={ticket}")
    await channel.happens("later")
    with contextlib.suppress(edge.Closed):
        await new.silence(2, is_message)


@case("astro", "7 •2", "7 •4", "README#7 Astro", alone=True)
async def resumed_while_auth_is_away(stage, me):
    """While auth stands still a reconnect token opens all the same, but not twice on the same replica."""
    channel = await Channel.make(stage, me.tenant)
    ticket, client = await reconnect_token(stage, me)
    with halted("auth"):
        new, again = await resume(me, ticket)
        assert again == client
        await shut_out(me, ticket)
    await channel.happens()
    await next_message(new)


@case("astro", "7 •4", "8 Subscriptions", slow=True)
async def many_subscriptions_restored(stage, me):
    """With 256 subscriptions the token is still at most 4 KiB, and restores them all."""
    token = await me.token()
    async with own_gateway(stage) as gateway:
        old, client = await left_behind(me, gateway, [], None)
        await subscribe_many(old, token, 256)
        gateway.signal()
        ticket = await farewell(old)
        assert len(ticket) <= 4096, f"the token has {len(ticket)} bytes"
        await leave(old)
    new, again = await resume(me, ticket, gateway=2)
    assert again == client
    for number in range(256):
        room = f"station-{number}"
        await me.publish("radio.now_playing", {"station_id": room}, room=room)
    heard = [(await next_message(new))["room"] for _ in range(256)]
    assert heard == [f"station-{number}" for number in range(256)]


async def subscribe_many(socket, token, count):
    """Subscribes to the rooms station-0, station-1, …, no faster than the rate limit allows."""
    began = time.monotonic()
    for number in range(count):
        if number > 80:
            await asyncio.sleep(max(0, (number - 80) / 9 - (time.monotonic() - began)))
        await subscribe(socket, "radio.now_playing", token, f"station-{number}")


# 8. Heartbeat, limits, close codes


@case("astro", "8 Heartbeat", "README#1 Heartbeat", slow=True)
async def heartbeat(stage, me):
    """A PING frame comes every 30 s and no message; who answers it is still connected after 95 s."""
    socket = await connect(me)
    began, pings = time.monotonic(), []
    while time.monotonic() - began < 95:
        await asyncio.sleep(0.2)
        if len(socket.pings) > len(pings):
            pings.append(time.monotonic() - began)
    assert len(pings) == 3, f"PINGs after {pings}"
    gaps = [after - before for before, after in zip([0] + pings, pings)]
    assert all(27 < gap < 33 for gap in gaps), f"PINGs after {pings}"
    assert await socket.drained() == [] and socket.is_open
    await works(socket)


@case("astro", "8 Heartbeat", "8 Close codes", slow=True)
async def silent_client(stage, me):
    """A client that sends nothing, not even a PONG, is closed with 1008 after 70 s."""
    socket = await me.open("astro")
    socket.answers_pings = False
    check(await socket.next())
    began = time.monotonic()
    await me.gone(socket, 1008, timeout=85)
    lasted = time.monotonic() - began
    assert 68 < lasted < 80, f"closed after {lasted:.1f} s"
    assert len(socket.pings) == 2, socket.pings


@case("astro", "8 Heartbeat", "README#3 •1")
@case.table([("", b""), ("short", b"hello"), ("of 125 bytes", b"p" * 125)])
async def ping_answered(stage, me, what, payload):
    """A client's PING, its payload {what}, is answered with the same payload."""
    socket = await connect(me)
    await socket.frame(edge.PING, payload)
    async with asyncio.timeout(10):
        while not socket.pongs:
            await asyncio.sleep(0.02)
    assert socket.pongs == [payload], socket.pongs


@case("astro", "8 Command rate", "6 rate_limit_exceeded", "2 nonce", "README#1 Rate limit")
@case.table([
    ("good", json.dumps(command("channel.tips", type="unsubscribe", nonce="good")), None),
    ("bad", json.dumps(command("channel.nope", nonce="bad")), "err_bad_request"),
    ("malformed", "{", "err_bad_request"),
])
async def command_rate(stage, me, what, text, error):
    """Of {what} commands 100 are taken at once and 10 more a second; of the others one a second gets rate_limit_exceeded."""
    socket, beside = await connect(me), await connect(me)
    began = time.monotonic()
    await socket.raw(burst([text] * 300))
    replies = await answers(socket)
    lasted = time.monotonic() - began
    most = 100 + 10 * lasted + 1
    refused = [each for each in replies if each.get("error") == "rate_limit_exceeded"]
    taken = [each for each in replies if each.get("error") == error]
    assert len(refused) + len(taken) == len(replies), f"{len(refused)} and {len(taken)} of {len(replies)} answers"
    assert 1 <= len(refused) <= 1 + lasted, f"{len(refused)} refused in {lasted:.1f} s"
    assert 100 <= len(taken) <= most, f"{len(taken)} taken, not 100 to {most:.0f}"
    assert all("nonce" not in each and set(each["data"]) == {"message"} for each in refused), refused[0]
    await works(beside)
    await asyncio.sleep(1.2)
    await socket.raw(burst([text] * 10))
    assert {each.get("error") for each in await answers(socket)} == {error}


@case("astro", "8 Command rate", "6 rate_limit_exceeded")
async def overflow_is_dropped(stage, me):
    """A command beyond the rate is not carried out, and the connection with its subscriptions goes on."""
    socket, channel = await connect(me), await Channel.make(stage, me.tenant)
    await subscribe(socket, "channel.activities", await me.token())
    leaving = command("channel.activities", type="unsubscribe", nonce="leave")
    await socket.raw(burst(["{"] * 400 + [leaving]))
    replies = await answers(socket)
    assert "rate_limit_exceeded" in {reply.get("error") for reply in replies}, replies[-1]
    assert all("error" in reply for reply in replies), f"the last of 401 commands was taken: {replies[-1]}"
    await channel.happens()
    await next_message(socket)


@case("astro", "8 Command rate", "8 Close codes", "6 ¶1")
async def flood_is_closed(stage, me):
    """More than 1000 commands beyond the rate within ten seconds close with 1008; others go on."""
    socket, beside = await connect(me), await connect(me)
    await socket.raw(burst(["{}"] * 1000))
    assert "rate_limit_exceeded" in {answer["error"] for answer in await answers(socket)}
    await socket.raw(burst(["{}"] * 400))
    await me.gone(socket, 1008, "too many messages")
    await works(beside)


@case("astro", "8 Subscriptions", "6 err_bad_request", slow=True)
async def subscription_limit(stage, me):
    """A connection has 256 subscriptions; the next is err_bad_request, and there is room again after an unsubscribe."""
    socket, token = await connect(me, gateway=2), await me.token()
    await subscribe_many(socket, token, 256)
    await asyncio.sleep(1)
    answer = await fails(socket, command("channel.tips", token), "err_bad_request")
    assert "limit exceeded" in answer["data"]["message"], answer
    assert await subscribe(socket, "radio.now_playing", token, "station-7") == "station-7"
    await me.publish("channel.tips", {}, room=me.tenant)
    for room in ("station-0", "station-255"):
        await me.publish("radio.now_playing", {"station_id": room}, room=room)
        assert (await next_message(socket))["room"] == room
    await unsubscribe(socket, "radio.now_playing", "station-0")
    await subscribe(socket, "channel.tips", token)


@case("astro", "8 Close codes")
@case.table([1000, 1001, 3000, 4999, None])
async def client_closes(stage, me, code):
    """A client's CLOSE with {code} is answered with the same."""
    socket = await connect(me)
    await socket.close(code)
    assert (await socket.closing())[0] == (code or 1005)


@case("astro", "8 Close codes", "README#3 •2", "README#7 all", alone=True)
async def slow_consumer(stage, me):
    """Who reads nothing while more than 4 MiB of events wait is closed with 1008; others there miss nothing."""
    token = await me.token()
    slow = await connect(me, gateway=2, receive_buffer=131_072)
    brisk = await connect(me, gateway=2)
    for socket in (slow, brisk):
        await subscribe(socket, "channel.tips", token)
    slow.pause()
    tip = {"type": "channel.tips", "tenant": me.tenant, "room": me.tenant, "durable": True}
    await stage.publish_all([tip | {"data": {"number": number, "note": "x" * 250_000}} for number in range(44)])
    for number in range(44, 49):
        await asyncio.sleep(0.3)
        await me.publish("channel.tips", {"number": number}, room=me.tenant)
    slow.resume()
    await me.gone(slow, 1008, "too slow", timeout=20)
    assert [(await next_message(brisk))["data"]["number"] for _ in range(49)] == list(range(49))


# 9. Ordering and delivery


@case("astro", "9 ¶1")
async def order(stage, me):
    """Events of a topic and room come once each and in their order, the same on both replicas, whoever makes them."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    sockets = [await connect(me, gateway=gateway) for gateway in (0, 1)]
    for socket in sockets:
        await subscribe(socket, "channel.activities", token)
    await asyncio.gather(*(several(channel, maker, 15) for maker in "abcd"))
    heard = [[await next_message(socket) for _ in range(60)] for socket in sockets]
    assert heard[0] == heard[1], "the replicas differ"
    for maker in "abcd":
        assert [name for name in usernames(heard[0]) if name[0] == maker] == [f"{maker}{n}" for n in range(15)]
    counts = [message["data"]["sessionEventsCount"] for message in heard[0]]
    assert counts == sorted(counts), counts
    for socket in sockets:
        assert await answers(socket) == []


async def several(channel, maker, count):
    for number in range(count):
        await channel.happens(f"{maker}{number}")


@case("astro", "9 ¶1", "3 •1")
async def responses_and_events(stage, me):
    """The response to a subscribe comes before its first event, and after that to an unsubscribe none comes."""
    channel, token = await Channel.make(stage, me.tenant), await me.token()
    stop = asyncio.Event()
    busy = asyncio.create_task(go_on(channel, stop))
    try:
        socket = await connect(me)
        for _ in range(6):
            await socket.send(command("channel.activities", token, nonce="on"))
            assert check(await socket.next()).get("nonce") == "on"
            for _ in range(3):
                await next_message(socket)
            await unsubscribe(socket, "channel.activities")
            await socket.silence(0.3)
    finally:
        stop.set()
        await busy


async def go_on(channel, stop):
    """Makes activities happen, one after the other, until it is told to stop."""
    while not stop.is_set():
        await channel.happens()
