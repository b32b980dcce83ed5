"""Malformed input: what each dialect answers, and that the connection lives on, or that the others do.

The rows are in malformed/, a file a dialect: `name | answer | what is sent`, split at the first two bars between
blanks. In what is sent, `\\xNN` is that octet and `<text*number>` is the text so many times; `$token` is a good
credential, `$tenant` its channel. Everything else is sent as it stands, so `\\u` and `\\n` are JSON's own. The
answer is one of these, or several with `or` between:

    a word          the code of an error, or the kind of another reply; with a second word the field that WAVE blames
    nothing         no message comes, and the connection lives
    close 1009      the code that the connection is closed with; after a word: first that answer

malformed/heads.txt is of HTTP: `name | dialect's port | status | what is sent`, where `\\r`, `\\n` and `\\t` are
octets, too, and `$head` is the rest of a good head.
"""

import json
import pathlib
import re

import edge
from cases import case
from edge import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame_bytes

FOLDER = pathlib.Path(__file__).resolve().parent / "malformed"
GOOD_FIELDS = (b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")

# Which clause of the contract an answer shows.
CLAUSES = {
    "source-saver": {
        "INVALID_JSON": "6 message_error", "INVALID_MESSAGE": "6 message_error", "UNKNOWN_ACTION": "6 message_error",
        "INVALID_EVENTS": "6 subscription_error (2)", "INVALID_EVENT_PATTERN": "6 subscription_error",
        "pong": "3.3 ¶1", "subscription:confirmed": "3.1 events", "subscription:updated": "3.2 •2",
        "close 1003": "1 Frames", "close 1009": "1 Inbound size limit"},
    "astro": {
        "err_bad_request": "6 err_bad_request", "err_unauthorized": "6 err_unauthorized", "response": "2 nonce",
        "invalid_message_type": "6 invalid_message_type", "nothing": "1 Frames", "close 1009": "1 Inbound size"},
    "wave": {
        "VALIDATION_ERROR": "5 VALIDATION_ERROR", "NOT_FOUND": "5 NOT_FOUND", "pong": "3 ping", "nothing": "3 pong",
        "subscribed": "3 subscribe", "unsubscribed": "3 unsubscribe", "close 1009": "1 Inbound size"},
    "grimnir": {"nothing": "2 ¶2", "close 1009": "2 ¶2"},
    "airys": {
        "pong": "4 heartbeat / ping", "heartbeat": "4 heartbeat / ping", "subscribed": "4 subscribe",
        "unsubscribed": "4 unsubscribe", "AUTH_FAILED": "2 Bad token", "INVALID_EVENT": "6 •3",
        "NOT_AUTHENTICATED": "2 Any other message before auth", "ALREADY_AUTHENTICATED": "2 Second auth",
        "CAMERA_NOT_FOUND": "4 ¶1", "INVALID_SETTINGS": "4 ¶1",
        "close 1003": "8 Binary", "close 1009": "8 Message size"},
}
OTHERWISE = {"airys": "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U"}

ERROR_TYPES = {"INVALID_JSON": "message_error", "INVALID_MESSAGE": "message_error", "UNKNOWN_ACTION": "message_error",
               "INVALID_EVENTS": "subscription_error", "INVALID_EVENT_PATTERN": "subscription_error"}


def lines(name, parts):
    """The rows of a file."""
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            # The blank at the end of a row that sends nothing may be missing.
            *columns, sent = f"{line} ".split(" | ", parts - 1)
            yield *columns, sent[:-1]


def clause(dialect, answer):
    """The clause that an answer shows."""
    word = answer.split(" or ")[0]
    known = CLAUSES[dialect]
    return known.get(word) or known.get(word.split(" ")[0]) or OTHERWISE.get(dialect, "README#3 •1")


def rows(name, dialect):
    """The rows of a dialect's file: clause, name, answer, what is sent."""
    return [(clause(dialect, answer), title, answer, Text(sent)) for title, answer, sent in lines(name, 3)]


class Text(str):
    """What is sent, as it stands in the file; short where it is printed."""

    def __str__(self):
        return self[:40]

    def octets(self, is_head=False, **known):
        """What goes over the wire."""
        text = self[:]
        for name, value in known.items():
            text = text.replace(f"${name}", value)
        text = re.sub(r"<([^<>]*)\*(\d+)>", lambda found: found[1] * int(found[2]), text)
        text = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode())
        for letter, octet in (b"r\r", b"n\n", b"t\t") if is_head else ():
            text = text.replace(bytes([0x5C, letter]), bytes([octet]))
        return text


