"""Cases of docs/dialects/airys.md."""

import asyncio
import base64
import json
import re
import secrets
import time

import edge
from cases import case
from stage import free_ports

PATH = "/v1/stream"
MIB = 1_048_576
OWN = {"stream_status", "face_detected", "analytics", "metrics"}
TRANSIENT = {"analytics", "metrics"}
FAILED, LIMITED = 4401, 4429


async def connect(me, query="", gateway=2, **more):
    """A connection that has not logged in by a message."""
    return await me.open("airys", PATH + query, gateway=gateway, **more)


async def log_in(me, token=None, gateway=2, **more):
    """A client that has logged in as the seed's does, and has been told so."""
    socket = await connect(me, gateway=gateway, **more)
    await socket.send({"type": "auth", "token": token or await me.token()})
    message = await socket.next()
    assert message["type"] == "auth_success", message
    assert_status(await socket.next(), "online")
    return socket


async def told_next(socket, timeout=10):
    """The next message, without what the system's status may be meanwhile."""
    return await socket.until(lambda message: message["type"] != "system", timeout)


async def told_so_far(socket):
    """What has come and was not taken, without the system's status."""
    await socket.echo()
    return [message for message in await socket.drained() if message["type"] != "system"]


async def ask(socket, message, timeout=10):
    """The reply to a message, known by its request_id."""
    number = secrets.token_hex(4)
    await socket.send(message | {"request_id": number})
    reply = await socket.until(lambda reply: reply["data"].get("request_id") == number, timeout)
    del reply["data"]["request_id"]
    return reply


def assert_status(message, status):
    """The message is the seed's system status; events also have an id."""
    told = {name: value for name, value in message.items() if name != "id"}
    data = {"status": status, "timestamp": message["data"].get("timestamp")}
    assert told == {"type": "system", "event": "status", "data": data}, message
    assert_now(data["timestamp"])


def assert_now(timestamp):
    """It is the time in whole seconds."""
    assert type(timestamp) is int and abs(timestamp - time.time()) <= 10, f"{timestamp!r}, and it is {time.time():.0f}"


def assert_error(message, code):
    """The message is an error of this code, in the contract's shape."""
    assert message["type"] == "error" and set(message) == {"type", "data"}, message
    data = message["data"]
    assert data["code"] == code, f"{message}, not {code}"
    assert isinstance(data["message"], str) and data["message"] and isinstance(data["details"], dict), message
    assert set(data) <= {"code", "message", "details", "request_id"}, message


async def fails(socket, message, code):
    """Sends a message that is answered by this error; the connection stays open."""
    reply = await ask(socket, message)
    assert_error(reply, code)
    assert (await ask(socket, {"type": "ping"}))["type"] in ("pong", "error"), "the connection does not answer any more"
    return reply["data"]


async def refused(me, socket, code, close):
    """The error of this code comes, and the connection is closed."""
    assert_error(await socket.until(lambda message: message["type"] == "error", timeout=15), code)
    await me.gone(socket, close)


def event(me, name, data, camera="cam_a", domain="camera."):
    """An event for `publish_all`; `name` is Airys'."""
    data = {"camera_id": camera} | data if domain else data
    return {"type": domain + name, "tenant": me.tenant, "room": camera, "durable": name not in TRANSIENT, "data": data}


async def heard(stage, me, socket, events):
    """The events among these of which the socket is told: it waits until another client has a last one, after which
    nothing more is due."""
    witness = await log_in(me)
    last = event(me, "analytics", {"last": secrets.token_hex(4)}, "cam_last")
    await stage.publish_all(events + [last])
    await witness.until(lambda message: message["data"] == last["data"])
    return [message for message in await told_so_far(socket) if message["data"] != last["data"]]


async def make_camera(stage, me, **more):
    """The id of a camera of this case's tenant."""
    body = {"name": "Conformance", "source_url": "rtsp://192.0.2.1/live"} | more
    answer = await stage.rest("POST", "camera-events", "/v1/cameras", body, await me.token())
    assert answer.status == 201, answer
    return answer.json["id"]


async def detect(stage, me, camera, body):
    """What an analyser's detection was answered with."""
    path = f"/v1/cameras/{camera}/detections"
    answer = await stage.rest("POST", "camera-events", path, body, await me.token())
    assert answer.status == 201, answer
    return answer.json


def control(action, camera="cam_123", **more):
    """A control message, its fields at the top."""
    return {"type": "stream_control", "action": action, "camera_id": camera} | more


# 1 and 2. Endpoint, handshake, authentication


@case("airys", "1 URL", "README#1 Path", "README#2 •2")
@case.table(["source-saver", "astro", "wave", "grimnir", "airys"])
async def the_path_works(stage, me, listener):
    """/v1/stream speaks Airys on the listener of {listener}."""
    socket = await me.open(listener, PATH)
    await socket.send({"type": "auth", "token": await me.token()})
    assert (await socket.next())["type"] == "auth_success"


@case("airys", "1 URL", "README#2 •2")
@case.table(["/v1/stream/", "/v1/strea", "/v1/streamx", "/v1/stream/1", "/v1", "/V1/stream"])
async def no_other_path_works(stage, me, path):
    """{path} is 404, not Airys' endpoint."""
    answer = await me.refused("airys", path)
    assert answer.status == 404, answer


@case("airys", "1 First client message", "1 System event shape", "2 Success", "4 auth", "README#1 Greeting",
      "5 auth_success, ack, subscribed, unsubscribed, heartbeat, pong", "5 system (event:\"status\")")
@case.table(["free", "pro", "enterprise"])
async def the_login_is_answered(stage, me, tier):
    """`auth` right after open (tier {tier}) is answered by auth_success with all its fields, then by the status."""
    socket = await connect(me)
    await socket.send({"type": "auth", "token": await me.token(tier=tier)})
    message = await socket.next()
    session = message["data"].pop("session_id")
    assert message == {"type": "auth_success", "data": {
        "account_id": me.tenant, "tier": tier, "max_message_size": MIB, "heartbeat_interval": 30}}, message
    assert isinstance(session, str) and session, message
    status = await socket.next()
    assert_status(status, "online")
    assert set(status) == {"type", "event", "data"}, status


@case("airys", "2 Success")
async def nothing_is_said_before_auth(stage, me):
    """Without `auth` the server says nothing; each session has an id of its own."""
    quiet = await connect(me)
    sessions = set()
    for _ in range(3):
        socket = await connect(me)
        await socket.send({"type": "auth", "token": await me.token()})
        sessions.add((await socket.next())["data"]["session_id"])
    assert len(sessions) == 3, sessions
    await quiet.echo()
    assert await quiet.drained() == []


@case("airys", "4 auth", "2 Success")
@case.table(["jwt", "oauth2", "apikey", "ticket"])
async def any_credential_logs_in(stage, me, kind):
    """A {kind} logs in."""
    if kind == "ticket":
        answer = await stage.rest("POST", "auth", "/v1/tickets", token=await me.token())
        await log_in(me, answer.json["ticket"])
    else:
        await log_in(me, await me.token(kind))


@case("airys", "2 Pre-auth credentials")
@case.table([("query", "jwt"), ("query", "oauth2"), ("query", "apikey"), ("header", "jwt"), ("header", "apikey")])
async def the_handshake_may_log_in(stage, me, place, kind):
    """A token in the handshake ({place}, {kind}) logs in; an auth message is unnecessary, but accepted once."""
    token = await me.token(kind)
    if place == "query":
        socket = await connect(me, f"?token={token}")
    else:
        socket = await connect(me, headers={"Authorization": f"Bearer {token}"})
    assert (await socket.next())["type"] == "auth_success"
    assert_status(await socket.next(), "online")
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"
    assert (await ask(socket, {"type": "auth", "token": token}))["type"] == "auth_success"
    await fails(socket, {"type": "auth", "token": token}, "ALREADY_AUTHENTICATED")


@case("airys", "2 Pre-auth credentials")
async def both_logins_at_once_are_one(stage, me):
    """A client with a token in the URL that also sends `auth` at once is logged in and hears no error."""
    token = await me.token()
    socket = await connect(me, f"?token={token}")
    await socket.send({"type": "auth", "token": token})
    await socket.until(lambda message: message["type"] == "system")
    await ask(socket, {"type": "ping"})
    assert [message for message in await socket.drained() if message["type"] == "error"] == []


@case("airys", "2 Pre-auth credentials", "2 Bad token")
@case.table(["query", "header"])
async def a_bad_token_in_the_handshake_fails(stage, me, place):
    """A bad token in the handshake ({place}) is AUTH_FAILED and closes with 4401, after the upgrade."""
    if place == "query":
        socket = await connect(me, "?token=nobody")
    else:
        socket = await connect(me, headers={"Authorization": "Bearer nobody"})
    await refused(me, socket, "AUTH_FAILED", FAILED)