# What came, in one or two words, and whether it has the shape that the contract gives it.

def said_by_source_saver(message, sent):
    assert set(message) == {"event", "data", "timestamp", "id"} and message["id"].startswith("msg-"), message
    data = message["data"]
    if message["event"] == "pong":
        assert data["clientTimestamp"] == (sent or {}).get("timestamp"), f"not verbatim: {str(data)[:300]}"
    if message["event"] != "error":
        return message["event"]
    assert set(data) == {"type", "code", "message"} and data["message"], data
    assert data["type"] == ERROR_TYPES[data["code"]], data
    if data["code"] == "INVALID_EVENT_PATTERN":
        assert data["message"].startswith("Invalid event pattern: "), data
        assert data["message"].removeprefix("Invalid event pattern: ") in sent["events"], data
    return data["code"]


def said_by_astro(message, sent):
    nonce = (sent or {}).get("nonce")
    expected = {"id", "ts", "type", "data"}
    if isinstance(nonce, str) and len(nonce) <= 128:
        expected.add("nonce")
        assert message.get("nonce") == nonce, f"nonce: {message}"
    assert set(message) - {"error"} == expected and message["type"] == "response", message
    assert isinstance(message["data"]["message"], str) and message["data"]["message"], message
    return message.get("error", "response")


def said_by_wave(message, sent):
    assert set(message) - {"id", "timestamp"} == {"type", "payload"}, message
    if message["type"] != "error":
        return message["type"]
    payload = message["payload"]
    assert set(payload) == {"code", "message", "details"} and payload["message"], payload
    if isinstance((sent or {}).get("type"), str):
        assert payload["details"].get("request_type") == sent["type"], payload
    if payload["code"] == "NOT_FOUND":
        assert payload["details"]["stream_id"] == sent["stream_id"], payload
    if payload["code"] != "VALIDATION_ERROR":
        return payload["code"]
    assert set(payload["details"]) >= {"field", "reason"}, payload
    return f"VALIDATION_ERROR {payload['details']['field']}"


def said_by_airys(message, sent):
    assert set(message) == {"type", "data"}, message
    data, identifier = message["data"], (sent or {}).get("request_id")
    if isinstance(identifier, str) and len(identifier) <= 64:
        assert data.get("request_id") == identifier, f"request_id: {message}"
    else:
        assert "request_id" not in data, message
    if message["type"] != "error":
        return message["type"]
    assert set(data) - {"request_id"} == {"code", "message", "details"}, data
    assert data["message"] and data["details"] == {}, data
    return data["code"]


SAID = {"source-saver": said_by_source_saver, "astro": said_by_astro, "wave": said_by_wave, "airys": said_by_airys}


def understood(octets):
    """The object that was sent; None if it is no JSON object, or none that a gateway has to read."""
    def refuse(word):
        raise ValueError(word)
    try:
        sent = json.loads(octets.decode(), parse_constant=refuse)
        json.dumps(sent, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return sent if isinstance(sent, dict) and depth(sent) <= 128 else None


def depth(value):
    """How many levels of objects and arrays a value has."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


# Connections

async def opened(me, dialect, token):
    """A connection of that dialect that is ready for messages."""
    if dialect == "source-saver":
        return await me.open(dialect, address=me.loopback)
    if dialect == "astro":
        socket = await me.open(dialect)
        assert (await socket.next())["type"] == "welcome"
        return socket
    if dialect == "wave":
        return await me.open(dialect, f"/v1/streams?api_key={token}")
    if dialect == "grimnir":
        return await me.open(dialect, f"/api/v1/events?token={token}")
    if dialect == "airys before auth":
        return await me.open("airys", "/v1/stream")
    socket = await me.open(dialect, "/v1/stream")
    await socket.send({"type": "auth", "token": token})
    await socket.until(lambda message: message["type"] == "system")
    return socket


AIRYS_PROBE = ({"type": "ping", "request_id": "alive?"}, lambda message: message["data"].get("request_id") == "alive?")
PROBES = {
    "source-saver": ({"action": "ping", "timestamp": "alive?"},
                     lambda message: message["data"].get("clientTimestamp") == "alive?"),
    "astro": ({"type": "unsubscribe", "nonce": "alive?", "data": {"topic": "channel.chatstats"}},
              lambda message: message.get("nonce") == "alive?" and "error" not in message),
    "wave": ({"type": "ping", "timestamp": 4711}, lambda message: message["payload"].get("timestamp") == 4711),
    "airys": AIRYS_PROBE,
    "airys before auth": AIRYS_PROBE,
}


async def lives(socket, dialect):
    """Asserts that the connection answers, and that nothing else has come before."""
    if dialect == "grimnir":
        await socket.echo()
        assert all(message == {"type": "ping"} for message in await socket.drained()), "something came"
        return
    asked, fits = PROBES[dialect]
    await socket.send(asked)
    answer = await socket.next()
    assert fits(answer), f"came instead of the answer to a good message: {str(answer)[:300]}"


async def play(me, dialect, answer, send, sent=None):
    """Sends something malformed on a connection, beside which another one is open, and judges what comes."""
    token = await me.token()
    other, socket = await opened(me, dialect, token), await opened(me, dialect, token)
    await send(socket, token)
    word, _, code = answer.partition("close ")
    if word == "nothing":
        return await lives(socket, dialect)
    if word:
        message = await socket.next(20)
        said = SAID[dialect.split(" ")[0]](message, sent(token) if sent else None)
        is_one_of = any(said == each or said.startswith(f"{each} ") for each in word.strip().split(" or "))
        assert is_one_of, f"{said}: {str(message)[:300]}"
    if not code:
        return await lives(socket, dialect)
    await me.gone(socket, int(code))
    assert not await socket.drained(), "something came before the end"
    await lives(other, dialect)


def message_of(dialect):
    """The case of a row of that dialect's file."""
    async def message(stage, me, clause, name, answer, sent):
        """Malformed: {name}: {answer}"""
        def octets(token):
            return sent.octets(token=token, tenant=me.tenant)

        async def send(socket, token):
            await socket.frame(TEXT, octets(token))
        await play(me, dialect, answer, send, lambda token: understood(octets(token)))
    return message


for _dialect in ("source-saver", "astro", "wave", "grimnir", "airys", "airys before auth"):
    _plain = _dialect.split(" ")[0]
    case(_plain, "{clause}")(case.table(rows(_dialect.replace(" ", "-"), _plain))(message_of(_dialect)))


RECONNECT_TOKENS = [
    ("nothing", ""), ("a word", "null"), ("two dots", ".."), ("NUL", "%00"), ("no UTF-8", "%ff%fe"),
    ("a broken escape", "%zz"), ("4,000 letters", "t" * 4000),
    ("a token that says it needs no signature", "eyJhbGciOiJub25lIn0.eyJzdWJzIjpbXX0."),
    ("a token of three empty objects", "e30.e30.e30"), ("an access token", "$token"),
]


@case("astro", "7 •3")
@case.table(RECONNECT_TOKENS)
async def reconnect_token(stage, me, name, token):
    """Malformed reconnect_token: {name}: no welcome, close 1008"""
    token = token.replace("$token", await me.token())
    socket = await me.open("astro", f"/?reconnect_token={token}")
    await me.gone(socket, 1008, "invalid reconnect token")
    assert not await socket.drained(), "something came before the end"
    await lives(await opened(me, "astro", None), "astro")


# Frames: dialect, name, answer, frames.

HALF = b'{"type":"ping","request_id":"r-1","timest'
REST = b'amp":1}'

FRAMES = [
    ("source-saver", "a binary message", "close 1003", [frame_bytes(BINARY, b'{"action":"ping"}')]),
    ("source-saver", "an empty binary message", "close 1003", [frame_bytes(BINARY)]),
    ("source-saver", "a binary message in fragments", "close 1003",
     [frame_bytes(BINARY, b"\x00", fin=False), frame_bytes(CONTINUATION, b"\xff")]),
    ("source-saver", "a text that a binary frame goes on with", "close 1002",
     [frame_bytes(TEXT, b'{"action":', fin=False), frame_bytes(BINARY, b'"ping"}')]),
    ("source-saver", "a thousand empty fragments", "INVALID_JSON",
     [frame_bytes(TEXT, fin=False), *[frame_bytes(CONTINUATION, fin=False)] * 1000, frame_bytes(CONTINUATION)]),
    ("source-saver", "two texts, each begun and neither ended", "close 1002",
     [frame_bytes(TEXT, b'{"action"', fin=False), frame_bytes(TEXT, b'{"action"', fin=False)]),
    ("source-saver", "a text that is no UTF-8", "close 1007", [frame_bytes(TEXT, b'{"action":"p\xefng"}')]),
    ("source-saver", "Latin-1", "close 1007", [frame_bytes(TEXT, b'{"action":"ping","timestamp":"M\xfcnchen"}')]),
    ("source-saver", "a compressed text", "close 1002",
     [frame_bytes(TEXT, b"\xaaVJL.\xc9\xcc\xcfS\xb2R*\xc8\xccKW\xaa\x05\x00", rsv=4)]),
    ("source-saver", "a fragment of 65,536 octets and one more octet", "close 1009",
     [frame_bytes(TEXT, b"x" * 65536, fin=False), frame_bytes(CONTINUATION, b"x")]),
    ("astro", "a binary message", "nothing", [frame_bytes(BINARY, b"\x00\x01\x02")]),
    ("astro", "an empty binary message", "nothing", [frame_bytes(BINARY)]),
    ("astro", "a good message in a binary frame", "nothing",
     [frame_bytes(BINARY, b'{"type":"unsubscribe","nonce":"binary","data":{"topic":"channel.tips"}}')]),
    ("astro", "binary fragments between which a ping comes", "nothing",
     [frame_bytes(BINARY, b"\xff", fin=False), frame_bytes(PING), frame_bytes(CONTINUATION, b"\xfe")]),
    ("astro", "a binary message of 8,193 octets", "close 1009", [frame_bytes(BINARY, bytes(8193))]),
    ("astro", "a text that is no UTF-8", "close 1007",
     [frame_bytes(TEXT, b'{"type":"unsubscribe","nonce":"\xc0\x80"}')]),
    ("astro", "fragments without end, beyond 8 KiB together", "close 1009",
     [frame_bytes(TEXT, b"{", fin=False), *[frame_bytes(CONTINUATION, b" " * 1300, fin=False)] * 7]),
    ("astro", "an opcode that does not exist", "close 1002", [frame_bytes(5, b'{"type":"unsubscribe"}')]),
    ("wave", "a binary message", "VALIDATION_ERROR", [frame_bytes(BINARY, b"\x00\x01\x02")]),
    ("wave", "an empty binary message", "VALIDATION_ERROR", [frame_bytes(BINARY)]),
    ("wave", "a good message in a binary frame", "VALIDATION_ERROR",
     [frame_bytes(BINARY, b'{"type":"ping","timestamp":1}')]),
    ("wave", "a binary message of 65,537 octets", "close 1009", [frame_bytes(BINARY, bytes(65537))]),
    ("wave", "a surrogate in UTF-8", "close 1007", [frame_bytes(TEXT, b'{"type":"ping","x":"\xed\xa0\x80"}')]),
    ("wave", "an emoji cut in two messages", "close 1007",
     [frame_bytes(TEXT, b'"\xf0\x9f'), frame_bytes(TEXT, b'\x8e\xa5"')]),
    ("wave", "a fragment with nothing to continue", "close 1002", [frame_bytes(CONTINUATION, b'{"type":"ping"}')]),
    ("wave", "a ping frame in fragments", "close 1002",
     [frame_bytes(PING, b"a", fin=False), frame_bytes(CONTINUATION, b"b")]),
    ("wave", "a close that closes for a reason of its own", "close 4401", [frame_bytes(CLOSE, b"\x11\x31own")]),
    ("grimnir", "a binary message", "nothing", [frame_bytes(BINARY, bytes(range(256)))]),
    ("grimnir", "an empty binary message", "nothing", [frame_bytes(BINARY)]),
    ("grimnir", "a hundred empty texts", "nothing", [frame_bytes(TEXT)] * 100),
    ("grimnir", "a text that is begun and never ended", "nothing", [frame_bytes(TEXT, b"{", fin=False)]),
    ("grimnir", "a binary message of 4,097 octets", "close 1009", [frame_bytes(BINARY, bytes(4097))]),
    ("grimnir", "fragments beyond 4 KiB together", "close 1009",
     [frame_bytes(TEXT, b"x" * 4000, fin=False), frame_bytes(CONTINUATION, b"x" * 4000)]),
    ("grimnir", "a text that is no UTF-8", "close 1007", [frame_bytes(TEXT, b"\xff\xfe")]),
    ("grimnir", "a reserved bit", "close 1002", [frame_bytes(TEXT, b"{}", rsv=1)]),
    ("airys", "a binary message", "close 1003", [frame_bytes(BINARY, b"\x00\x01\x02")]),
    ("airys", "an empty binary message", "close 1003", [frame_bytes(BINARY)]),
    ("airys before auth", "a binary message before the login", "close 1003", [frame_bytes(BINARY, b'{"type":"auth"}')]),
    ("airys", "a text cut in two, the second half first", "close 1002",
     [frame_bytes(CONTINUATION, REST), frame_bytes(TEXT, HALF, fin=False)]),
    ("airys", "a text cut in two messages", "INVALID_MESSAGE", [frame_bytes(TEXT, HALF)]),
    ("airys", "a good text whose characters lie across every kilobyte", "pong",
     [frame_bytes(TEXT, b'{"type":"ping","timestamp":"' + "µ".encode() * 30_001 + b'"}')]),
    ("airys", "a text that is no UTF-8 at its 1,000,000th octet", "close 1007",
     [frame_bytes(TEXT, b"x" * 999_999 + b"\xff" + b"x" * 9)]),
    ("airys", "fragments beyond 1 MiB together", "close 1009",
     [frame_bytes(TEXT, b"x" * 700_000, fin=False), frame_bytes(CONTINUATION, b"x" * 700_000, fin=False)]),
]


def frames_of(dialect):
    """The case of a row of FRAMES."""
    async def frames(stage, me, clause, name, answer, sent):
        """Malformed: {name}: {answer}"""
        async def send(socket, token):
            await socket.raw(b"".join(sent))
        await play(me, dialect, answer, send)
    return frames


for _dialect in dict.fromkeys(row[0] for row in FRAMES):
    _plain = _dialect.split(" ")[0]
    _rows = [(clause(_plain, answer), name, answer, sent) for own, name, answer, sent in FRAMES if own == _dialect]
    case(_plain, "{clause}")(case.table(_rows)(frames_of(_dialect)))


# HTTP heads

def head_rows():
    """Clause, name, dialect, status, what is sent."""
    for name, dialect, status, sent in lines("heads", 4):
        shown = {"404": "README#2 •5", "101": "grimnir#1 types" if dialect == "grimnir" else "source-saver#1 URL",
                 "401": "grimnir#1 Bad/missing/expired credentials" if dialect == "grimnir" else "source-saver#1 Auth"}
        yield shown.get(status, "4.2.1"), name, dialect, int(status), Text(sent)


@case("rfc6455", "{clause}")
@case.table(head_rows())
async def head(stage, me, clause, name, dialect, status, sent):
    """Malformed head: {name}, on the port of {dialect}: a complete {status}, and the next connection is served"""
    source, forwarded = edge.coming_from(me.loopback if dialect == "source-saver" else me.address)
    address = f"X-Forwarded-For: {forwarded}\r\n" if forwarded else ""
    rest = address.encode() + GOOD_FIELDS + b"\r\n"
    request = sent.octets(is_head=True, token=await me.token()).replace(b"$head", rest)
    answer = await edge.exchange(stage.port(dialect), request, source=source)
    assert answer.status == status, answer
    if status != 101:
        assert answer.version == b"HTTP/1.1" and answer.headers["connection"] in ("close", "Upgrade, close"), answer.headers
        assert int(answer.headers["content-length"]) == len(answer.body), answer.headers
        assert list(answer.json) == ["error"] and isinstance(answer.json["error"], str), answer.body
    if status == 401 and dialect == "grimnir":
        assert answer.headers["www-authenticate"] == "Bearer", answer.headers
        assert answer.json == {"error": "unauthorized"}, answer.body
    await lives(await opened(me, "source-saver", None), "source-saver")