@case("airys", "2 Auth deadline", "7 AUTH_FAILED, AUTH_TIMEOUT", slow=True)
@case.table(["silent", "chatting"])
async def the_login_has_a_deadline(stage, me, manner):
    """A client that is {manner} without success for 10 seconds gets AUTH_TIMEOUT and 4401."""
    socket = await connect(me, gateway=0)
    opened = time.monotonic()
    while manner == "chatting" and time.monotonic() < opened + 8:
        await socket.send({"type": "ping"})
        assert_error(await socket.next(), "NOT_AUTHENTICATED")
        await asyncio.sleep(2)
    assert_error(await socket.next(15), "AUTH_TIMEOUT")
    await me.gone(socket, FAILED)
    assert 9 <= time.monotonic() - opened <= 14, f"after {time.monotonic() - opened:.1f} s"


@case("airys", "2 Auth deadline", slow=True)
async def a_login_within_the_deadline_stays(stage, me):
    """A login after eight seconds is in time, and the deadline is forgotten."""
    token = await me.token()
    socket = await connect(me, gateway=0)
    await asyncio.sleep(8)
    await socket.send({"type": "auth", "token": token})
    assert (await socket.next())["type"] == "auth_success"
    await asyncio.sleep(4)
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


def seconds_left(token):
    """Until a JWT's exp."""
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))["exp"] - time.time()


async def bad_token(stage, me, kind):
    """A token that is good for nothing."""
    if kind == "expired":
        token = await me.token(ttl=1)
        await asyncio.sleep(max(0, seconds_left(token)) + 0.3)
        return token
    if kind == "revoked":
        credential = await stage.credential("oauth2", me.tenant)
        await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
        return credential["token"]
    if kind == "with another signature":
        head, middle, signature = (await me.token()).split(".")
        return f"{head}.{middle}.{signature[::-1]}"
    return {"unknown": "nobody", "unknown key": "xp_" + "0" * 64, "of 4,096 bytes": "x" * 4096}[kind]


@case("airys", "2 Bad token", "7 AUTH_FAILED, AUTH_TIMEOUT")
@case.table(["unknown", "unknown key", "of 4,096 bytes", "expired", "revoked", "with another signature"])
async def a_bad_token_fails(stage, me, kind):
    """A token that is bad ({kind}) is AUTH_FAILED and closes with 4401."""
    socket = await connect(me, gateway=0)
    await socket.send({"type": "auth", "token": await bad_token(stage, me, kind)})
    message = await socket.next()
    assert_error(message, "AUTH_FAILED")
    await me.gone(socket, FAILED)


@case("airys", "4 auth", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table([{}, {"token": 7}, {"token": None}, {"token": ""}, {"token": ["x"]}, {"token": "x" * 4097}])
async def an_auth_that_is_none_is_invalid(stage, me, fields):
    """An auth message that is not well-formed is INVALID_MESSAGE; the client may try again."""
    socket = await connect(me)
    await socket.send({"type": "auth"} | fields)
    assert_error(await socket.next(), "INVALID_MESSAGE")
    await socket.send({"type": "auth", "token": await me.token()})
    assert (await socket.next())["type"] == "auth_success"


@case("airys", "2 Any other message before auth", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table([
    '{"type":"ping"}', '{"type":"subscribe","events":["face_detected"]}', '{"type":"heartbeat"}',
    '{"type":"stream_control","action":"start","camera_id":"cam_123"}', '{"type":"nonsense"}', '{"no":"type"}',
    "{broken",
    '{"type":"chunk","id":"c","seq":0,"total":1,"data":"e30="}',
])
async def before_auth_nothing_else_counts(stage, me, message):
    """Before auth {message} is NOT_AUTHENTICATED; the connection stays open and may still log in."""
    socket = await connect(me)
    await socket.send(message)
    assert_error(await socket.next(), "NOT_AUTHENTICATED")
    await socket.send({"type": "auth", "token": await me.token()})
    assert (await socket.next())["type"] == "auth_success"


@case("airys", "2 Second auth", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table(["the same", "another account's", "a bad one"])
async def a_second_auth_is_ignored(stage, me, kind):
    """A second auth with {kind} token is ALREADY_AUTHENTICATED and changes nothing."""
    first, foreign = await me.token(), await me.token(tenant=f"{me.tenant}-b")
    socket = await log_in(me, first)
    second = {"the same": first, "another account's": foreign, "a bad one": "nobody"}[kind]
    await fails(socket, {"type": "auth", "token": second}, "ALREADY_AUTHENTICATED")
    told = await heard(stage, me, socket, [
        event(me, "metrics", {"n": 1}) | {"tenant": f"{me.tenant}-b"}, event(me, "metrics", {"n": 2})])
    assert [message["data"]["n"] for message in told] == [2], told


@case("airys", "2 Over 100 connections per account", "1 Concurrent connections", "README#1 Connection limit",
      "7 CONNECTION_LIMIT, RATE_LIMITED (persistent)", "README#7 all (2)", slow=True)
@case.table(["free", "pro"])
async def an_account_has_100_connections(stage, me, tier):
    """The 101st connection of an account ({tier}), over all gateways, is CONNECTION_LIMIT, 4429, until one has left."""
    tokens = [await me.token(tier=tier) for _ in range(2)]
    sockets = await asyncio.gather(*(log_in(me, tokens[number % 2], gateway=number % 2) for number in range(100)))
    for gateway in (0, 1):
        late = await connect(me, gateway=gateway)
        await late.send({"type": "auth", "token": tokens[0]})
        await refused(me, late, "CONNECTION_LIMIT", LIMITED)
    for socket in sockets:
        await socket.echo()
    await log_in(me, await me.token(tenant=f"{me.tenant}-b", tier=tier), gateway=0)
    await sockets[0].close()
    await admitted_soon(me, tokens[0])


async def admitted_soon(me, token):
    """Logs in once there is a place."""
    for _ in range(60):
        socket = await connect(me, gateway=1)
        await socket.send({"type": "auth", "token": token})
        if (message := await socket.next())["type"] == "auth_success":
            return
        assert_error(message, "CONNECTION_LIMIT")
        await asyncio.sleep(0.5)
    raise AssertionError("no place half a minute after one left")


@case("airys", "1 Concurrent connections", "2 Over 100 connections per account", slow=True)
async def an_enterprise_account_has_more(stage, me):
    """An enterprise account is not held to 100 connections."""
    token = await me.token(tier="enterprise")
    sockets = await asyncio.gather(*(log_in(me, token, gateway=number % 2) for number in range(120)))
    for socket in sockets:
        await socket.echo()


@case("airys", "2 Compression", "README#5 •3")
@case.table(["permessage-deflate", "permessage-deflate; client_max_window_bits", "x-unknown"])
async def compression_is_not_required(stage, me, offer):
    """A client that offers {offer} is answered without it, and understood uncompressed."""
    socket = await log_in(me, headers={"Sec-WebSocket-Extensions": offer})
    assert "sec-websocket-extensions" not in socket.headers, socket.headers
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


# 3. Envelope


@case("airys", "3 ¶1", "README#1 Server envelope", "README#6 •6")
@case.table([("stream_status", True), ("face_detected", True), ("analytics", False), ("metrics", False)])
async def an_event_has_type_data_and_id(stage, me, name, durable):
    """{name} is a type, its data and the event's own id, which is the same on every connection."""
    sockets = [await log_in(me) for _ in range(2)]
    published = await me.publish(f"camera.{name}", {"camera_id": "cam_a"}, "cam_a", durable)
    for socket in sockets:
        message = await told_next(socket)
        assert message == {"type": name, "data": {"camera_id": "cam_a"}, "id": published["id"]}, message
        assert re.fullmatch("[0-7][0-9A-HJKMNP-TV-Z]{25}", message["id"]), message


@case("airys", "3 ¶1", "README#6 •6")
async def an_id_is_the_same_on_every_gateway(stage, me):
    """An event has the same id for Airys' clients of every gateway, and for WAVE's."""
    camera = await make_camera(stage, me)
    sockets = [await log_in(me, gateway=gateway) for gateway in (0, 1, "haproxy")]
    wave = await me.open("wave", f"/v1/streams?api_key={await me.token()}")
    await wave.send({"type": "subscribe", "stream_id": camera, "events": ["camera.face_detected"]})
    await wave.next()
    await detect(stage, me, camera, {"confidence": 0.5, "bounding_box": {"x": 1, "y": 2, "width": 3, "height": 4}})
    messages = [await socket.until(lambda message: message["type"] == "face_detected") for socket in sockets]
    assert len({message["id"] for message in messages}) == 1, messages
    told = await wave.until(lambda message: message["type"] == "camera.face_detected")
    assert messages[0]["id"] in json.dumps(told), f"{told} without {messages[0]['id']}"


REPLIED = [
    {"type": "ping"}, {"type": "heartbeat"}, {"type": "subscribe", "events": ["metrics"]},
    {"type": "unsubscribe", "events": ["metrics"]}, {"type": "subscribe", "events": ["nonsense"]}, {"type": "nonsense"},
    {"type": "auth", "token": "again"}, control("start"), control("nonsense"),
    {"type": "subscribe", "events": "not a list"},
]


@case("airys", "3 ¶2", "4 heartbeat / ping")
@case.table(REPLIED)
async def a_request_id_comes_back(stage, me, message):
    """The request_id of {message} comes back in its reply; without one there is none."""
    socket = await log_in(me)
    for number in ("1", "ä" * 64, ""):
        await socket.send(message | {"request_id": number})
        reply = await told_next(socket)
        assert reply["data"].get("request_id") == number, reply
    await socket.send(message)
    reply = await told_next(socket)
    assert "request_id" not in reply["data"], reply


@case("airys", "3 ¶2")
async def a_login_has_a_request_id_too(stage, me):
    """The request_id of auth comes back in auth_success, and in AUTH_FAILED."""
    for token, kind in ((await me.token(), "auth_success"), ("nobody", "error")):
        socket = await connect(me)
        await socket.send({"type": "auth", "token": token, "request_id": "login-1"})
        reply = await socket.next()
        assert (reply["type"], reply["data"].get("request_id")) == (kind, "login-1"), reply


@case("airys", "3 ¶2", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table(["x" * 65, 7, ["x"], {"a": 1}, True])
async def a_request_id_is_a_short_string(stage, me, number):
    """A request_id that is no string of at most 64 characters is INVALID_MESSAGE."""
    socket = await log_in(me)
    await socket.send({"type": "ping", "request_id": number})
    assert_error(await told_next(socket), "INVALID_MESSAGE")
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


@case("airys", "3 ¶1", "README#1 Time format", "1 System event shape")
async def times_are_unix_seconds(stage, me):
    """All times are whole Unix seconds: of the status, of replies, of detections and of a stream's status."""
    camera = await make_camera(stage, me)
    socket = await log_in(me, gateway=0)
    await detect(stage, me, camera, {"confidence": 1, "bounding_box": {"x": 0, "y": 0, "width": 1, "height": 1}})
    assert_now((await socket.until(lambda message: message["type"] == "face_detected"))["data"]["timestamp"])
    assert_now((await ask(socket, {"type": "ping"}))["data"]["timestamp"])
    await socket.send(control("status", camera))
    assert_now((await socket.until(lambda message: message["type"] == "stream_status"))["data"]["timestamp"])


# 4. Client → server


@case("airys", "4 heartbeat / ping", "8 Heartbeat", "5 auth_success, ack, subscribed, unsubscribed, heartbeat, pong")
@case.table([("ping", "pong"), ("heartbeat", "heartbeat")])
async def a_heartbeat_is_answered(stage, me, sent, answered):
    """`{sent}` is answered by `{answered}` with the server's time, and the client's if it said one."""
    socket = await log_in(me)
    for timestamp in (1645678900, 1645678900.25, 0):
        reply = await ask(socket, {"type": sent, "timestamp": timestamp})
        assert reply == {"type": answered, "data": {
            "timestamp": reply["data"]["timestamp"], "client_timestamp": timestamp}}, reply
        assert_now(reply["data"]["timestamp"])
    reply = await ask(socket, {"type": sent})
    assert reply == {"type": answered, "data": {"timestamp": reply["data"]["timestamp"]}}, reply


@case("airys", "4 stream_control", "1 Control message", "4 ¶1")
async def a_stop_of_a_stopped_stream_is_acknowledged(stage, me):
    """stop while stopped is acknowledged and nothing happens: no event comes."""
    camera = await make_camera(stage, me)
    socket, other = [await log_in(me, gateway=0) for _ in range(2)]
    await socket.send(control("stop", camera, request_id="r-1"))
    reply = await told_next(socket)
    assert reply == {"type": "ack", "data": {
        "ref": "stream_control", "action": "stop", "camera_id": camera, "request_id": "r-1", "accepted": True}}, reply
    reply = await ask(socket, control("stop", camera))
    assert reply == {"type": "ack", "data": {
        "ref": "stream_control", "action": "stop", "camera_id": camera, "accepted": True}}, reply
    await detect(stage, me, camera, {"confidence": 1, "bounding_box": {"x": 0, "y": 0, "width": 1, "height": 1}})
    for each in (socket, other):
        assert (await told_next(each))["type"] == "face_detected"


@case("airys", "4 ¶1", "9 ¶1", "5 stream_status")
async def status_is_told_to_who_asks(stage, me):
    """`status` replies with one stream_status, after its ack if there is one, to the sender only."""
    camera = await make_camera(stage, me)
    socket, other = [await log_in(me, gateway=0) for _ in range(2)]
    await socket.send(control("status", camera))
    message = await told_next(socket)
    if message["type"] == "ack":
        message = await told_next(socket)
    assert message["type"] == "stream_status", message
    timestamp = message["data"].pop("timestamp")
    assert_now(timestamp)
    assert message["data"] == {"camera_id": camera, "stream_id": message["data"]["stream_id"], "status": "stopped",
                               "event": "status", "quality": None, "error": None}, message
    for each in (socket, other):
        assert await told_so_far(each) == []


@case("airys", "4 ¶1", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table(["start", "stop", "restart", "status", "set_quality"])
async def an_unknown_camera_is_not_found(stage, me, action):
    """{action} of a camera that is not there, or another tenant's, is CAMERA_NOT_FOUND."""
    camera = await make_camera(stage, me)
    socket = await log_in(me, await me.token(tenant=f"{me.tenant}-b"), gateway=0)
    more = {"settings": {"frame_rate": 25}} if action == "set_quality" else {}
    for unknown in ("cam_123", camera):
        await fails(socket, control(action, unknown, **more), "CAMERA_NOT_FOUND")


@case("airys", "4 ¶1", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table([
    ("cameras:read", "start", "FORBIDDEN"), ("cameras:read", "stop", "FORBIDDEN"),
    ("cameras:read", "restart", "FORBIDDEN"), ("cameras:read", "set_quality", "FORBIDDEN"),
    ("cameras:write", "stop", "FORBIDDEN"), ("cameras:control", "status", "FORBIDDEN"),
    ("radio:read", "status", "FORBIDDEN"), ("cameras:control", "stop", "ack"), ("cameras:*", "stop", "ack"),
])
async def control_needs_its_permission(stage, me, scope, action, answer):
    """With {scope}, {action} is {answer}."""
    camera = await make_camera(stage, me)
    socket = await log_in(me, await me.token(scope=scope), gateway=0)
    more = {"settings": {"frame_rate": 25}} if action == "set_quality" else {}
    if answer == "ack":
        assert (await ask(socket, control(action, camera)))["type"] == "ack"
    else:
        await fails(socket, control(action, camera, **more), answer)


@case("airys", "4 ¶1", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table(["run", "START", "", 7, None, ["start"]])
async def an_unknown_action_is_invalid(stage, me, action):
    """The action {action} is INVALID_ACTION."""
    await fails(await log_in(me), control(action), "INVALID_ACTION")


@case("airys", "4 ¶1", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
async def a_missing_action_is_invalid(stage, me):
    """A control message without an action is INVALID_ACTION."""
    await fails(await log_in(me), {"type": "stream_control", "camera_id": "cam_123"}, "INVALID_ACTION")


@case("airys", "4 stream_control", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table([{}, {"camera_id": 7}, {"camera_id": None}, {"camera_id": ["cam_123"]}])
async def a_control_names_a_camera(stage, me, fields):
    """A control message with {fields} for its camera is INVALID_MESSAGE."""
    await fails(await log_in(me), {"type": "stream_control", "action": "start"} | fields, "INVALID_MESSAGE")


@case("airys", "4 ¶1", "1 Quality control", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table([
    ("set_quality", {"bitrate_kbps": 63}), ("set_quality", {"bitrate_kbps": 50_001}), ("set_quality", {"width": 15}),
    ("set_quality", {"width": 7681}), ("set_quality", {"height": 15}), ("set_quality", {"height": 4321}),
    ("set_quality", {"frame_rate": 0}), ("set_quality", {"frame_rate": 121}),
    ("set_quality", {"adaptive_bitrate": "yes"}), ("set_quality", {"adaptive_bitrate": 1}),
    ("set_quality", {"width": "1920"}), ("set_quality", {"width": 1920, "height": 0}), ("set_quality", None),
    ("set_quality", "best"), ("set_quality", [1]), ("start", {"bitrate_kbps": -1}), ("restart", "best"),
    ("start", {"frame_rate": 10 ** 30}),
])
async def settings_have_their_ranges(stage, me, action, settings):
    """{action} with the settings {settings} is INVALID_SETTINGS."""
    camera = await make_camera(stage, me)
    await fails(await log_in(me, gateway=0), control(action, camera, settings=settings), "INVALID_SETTINGS")


@case("airys", "4 ¶1", "1 Quality control")
async def a_new_quality_needs_settings(stage, me):
    """set_quality without settings is INVALID_SETTINGS."""
    camera = await make_camera(stage, me)
    await fails(await log_in(me, gateway=0), control("set_quality", camera), "INVALID_SETTINGS")


@case("airys", "4 ¶1", "1 Quality control", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table([
    ("start", None), ("restart", None), ("start", {"adaptive_bitrate": False}),
    ("set_quality", {"adaptive_bitrate": True, "bitrate_kbps": 64, "width": 16, "height": 16, "frame_rate": 1}),
    ("set_quality", {"bitrate_kbps": 50_000, "width": 7680, "height": 4320, "frame_rate": 120}),
    ("set_quality", {"frame_rate": 29.97}), ("set_quality", {"height": 1080}),
])
async def what_is_valid_is_tried(stage, me, action, settings):
    """{action} with {settings} is valid: acknowledged, or CONTROL_FAILED where there is no capture backend."""
    camera = await make_camera(stage, me)
    socket = await log_in(me, gateway=0)
    reply = await ask(socket, control(action, camera) | ({"settings": settings} if settings else {}))
    if reply["type"] == "ack":
        assert reply["data"]["accepted"] is True, reply
    else:
        assert_error(reply, "CONTROL_FAILED")


@case("airys", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U", slow=True)
async def control_fails_without_its_service(stage, me):
    """While camera-events is away control is CONTROL_FAILED, a login and all else are as ever."""
    gateway = await stage.gateway(ready=False, BUS_CAMERA_EVENTS_PORT=free_ports(2))
    socket = await logged_in_soon(me, gateway)
    assert (await ask(socket, {"type": "ping"}, 30))["type"] == "pong"
    reply = await ask(socket, control("stop", "cam_123"), 30)
    assert_error(reply, "CONTROL_FAILED")
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


async def logged_in_soon(me, gateway):
    """A client of a gateway that has just been started, as soon as that can verify a token."""
    for _ in range(100):
        try:
            return await log_in(me, gateway=gateway)
        except (OSError, AssertionError, edge.Refused, edge.Closed):
            await asyncio.sleep(0.3)
    raise AssertionError("no login within half a minute")


@case("airys", "7 INTERNAL_ERROR", slow=True)
async def a_login_that_cannot_be_judged_is_an_internal_error(stage, me):
    """A token that cannot be verified since auth is away is INTERNAL_ERROR, and 4500: not the client's fault."""
    gateway = await stage.gateway(ready=False, BUS_AUTH_PORT=free_ports(2))
    token = await me.token()
    for _ in range(100):
        try:
            socket = await connect(me, gateway=gateway)
            break
        except OSError:
            await asyncio.sleep(0.2)
    await socket.send({"type": "auth", "token": token})
    await refused(me, socket, "INTERNAL_ERROR", 4500)


@case("airys", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U", "3 ¶2")
@case.table([
    "{broken", "", "[]", "null", '"auth"', "7", "{}", '{"type":7}', '{"type":null}', '{"data":{"type":"ping"}}',
    '{"type":"subscribe","events":"face_detected"}', '{"type":"subscribe","events":[7]}',
    '{"type":"subscribe","events":{}}',
    '{"type":"subscribe","camera_ids":"cam_a"}', '{"type":"unsubscribe","camera_ids":[null]}', '{"type":"ping"',
    '{"type":"ping","a":' + "[" * 128 + "]" * 128 + "}",
])
async def what_is_no_message_is_invalid(stage, me, text):
    """{text} is INVALID_MESSAGE, and the connection stays open."""
    socket = await log_in(me)
    await socket.send(text)
    assert_error(await told_next(socket), "INVALID_MESSAGE")
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


@case("airys", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table(["nonsense", "AUTH", "", "stream_status", "system", "pong", "auth_success"])
async def an_unknown_type_is_told(stage, me, kind):
    """The type `{kind}` is UNKNOWN_TYPE."""
    await fails(await log_in(me), {"type": kind}, "UNKNOWN_TYPE")


# 5. Server → client

BOX = {"x": 10, "y": 20.5, "width": 64, "height": 48}
STATUS = {"camera_id": "cam_a", "stream_id": "stream_1", "status": "active", "event": "started", "quality": {
    "width": 1920, "height": 1080, "frame_rate": 30, "bitrate_kbps": 4000, "adaptive": True}, "error": None,
    "timestamp": 1645678900}
DATA = {
    "stream_status": STATUS,
    "face_detected": {
        "detection_id": "det_1", "camera_id": "cam_a", "timestamp": 1645678900, "confidence": 0.93,
        "bounding_box": BOX, "frame": {"width": 1920, "height": 1080},
        "person": {"id": "p1", "name": "Zoë", "score": 0.8}, "snapshot_url": None},
    "analytics": {
        "camera_id": "cam_a", "window_s": 10, "faces_detected": 3, "unique_persons": 2, "timestamp": 1645678900},
    "metrics": {
        "camera_id": "cam_a", "bitrate_kbps": 3900, "frame_rate": 29.9, "dropped_frames": 1, "latency_ms": 40,
        "timestamp": 1645678900},
}


@case("airys", "5 {name}", "1 Data families", "1 Events clients switch on", "6 •1", "README#6 Airys")
@case.table(list(DATA))
async def an_event_is_told_as_it_was_published(stage, me, name):
    """{name} comes to a client that never subscribed, with its data as it was published."""
    socket = await log_in(me)
    told = await heard(stage, me, socket, [event(me, name, DATA[name])])
    assert [(message["type"], message["data"]) for message in told] == [(name, DATA[name])], told


@case("airys", "5 ¶1", "5 stream_status", "1 Camera event families")
async def every_state_of_a_stream_is_told(stage, me):
    """Every status and event of a stream, with quality or without, with an error or without, is told in its order."""
    socket = await log_in(me)
    failure = {"code": "SOURCE_LOST", "message": "No frames"}
    states = [STATUS | {"status": status, "event": name, "quality": quality, "error": error}
              for status in ("starting", "active", "stopping", "stopped", "error")
              for name in ("started", "stopped", "quality_changed", "error", "status")
              for quality, error in ((STATUS["quality"], None), (None, failure))]
    told = await heard(stage, me, socket, [event(me, "stream_status", state) for state in states])
    assert [message["data"] for message in told] == states, told


@case("airys", "5 face_detected", "6 •1", "README#4 Face seen")
@case.table([
    {"confidence": 0.93, "timestamp": 1645678900, "bounding_box": BOX, "frame": {"width": 1920, "height": 1080},
     "person": {"id": "p1", "name": "Zoë ♫", "score": 1}, "snapshot_url": "https://example.com/1.jpg"},
    {"confidence": 0, "bounding_box": {"x": 0, "y": 0, "width": 1, "height": 1}},
])
async def a_detection_is_told(stage, me, body):
    """What an analyser posts comes to the clients of every gateway: {body}."""
    camera = await make_camera(stage, me)
    sockets = [await log_in(me, gateway=gateway) for gateway in (0, 1)]
    answered = await detect(stage, me, camera, body)
    for socket in sockets:
        message = await told_next(socket)
        data = message["data"]
        assert message["type"] == "face_detected" and data == answered, f"{message}, answered {answered}"
        wanted = {"frame": None, "person": None, "snapshot_url": None, "camera_id": camera} | body
        assert {name: data[name] for name in wanted} == wanted, message
        assert set(data) == set(wanted) | {"detection_id", "timestamp"} and data["detection_id"], message
        assert type(data["timestamp"]) is int, message


@case("airys", "5 face_detected", "9 ¶1")
async def several_detections_are_told_in_order(stage, me):
    """Detections that are posted together come one by one, in their order."""
    camera = await make_camera(stage, me)
    socket = await log_in(me, gateway=0)
    answered = await detect(stage, me, camera, [
        {"confidence": number / 100, "bounding_box": BOX} for number in range(100)])
    told = [await told_next(socket) for _ in range(100)]
    assert [message["data"] for message in told] == answered["detections"]


@case("airys", "6 •1", "README#6 •5")
async def another_account_hears_nothing(stage, me):
    """An event of another account's camera never comes, even of one with the same id and with `*`."""
    socket = await log_in(me)
    await ask(socket, {"type": "subscribe", "events": ["*"], "camera_ids": ["cam_a"]})
    foreign = [event(me, name, data) | {"tenant": tenant} for name, data in DATA.items()
               for tenant in (f"{me.tenant}-b", "default")]
    told = await heard(stage, me, socket, foreign + [event(me, "metrics", {"n": 1})])
    assert [message["data"] for message in told] == [{"camera_id": "cam_a", "n": 1}], told


@case("airys", "6 •1", "4 ¶1", "README#6 •5")
@case.table([
    ("cameras:read", list(DATA)), ("cameras:control", []), ("radio:read", []),
    ("cameras:* streams:read", list(DATA)),
])
async def reading_needs_its_permission(stage, me, scope, names):
    """With {scope} a client is told of {names}."""
    socket = await log_in(me, await me.token(scope=scope))
    told = await heard(stage, me, socket, [event(me, name, data) for name, data in DATA.items()])
    assert [message["type"] for message in told] == names, told


@case("airys", "5 system (event:\"status\")", "6 •2", "README#7 Airys", "README#4 Link to OBS up/down", alone=True)
async def the_status_of_the_system_is_told(stage, me):
    """A change of the system's status comes to every account, whatever it may see and whatever its filter."""
    plain = await log_in(me, await me.token(scope="radio:read"))
    picky = await log_in(me)
    await ask(picky, {"type": "subscribe", "events": ["metrics"], "camera_ids": ["cam_a"]})
    steps = [("system.statusChange", {"previousStatus": "healthy", "currentStatus": "degraded"}, "degraded"),
             ("system.statusChange", {"previousStatus": "degraded", "currentStatus": "unhealthy"}, "offline"),
             ("system.statusChange", {"previousStatus": "unhealthy", "currentStatus": "healthy"}, "online"),
             ("system.maintenanceMode", {"enabled": True, "estimatedDuration": 60, "message": ""}, "maintenance"),
             ("system.maintenanceMode", {"enabled": False, "estimatedDuration": 0, "message": ""}, "online")]
    for kind, data, status in steps:
        await stage.publish(kind, data)
        for socket in (plain, picky):
            assert_status(await socket.until(lambda message: message["data"].get("status") == status), status)


@case("airys", "5 error", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
async def an_error_has_its_shape(stage, me):
    """An error is code, message, details and the request's id, and nothing else."""
    socket = await log_in(me)
    await socket.send({"type": "nonsense", "request_id": "r-9"})
    reply = await told_next(socket)
    assert_error(reply, "UNKNOWN_TYPE")
    assert set(reply["data"]) == {"code", "message", "details", "request_id"}, reply


# 6. Filtering


def as_filter(data):
    """A filter regardless of its order."""
    return set(data["events"]), None if data["camera_ids"] is None else set(data["camera_ids"])


def subscribe(**fields):
    """A subscribe message."""
    return {"type": "subscribe"} | fields


def unsubscribe(**fields):
    """An unsubscribe message."""
    return {"type": "unsubscribe"} | fields


FACES = ["face_detected"]


@case("airys", "4 subscribe", "4 unsubscribe", "6 •2", "README#7 Airys",
      "5 auth_success, ack, subscribed, unsubscribed, heartbeat, pong")
@case.table([
    ([subscribe()], OWN, None),
    ([subscribe(events=FACES)], {"face_detected"}, None),
    ([subscribe(events=FACES + FACES)], {"face_detected"}, None),
    ([subscribe(events=FACES, camera_ids=None)], {"face_detected"}, None),
    ([subscribe(camera_ids=["cam_a"])], OWN, {"cam_a"}),
    ([subscribe(events=["metrics", "stream_status"], camera_ids=["cam_a", "cam_b"])],
     {"metrics", "stream_status"}, {"cam_a", "cam_b"}),
    ([subscribe(events=FACES), subscribe(events=["metrics"])], {"face_detected", "metrics"}, None),
    ([subscribe(camera_ids=["cam_a"]), subscribe(camera_ids=["cam_b"])], OWN, {"cam_a", "cam_b"}),
    ([subscribe(events=["*"])], {"*"}, None),
    ([subscribe(events=["stream.started"])], {"stream.started"}, None),
    ([unsubscribe(events=FACES)], OWN - {"face_detected"}, None),
    ([unsubscribe(events=["metrics", "analytics"]), subscribe(events=["analytics"])], OWN - {"metrics"}, None),
    ([subscribe(events=["metrics", "analytics"]), unsubscribe(events=["metrics"])], {"analytics"}, None),
    ([subscribe(events=FACES), unsubscribe(events=FACES)], set(), None),
    ([subscribe(camera_ids=["cam_a", "cam_b"]), unsubscribe(camera_ids=["cam_a"])], OWN, {"cam_b"}),
    ([subscribe(camera_ids=["cam_a"]), unsubscribe(camera_ids=["cam_a"])], OWN, set()),
])
async def the_whole_filter_is_told(stage, me, messages, events, cameras):
    """After {messages} the reply shows the whole filter: {events} × {cameras}."""
    socket = await log_in(me)
    for message in messages:
        reply = await ask(socket, message)
        assert reply["type"] == f"{message['type']}d" and set(reply["data"]) == {"events", "camera_ids"}, reply
    assert as_filter(reply["data"]) == (events, cameras), reply


ALL = [(name, camera) for camera in ("cam_a", "cam_b") for name in DATA]
FOREIGN = [("radio.now_playing", "station-1"), ("stream.started", "stream-1"), ("obs.sceneChanged", "obs-1")]


@case("airys", "6 •2", "6 •1", "6 •3", "4 subscribe", "4 unsubscribe", "README#1 Filter unit", "README#6 Airys",
      "README#6 •4")
@case.table([
    ([], ALL),
    ([subscribe(events=FACES)], [("face_detected", "cam_a"), ("face_detected", "cam_b")]),
    ([subscribe(camera_ids=["cam_b"])], ALL[4:]),
    ([subscribe(events=["metrics", "stream_status"], camera_ids=["cam_a"])],
     [("stream_status", "cam_a"), ("metrics", "cam_a")]),
    ([subscribe(events=["*"])], ALL + FOREIGN),
    ([subscribe(events=["*"], camera_ids=["cam_a"])], ALL[:4]),
    ([subscribe(events=["radio.now_playing"])], FOREIGN[:1]),
    ([subscribe(events=["stream.started"], camera_ids=["stream-1"])], FOREIGN[1:2]),
    ([subscribe(events=FACES), subscribe(events=["obs.sceneChanged"], camera_ids=["obs-1", "cam_a"])],
     [("face_detected", "cam_a"), ("face_detected", "cam_b"), ("obs.sceneChanged", "obs-1")]),
    ([unsubscribe(events=["metrics", "analytics", "face_detected"])],
     [("stream_status", "cam_a"), ("stream_status", "cam_b")]),
    ([subscribe(events=FACES), unsubscribe(events=FACES)], []),
    ([subscribe(camera_ids=["cam_a"]), unsubscribe(camera_ids=["cam_a"])], []),
    ([subscribe(events=["*"]), unsubscribe(events=["*"])], []),
])
async def only_what_fits_is_told(stage, me, messages, told):
    """After {messages} a client is told of {told}."""
    socket = await log_in(me)
    for message in messages:
        await ask(socket, message)
    events = [event(me, name, {}, camera) for name, camera in ALL]
    events += [event(me, name, {"room": room}, room, domain="") for name, room in FOREIGN]
    came = [(message["type"], message["data"].get("camera_id") or message["data"]["room"])
            for message in await heard(stage, me, socket, events)]
    assert came == told, came


@case("airys", "6 •3", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U", "README#6 •5")
@case.table([
    "nonsense", "camera.face_detected", "FACE_DETECTED", "face_*", "", " face_detected", "system", "auth.revoked",
    "now_playing", "ack",
])
async def an_unknown_event_changes_nothing(stage, me, name):
    """`{name}` in a filter is INVALID_EVENT, and nothing has changed."""
    socket = await log_in(me)
    await ask(socket, subscribe(events=["metrics"], camera_ids=["cam_a"]))
    await fails(socket, subscribe(events=["face_detected", name], camera_ids=["cam_b"]), "INVALID_EVENT")
    await fails(socket, unsubscribe(events=["metrics", name]), "INVALID_EVENT")
    reply = await ask(socket, subscribe(events=["metrics"], camera_ids=["cam_a"]))
    assert as_filter(reply["data"]) == ({"metrics"}, {"cam_a"}), reply


@case("airys", "6 •3")
async def an_unknown_event_at_first_changes_nothing_either(stage, me):
    """A first subscribe that fails leaves a client with everything."""
    socket = await log_in(me)
    await fails(socket, subscribe(events=["nonsense"]), "INVALID_EVENT")
    told = await heard(stage, me, socket, [event(me, name, {}) for name in DATA])
    assert [message["type"] for message in told] == list(DATA), told


@case("airys", "6 •2", "README#7 Airys")
async def a_filter_has_its_size(stage, me):
    """A filter of 4,096 pairs is taken; one more is INVALID_MESSAGE and changes nothing."""
    socket = await log_in(me)
    cameras = [f"cam_{number}" for number in range(1024)]
    for first in range(0, 1024, 512):
        reply = await ask(socket, subscribe(camera_ids=cameras[first:first + 512]))
    assert as_filter(reply["data"]) == (OWN, set(cameras)), "not 4 × 1,024 pairs"
    await fails(socket, subscribe(camera_ids=["cam_more"]), "INVALID_MESSAGE")
    reply = await ask(socket, subscribe(camera_ids=["cam_1"]))
    assert len(reply["data"]["camera_ids"]) == 1024, reply


@case("airys", "6 •2")
async def replies_pass_every_filter(stage, me):
    """Replies come whatever the filter: of the stream's status, of errors, of pings."""
    camera = await make_camera(stage, me)
    socket = await log_in(me, gateway=0)
    await ask(socket, subscribe(events=["metrics"], camera_ids=["cam_other"]))
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"
    assert (await ask(socket, control("stop", camera)))["type"] == "ack"
    await socket.send(control("status", camera))
    await socket.until(lambda message: message["type"] == "stream_status")


async def flood(stage, me, socket, events):
    """Publishes while the socket does not read, lets it read again; what it got until a last stream_status."""
    other = await log_in(me)
    last = event(me, "stream_status", {"last": True}, "cam_last")
    await stage.publish_all(events)
    await asyncio.sleep(1.2)
    await stage.publish_all([last])
    await other.until(lambda message: message["data"] == last["data"], timeout=40)
    socket.resume()
    told = []
    while not told or told[-1]["data"] != last["data"]:
        told.append(await socket.next(20))
    return told[:-1]


async def log_in_and_pause(me):
    """A client that has logged in and reads nothing more."""
    socket = await log_in(me, receive_buffer=4096)
    await socket.echo()
    socket.pause()
    return socket


def numbers(told, name):
    """The numbers of the events of one type."""
    return [message["data"]["n"] for message in told if message["type"] == name]


FILLING = "x" * 8000


@case("airys", "6 •4", "README#3 •2", "9 ¶1", alone=True)
async def metrics_make_way_first(stage, me):
    """A client that is behind goes without older metrics: the newest of each camera and all else come in order."""
    socket = await log_in_and_pause(me)
    events, cameras = [], ["cam_a", "cam_b", "cam_c"]
    for number in range(2000):
        events.append(event(me, "metrics", {"n": len(events), "filling": FILLING}, cameras[number % 3]))
        if number % 20 == 0:
            events.append(event(me, "stream_status", {"n": len(events)}, cameras[number % 3]))
        if number % 40 == 0:
            events.append(event(me, "face_detected", {"n": len(events)}))
    told = await flood(stage, me, socket, events)
    for name in ("stream_status", "face_detected"):
        wanted = [each["data"]["n"] for each in events if each["type"] == f"camera.{name}"]
        assert numbers(told, name) == wanted, f"{name}: {len(numbers(told, name))} of {len(wanted)}"
    assert len(numbers(told, "metrics")) < 2000, "the client was not behind: nothing is shown"
    published = {each["room"]: each["data"] for each in events if each["type"] == "camera.metrics"}
    came = {message["data"]["camera_id"]: message["data"] for message in told if message["type"] == "metrics"}
    assert came == published, "the newest metrics are missing"
    order = [message["data"]["n"] for message in told]
    assert order == sorted(order), "the order is not that of publication"


@case("airys", "6 •4", "README#3 •2", alone=True)
@case.table([("metrics", "analytics"), ("metrics", "face_detected"), ("analytics", "face_detected")])
async def one_kind_makes_way_before_another(stage, me, first, second):
    """Where dropping {first} is enough no {second} is lost, and no stream_status."""
    socket = await log_in_and_pause(me)
    events = []
    for number in range(1500):
        # A camera of its own each: none takes another's place.
        events.append(event(me, first, {"n": len(events), "filling": FILLING}, f"cam_{number}"))
        if number % 20 == 0:
            events.append(event(me, second, {"n": len(events)}, f"cam_{number}"))
            events.append(event(me, "stream_status", {"n": len(events)}, f"cam_{number}"))
    told = await flood(stage, me, socket, events)
    assert len(numbers(told, first)) < 1500, "the client was not behind: nothing is shown"
    for name in ("stream_status", second):
        assert len(numbers(told, name)) == 75, f"{name}: {len(numbers(told, name))} of 75"
    order = [message["data"]["n"] for message in told]
    assert order == sorted(order), "the order is not that of publication"


@case("airys", "6 •4", "9 ¶1", alone=True)
async def faces_make_way_before_the_client(stage, me):
    """A client that is behind with faces goes without some of them, stays connected, and misses no stream_status."""
    socket = await log_in_and_pause(me)
    events = []
    for number in range(2000):
        events.append(event(me, "face_detected", {"n": len(events), "filling": FILLING}))
        if number % 20 == 0:
            events.append(event(me, "stream_status", {"n": len(events)}))
    told = await flood(stage, me, socket, events)
    assert len(numbers(told, "face_detected")) < 2000, "the client was not behind: nothing is shown"
    assert len(numbers(told, "stream_status")) == 100, f"{len(numbers(told, 'stream_status'))} of 100"
    order = [message["data"]["n"] for message in told]
    assert order == sorted(order), "the order is not that of publication"
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


@case("airys", "6 •4", alone=True)
async def replies_are_never_dropped(stage, me):
    """A client that is behind with metrics still gets every reply."""
    socket = await log_in_and_pause(me)
    for number in range(50):
        await socket.send({"type": "ping", "timestamp": number})
    events = [event(me, "metrics", {"n": number, "filling": FILLING}) for number in range(1500)]
    told = await flood(stage, me, socket, events)
    pongs = [message["data"]["client_timestamp"] for message in told if message["type"] == "pong"]
    assert pongs == list(range(50)), pongs


@case("airys", "7 ¶1", "README#3 •2", alone=True)
async def a_slow_client_is_closed(stage, me):
    """A client that is behind with what must not be dropped is closed with 1008; others lose nothing."""
    slow, other = await log_in_and_pause(me), await log_in(me)
    count = await stage.publish_until_one_is_too_slow(
        lambda number: event(me, "stream_status", {"n": number, "filling": FILLING}))
    slow.resume()
    await me.gone(slow, 1008, timeout=20)
    for number in range(count):
        data = (await told_next(other))["data"]
        assert data["n"] == number, f"the other client got {data['n']} instead of {number}"


# 7. Errors and close codes


@case("airys", "7 ¶1")
@case.table([1000, 1001, 3000, None])
async def a_clients_close_is_answered(stage, me, code):
    """CLOSE {code} of a client is answered with the same code."""
    socket = await log_in(me, gateway=0)
    await socket.close(code)
    await me.gone(socket, code or 1005)
    await socket.ended()


@case("airys", "7 ¶1", "8 Binary", "README#1 Close codes")
@case.table([b"", b"\x00\x01", b'{"type":"ping"}'])
async def binary_is_not_understood(stage, me, data):
    """A binary message closes with 1003."""
    socket = await log_in(me, gateway=0)
    await socket.send(data)
    await me.gone(socket, 1003)


@case("airys", "7 ¶1", "8 Binary")
async def binary_before_auth_is_not_understood(stage, me):
    """A binary message before auth closes with 1003."""
    socket = await connect(me, gateway=0)
    await socket.send(b"\x00\x01")
    await me.gone(socket, 1003)


@case("airys", "7 ¶2", "1 Reconnect", "README#3 •4", "5 system (event:\"status\")", slow=True)
async def a_shutdown_is_restarting_and_1006(stage, me):
    """A gateway that shuts down says `restarting` and ends TCP without a CLOSE frame."""
    gateway = await stage.gateway()
    sockets = [await log_in(me, gateway=gateway) for _ in range(5)]
    strange = await connect(me, gateway=gateway)
    gateway.signal()
    for socket in sockets:
        last = await socket.until(lambda message: message["data"].get("status") == "restarting", timeout=30)
        assert_status(last, "restarting")
        await me.gone(socket, 1006)
        assert all(opcode != edge.CLOSE for opcode, _, _ in socket.frames), socket.frames
    await me.gone(strange, 1006, timeout=30)
    assert await gateway.ended(40) == 0


@case("airys", "7 ¶2", "README#3 •4", slow=True)
async def a_draining_gateway_takes_nobody(stage, me):
    """While a gateway drains, new connections are 503."""
    gateway = await stage.gateway()
    staying = await me.open("grimnir", f"/api/v1/events?token={await me.token()}", gateway=gateway)
    staying.answers_close = False
    gateway.signal()
    await staying.closing(30)
    answer = await me.refused("airys", PATH, gateway=gateway)
    assert (answer.version, answer.status) == (b"HTTP/1.1", 503), answer


@case("airys", "7 AUTH_FAILED, AUTH_TIMEOUT", "README#7 all (4)", "README#1 Close codes")
@case.table(["jwt", "oauth2", "apikey"])
async def the_connection_ends_with_its_token(stage, me, kind):
    """When its token ({kind}) ends, a connection is closed with 4401."""
    token = await me.token(kind, ttl=4)
    made = time.time()
    socket = await log_in(me, token, gateway=0)
    await me.gone(socket, FAILED)
    assert 2.5 <= time.time() - made <= 6, f"after {time.time() - made:.1f} s"


@case("airys", "7 AUTH_FAILED, AUTH_TIMEOUT", "README#7 all (4)")
@case.table(["jwt", "oauth2", "apikey"])
async def a_revocation_ends_the_connection(stage, me, kind):
    """When its token ({kind}) is revoked, a connection is closed with 4401 on every gateway."""
    credential = await stage.credential(kind, me.tenant)
    sockets = [await log_in(me, credential["token"], gateway=gateway) for gateway in (0, 1)]
    other = await log_in(me, gateway=0)
    answer = await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
    assert answer.status == 204, answer
    for socket in sockets:
        await me.gone(socket, FAILED)
    assert (await ask(other, {"type": "ping"}))["type"] == "pong"


# 8. Limits and heartbeat


def padded(message, length):
    """The message as text of so many bytes."""
    text = json.dumps(message | {"pad": ""})
    return text[:-2] + "x" * (length - len(text)) + text[-2:]


@case("airys", "8 Message size", "1 Max message size", "7 ¶1", "README#1 Max inbound msg")
@case.table([("ping", 65_536, 1), ("ping", 65_536, 5), ("chunk", MIB, 1), ("chunk", MIB, 5)])
async def a_message_may_have_64_kib_and_a_chunk_1_mib(stage, me, kind, length, frames):
    """A {kind} of {length} bytes, in {frames} frames, is understood."""
    socket = await log_in(me, gateway=0)
    message = chunks({"type": "ping"}, 1)[0] if kind == "chunk" else {"type": kind}
    await send_in_frames(socket, padded(message, length), frames)
    assert (await told_next(socket, 20))["type"] == "pong"


@case("airys", "8 Message size", "7 ¶1", "README#3 •6", "README#7 all (8)")
@case.table([(8192, True), (8193, False), (MIB, False)])
async def before_auth_a_message_has_8_kib(stage, me, length, is_taken):
    """Before the login a message of {length} bytes is NOT_AUTHENTICATED, or closes with 1009 beyond 8 KiB."""
    socket = await connect(me, gateway=0)
    await socket.send(padded({"type": "ping"}, length))
    if is_taken:
        assert_error(await socket.next(), "NOT_AUTHENTICATED")
    else:
        await me.gone(socket, 1009, timeout=20)


@case("airys", "8 Message size", "README#7 Airys")
async def a_long_message_of_many_values_closes(stage, me):
    """A message over 64 KiB with many values closes with 1009, though it says that it is a chunk."""
    socket = await log_in(me, gateway=0)
    await socket.send(json.dumps(chunks({"type": "ping"}, 1)[0] | {"more": [[]] * 20_000}))
    await me.gone(socket, 1009, timeout=20)


@case("airys", "8 Message size", "1 Max message size", "7 ¶1", "README#1 Max inbound msg")
@case.table([(65_537, 1), (65_541, 5), (MIB + 1, 1), (MIB + 5, 5), (2 * MIB, 1)])
async def a_larger_message_closes(stage, me, length, frames):
    """A message of {length} bytes, in {frames} frames, closes with 1009."""
    socket = await log_in(me, gateway=0)
    await send_in_frames(socket, padded({"type": "ping"}, length), frames)
    await me.gone(socket, 1009, timeout=20)


async def send_in_frames(socket, text, frames):
    """Sends one message in so many frames."""
    data = text.encode()
    size = -(-len(data) // frames)
    for number in range(frames):
        part = data[number * size:(number + 1) * size]
        await socket.frame(edge.TEXT if number == 0 else edge.CONTINUATION, part, fin=number == frames - 1)


def chunks(message, count, number="c-1"):
    """The message in so many chunks."""
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    size = -(-len(data) // count)
    return [{"type": "chunk", "id": number, "seq": seq, "total": count,
             "data": base64.b64encode(data[seq * size:(seq + 1) * size]).decode()} for seq in range(count)]


@case("airys", "8 Chunking (optional)")
@case.table([1, 2, 7, 40])
async def chunks_are_one_message(stage, me, count):
    """A message in {count} chunks counts as the message."""
    socket = await log_in(me)
    pieces = chunks({"type": "ping", "timestamp": 17, "request_id": "whole", "pad": "ü" * 100}, count)
    for piece in pieces[:-1]:
        await socket.send(piece)
    assert await told_so_far(socket) == []
    await socket.send(pieces[-1])
    reply = await told_next(socket)
    data = reply["data"]
    assert (reply["type"], data.get("client_timestamp"), data.get("request_id")) == ("pong", 17, "whole"), reply


@case("airys", "8 Chunking (optional)")
async def chunks_may_come_in_any_order(stage, me):
    """The chunks of two messages may come mixed and in any order, with other messages between them."""
    socket = await log_in(me)
    first, second = (chunks({"type": "ping", "timestamp": number}, 3, f"c-{number}") for number in (1, 2))
    for message in (first[2], second[1], {"type": "ping", "timestamp": 0}, second[0], first[0], second[2], first[1]):
        await socket.send(message)
    told = [(await told_next(socket))["data"]["client_timestamp"] for _ in range(3)]
    assert told == [0, 2, 1], told


@case("airys", "8 Chunking (optional)", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
@case.table([
    ("ping", "pong"), ("nonsense", "UNKNOWN_TYPE"), ("auth", "ALREADY_AUTHENTICATED"), ("chunk", "INVALID_MESSAGE"),
    ("stream_control", "INVALID_ACTION"), (b"{broken", "INVALID_MESSAGE"), (b"\xff\xfe", "INVALID_MESSAGE"),
])
async def what_chunks_hold_is_judged_as_ever(stage, me, content, answer):
    """Chunks of `{content}` are answered by {answer}."""
    socket = await log_in(me)
    message = content if isinstance(content, bytes) else {"type": content, "token": "nobody"}
    for piece in chunks(message, 2):
        await socket.send(piece)
    reply = await told_next(socket)
    if answer == "pong":
        assert reply["type"] == "pong", reply
    else:
        assert_error(reply, answer)
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


@case("airys", "8 Chunking (optional)")
@case.table([
    {"id": None}, {"id": 7}, {"id": ""}, {"seq": -1}, {"seq": 3}, {"seq": "0"}, {"seq": 0.5}, {"total": 0},
    {"total": -1}, {"total": "3"}, {"total": None}, {"data": None}, {"data": 7}, {"data": "no base 64!"},
    {"data": "abc"},
])
async def a_wrong_chunk_is_invalid(stage, me, wrong):
    """A chunk with {wrong} is INVALID_MESSAGE; the connection stays open."""
    socket = await log_in(me)
    await fails(socket, chunks({"type": "ping"}, 3)[0] | wrong, "INVALID_MESSAGE")


@case("airys", "8 Chunking (optional)")
@case.table(["id", "seq", "total", "data"])
async def a_chunk_has_all_its_fields(stage, me, name):
    """A chunk without {name} is INVALID_MESSAGE."""
    socket = await log_in(me)
    piece = chunks({"type": "ping"}, 3)[0]
    del piece[name]
    await fails(socket, piece, "INVALID_MESSAGE")


@case("airys", "8 Chunking (optional)")
@case.table([{"seq": 0}, {"total": 4}])
async def a_chunk_goes_with_those_before(stage, me, wrong):
    """A second chunk of a message with {wrong}, which does not go with the first, is INVALID_MESSAGE."""
    socket = await log_in(me)
    first, second, _ = chunks({"type": "ping"}, 3)
    await socket.send(first)
    await fails(socket, second | wrong, "INVALID_MESSAGE")
    for piece in chunks({"type": "ping"}, 2, "c-2"):
        await socket.send(piece)
    assert (await told_next(socket))["type"] == "pong", "another message in chunks is not taken any more"


@case("airys", "8 Chunking (optional)", slow=True)
async def chunks_have_30_seconds(stage, me):
    """A message whose last chunk comes after 30 seconds is INVALID_MESSAGE; within 28 seconds it counts."""
    socket = await log_in(me, gateway=0)
    late, early = (chunks({"type": "ping", "timestamp": number}, 2, f"c-{number}") for number in (1, 2))
    await socket.send(late[0])
    await asyncio.sleep(1)
    await socket.send(early[0])
    await asyncio.sleep(27)
    await socket.send(early[1])
    reply = await told_next(socket)
    assert reply["type"] == "pong" and reply["data"]["client_timestamp"] == 2, reply
    await asyncio.sleep(4)
    await socket.send(late[1])
    assert_error(await told_next(socket), "INVALID_MESSAGE")
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


@case("airys", "8 Chunking (optional)", alone=True)
async def chunks_make_messages_beyond_1_mib(stage, me):
    """A message of 3 MiB in chunks counts, although none in one piece may have more than 1 MiB."""
    gateway = await stage.gateway()
    socket = await log_in(me, gateway=gateway)
    for piece in chunks(padded({"type": "ping", "timestamp": 5}, 3 * MIB).encode(), 5):
        await socket.send(piece)
    reply = await told_next(socket, 60)
    assert reply["type"] == "pong" and reply["data"]["client_timestamp"] == 5, reply


@case("airys", "8 Chunking (optional)", alone=True)
async def chunks_make_at_most_16_mib(stage, me):
    """Chunks of more than 4 MiB together are INVALID_MESSAGE; the connection stays open."""
    gateway = await stage.gateway()
    socket = await log_in(me, gateway=gateway)
    for piece in chunks(b"x" * (4 * MIB + 1), 6):
        await socket.send(piece)
    assert_error(await told_next(socket, 60), "INVALID_MESSAGE")
    assert (await ask(socket, {"type": "ping"}, 30))["type"] == "pong"


@case("airys", "8 Chunking (optional)", alone=True)
async def chunks_may_make_4_mib(stage, me):
    """Chunks of exactly 4 MiB together are one message."""
    gateway = await stage.gateway()
    socket = await log_in(me, gateway=gateway)
    for piece in chunks(padded({"type": "ping", "timestamp": 5}, 4 * MIB).encode(), 6):
        await socket.send(piece)
    reply = await told_next(socket, 90)
    assert reply["type"] == "pong" and reply["data"]["client_timestamp"] == 5, reply


async def burst(socket, count):
    """Sends so many pings at once."""
    await socket.raw(b"".join(edge.frame_bytes(edge.TEXT, b'{"type":"ping"}') for _ in range(count)))


@case("airys", "8 Rate", "README#1 Rate limit")
async def a_burst_of_100_is_answered(stage, me):
    """A hundred messages at once are answered."""
    socket = await log_in(me, gateway=0)
    await burst(socket, 99)
    for _ in range(99):
        assert (await told_next(socket))["type"] == "pong"


@case("airys", "8 Rate", slow=True)
async def fifty_a_second_are_answered(stage, me):
    """Messages at 50 a second are answered for as long as they come."""
    socket = await log_in(me, gateway=0)
    began = time.monotonic()
    for tenth in range(100):
        await asyncio.sleep(max(0, began + tenth / 10 - time.monotonic()))
        await burst(socket, 5)
    for _ in range(500):
        message = await told_next(socket)
        assert message["type"] == "pong", message


@case("airys", "8 Rate", "README#7 Airys", "7 NOT_AUTHENTICATED, ALREADY_AUTHENTICATED, INVALID_MESSAGE, U")
async def a_larger_burst_is_limited(stage, me):
    """Of 300 messages at once about a hundred are answered; one RATE_LIMITED says when to try again."""
    socket, other = [await log_in(me, gateway=0) for _ in range(2)]
    await burst(socket, 300)
    told = await told_so_far(socket)
    errors = [message for message in told if message["type"] == "error"]
    assert 99 <= len(told) - len(errors) < 200, f"{len(told) - len(errors)} of 300 answered"
    assert len(errors) == 1, errors
    assert_error(errors[0], "RATE_LIMITED")
    wait = errors[0]["data"]["details"]["retry_after"]
    assert isinstance(wait, (int, float)) and 0 < wait <= 5, errors
    assert (await ask(other, {"type": "ping"}))["type"] == "pong"
    await asyncio.sleep(wait)
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


@case("airys", "8 Rate", "7 CONNECTION_LIMIT, RATE_LIMITED (persistent)", "README#7 Airys", "README#1 Close codes")
async def the_third_overflow_closes(stage, me):
    """The third overflow within a minute is RATE_LIMITED and closes with 4429."""
    socket = await log_in(me, gateway=0)
    for number in range(3):
        await burst(socket, 250)
        assert_error(await socket.until(lambda message: message["type"] == "error"), "RATE_LIMITED")
        if number < 2:
            await socket.echo()
            await asyncio.sleep(1.5)
    await me.gone(socket, LIMITED)


@case("airys", "8 Rate", slow=True)
async def an_overflow_is_forgotten_after_a_minute(stage, me):
    """A third overflow more than a minute after the first does not close."""
    socket = await log_in(me, gateway=0)
    for pause in (30, 33, 2):
        await burst(socket, 250)
        assert_error(await socket.until(lambda message: message["type"] == "error"), "RATE_LIMITED")
        await asyncio.sleep(pause)
    assert (await ask(socket, {"type": "ping"}))["type"] == "pong"


@case("airys", "8 Rate")
async def before_auth_there_is_a_rate_too(stage, me):
    """A client that has not logged in is limited as any other."""
    socket = await connect(me, gateway=0)
    for number in range(3):
        await burst(socket, 250)
        await socket.until(lambda message: message["data"].get("code") == "RATE_LIMITED")
        if number < 2:
            await asyncio.sleep(1.5)
    await me.gone(socket, LIMITED)


@case("airys", "8 Heartbeat", slow=True)
async def a_transport_ping_comes_every_30_seconds(stage, me):
    """A PING frame comes every 30 seconds."""
    token = await me.token()
    socket = await connect(me, gateway=0)
    opened = time.monotonic()
    await socket.send({"type": "auth", "token": token})
    for seconds, count in ((27, 0), (33, 1), (57, 1), (63, 2)):
        await asyncio.sleep(opened + seconds - time.monotonic())
        assert len(socket.pings) == count, f"{len(socket.pings)} PINGs after {seconds} s"


@case("airys", "8 Heartbeat", slow=True)
async def silence_ends_the_connection(stage, me):
    """A client of which nothing was heard for 90 seconds, not even a PONG, is dropped."""
    socket = await log_in(me, gateway=0)
    socket.answers_pings = False
    opened = time.monotonic()
    await socket.closing(100)
    assert 86 <= time.monotonic() - opened <= 99, f"after {time.monotonic() - opened:.1f} s"


@case("airys", "8 Heartbeat", slow=True)
@case.table(["PONG", "heartbeat"])
async def any_sign_of_life_keeps_the_connection(stage, me, sign):
    """A client that sends nothing but {sign} is not dropped after 90 seconds."""
    socket = await log_in(me, gateway=0)
    socket.answers_pings = sign == "PONG"
    opened = time.monotonic()
    while time.monotonic() < opened + 100:
        await asyncio.sleep(20)
        if sign == "heartbeat":
            await socket.send({"type": "heartbeat"})
    assert socket.is_open, await socket.closing()


# 9. Ordering and delivery


@case("airys", "9 ¶1")
async def a_cameras_events_are_in_order(stage, me):
    """Of each camera the events of all types come in the order of publication, each once."""
    sockets = [await log_in(me) for _ in range(2)]
    names = list(DATA)
    events = [event(me, names[number % 4], {"n": number}, f"cam_{number % 3}") for number in range(400)]
    told = [await heard(stage, me, sockets[0], events)]
    told.append([message for message in await told_so_far(sockets[1]) if "n" in message["data"]])
    for each in told:
        for camera in range(3):
            came = [message["data"]["n"] for message in each if message["data"]["camera_id"] == f"cam_{camera}"]
            assert came == list(range(camera, 400, 3)), f"cam_{camera}: {len(came)} events {came[:20]}…"


@case("airys", "9 ¶1", "README#1 Resume")
async def nothing_is_kept_for_who_is_away(stage, me):
    """What happens while a client is away is not told when it comes back and logs in again."""
    token = await me.token()
    before, witness = await log_in(me, token), await log_in(me, token)
    await before.drop()
    await me.publish("camera.stream_status", {"camera_id": "cam_a", "n": 1}, "cam_a")
    await witness.until(lambda message: message["data"].get("n") == 1)
    after = await log_in(me, token)
    told = await heard(stage, me, after, [event(me, "stream_status", {"n": 2})])
    assert [message["data"]["n"] for message in told] == [2], told
