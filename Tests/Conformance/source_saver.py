"""Source Saver, clause by clause; see docs/dialects/source-saver.md."""

import asyncio
import datetime
import json
import re
import secrets
import time

import catalogue
import edge
from cases import case

ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

SOURCE = {"id": "source-789-ghi", "name": "New Stream Alert", "url": "https://example.com/alertbox", "width": 800,
          "height": 600, "isActive": False}
PLACEMENT = {"sceneName": "Main Scene", "sourceId": "source-123-abc", "sourceName": "Stream Alert"}

# Every event of the contract, with data of its shape.
EVENTS = {
    "sources:create": {"source": SOURCE},
    "sources:update": {"source": SOURCE | {"isActive": True}, "changes": ["name", "width", "isActive"]},
    "sources:activate": {"sourceId": "source-123-abc", "sourceName": "Stream Alert", "isActive": True,
                         "activatedAt": "2024-01-15T16:32:00.000Z"},
    "sources:deactivate": {"sourceId": "source-123-abc", "sourceName": "Stream Alert", "isActive": False,
                           "deactivatedAt": "2024-01-15T16:33:00.000Z"},
    "sources:delete": {"sourceId": "source-123-abc", "sourceName": "Stream Alert"},
    "obs:sceneChanged": {"previousScene": None, "currentScene": "BRB Scene", "sceneIndex": 1},
    "obs:connectionChanged": {"connected": False, "connectionId": "obs-conn-789", "obsVersion": None,
                              "websocketVersion": None},
    "obs:statsUpdate": {"stats": {"cpuUsage": 15.2, "memoryUsage": 512.5, "fps": 60.0, "renderTime": 8.3,
                                  "outputSkippedFrames": 0, "outputTotalFrames": 3600}},
    "scenes:sourceAdded": PLACEMENT | {"config": {"x": 100, "y": 50, "width": 800, "height": 600, "scaleX": 1,
                                                  "scaleY": 1, "rotation": 0, "visible": True}},
    "scenes:sourceRemoved": PLACEMENT,
    "scenes:sourceConfigUpdated": PLACEMENT | {"config": {"x": 200, "visible": False}, "changes": ["x", "visible"]},
    "performance:update": {"system": {"cpu": 15.2, "memory": 512.5, "uptime": 3600},
                           "application": {"activeConnections": 5, "averageResponseTime": 45.2},
                           "sources": {"total": 12, "active": 4, "averageCpuUsage": 8.3}},
    "performance:alert": {"type": "high_cpu_usage", "value": 80.0, "threshold": 80.0, "severity": "warning",
                          "source": "system", "message": "System CPU usage is above threshold"},
    "system:statusChange": {"previousStatus": "healthy", "currentStatus": "degraded", "reason": "High memory usage",
                            "checks": {"obsConnected": True, "sourceManagerInitialized": True, "memoryUsage": "high"}},
    "system:error": {"error": "Failed to activate source", "sourceId": "source-123-abc",
                     "errorCode": "ACTIVATION_FAILED", "details": {"reason": "OBS connection lost", "retryable": True}},
    "system:maintenanceMode": {"enabled": True, "estimatedDuration": 600, "message": "Update – zurück um 12 ✓"},
}
DOMAINS = ("sources", "obs", "scenes", "performance", "system")

# What whoever has not subscribed yet may be told at any time of the default tenant.
UNASKED = ("system:statusChange", "system:maintenanceMode")


# Tools of these cases

def named(event):
    """Fits messages of this name."""
    return lambda message: message["event"] == event


def type_of(event):
    """The suite's own name of an event."""
    return event.replace(":", ".", 1)


def name_of(type):
    """What Source Saver calls an event of this type."""
    return type.replace(".", ":", 1)


def is_durable(event):
    """Whether the catalogue has it as durable."""
    return next(each.durable for each in catalogue.types() if each.name == type_of(event))


async def happen(me, event, data=None, **more):
    """Publishes an event of the contract in the case's tenant."""
    return await me.publish(type_of(event), EVENTS[event] if data is None else data, durable=is_durable(event), **more)


async def nobody(me, gateway=0):
    """A connection from this machine without a credential."""
    return await me.open("source-saver", address=me.loopback, gateway=gateway)


async def somebody(me, gateway=2, **token):
    """A connection of the case's tenant."""
    return await me.open("source-saver", f"/?token={await me.token(**token)}", gateway=gateway)


async def subscribe(socket, *events):
    """Subscribes; returns the reply's data."""
    await socket.send({"action": "subscribe", "events": list(events)})
    reply = await socket.until(lambda message: message["event"] in ("subscription:confirmed", "error"))
    assert reply["event"] == "subscription:confirmed", reply
    return reply["data"]


async def listener(me, *events, gateway=2, **token):
    """A subscribed connection of the case's tenant."""
    socket = await somebody(me, gateway, **token)
    await subscribe(socket, *events)
    return socket


async def reply_on(socket):
    """The next message that is no news of the system."""
    return await socket.until(lambda message: message["event"] not in UNASKED)


async def answer(socket, message):
    """Sends a message; returns its reply."""
    await socket.send(message)
    return await reply_on(socket)


async def is_quiet(socket):
    """Asserts that nothing but news of the system has come, up to now."""
    await socket.echo()
    heard = [message for message in await socket.drained() if message["event"] not in UNASKED]
    assert heard == [], heard


def is_error(reply, type, code=None, message=None):
    """Asserts that it is this error of the contract."""
    assert reply["event"] == "error", reply
    data = reply["data"]
    assert data["type"] == type and data.get("code") == code, reply
    assert isinstance(data["message"], str) and data["message"], reply
    assert message in (None, data["message"]), reply


def milliseconds(moment):
    """An ISO 8601 moment of the contract's form, in milliseconds since 1970."""
    assert re.fullmatch(MOMENT, moment), moment
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() * 1000


def is_now(moment):
    """Asserts that it is a moment of the last seconds."""
    assert abs(milliseconds(moment) - time.time() * 1000) < 10_000, f"{moment} is not now"


def is_enveloped(message):
    """Asserts that it has the four fields of the envelope and no others, each of its form."""
    assert list(sorted(message)) == ["data", "event", "id", "timestamp"], message
    assert isinstance(message["event"], str) and isinstance(message["data"], dict), message
    assert re.fullmatch(MOMENT, message["timestamp"]), message
    assert re.fullmatch(f"msg-{ULID}", message["id"]), message


# 1. Endpoint and handshake

@case("source-saver", "1 URL")
async def the_path_is_the_root(stage, me):
    """A client connects to the path `/`, and no sub-protocol is agreed on."""
    socket = await me.open("source-saver", address=me.loopback, headers={"Sec-WebSocket-Protocol": "chat, json"})
    assert "sec-websocket-protocol" not in socket.headers, socket.headers
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "1 URL")
async def unknown_query_parameters_do_not_matter(stage, me):
    """A query that means nothing here keeps nobody out."""
    socket = await me.open("source-saver", "/?v=1&_=1700000000", address=me.loopback)
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "1 URL", "README#5 •2")
async def through_the_load_balancer(stage, me):
    """A client on this machine connects through the load balancer without a credential."""
    socket = await edge.Socket.open(stage.port("source-saver", "haproxy"))
    reply = await answer(socket, {"action": "ping", "timestamp": "t"})
    await socket.drop()
    assert reply["data"]["clientTimestamp"] == "t", reply


@case("source-saver", "1 Auth", "README#5 •2")
async def no_credential_is_needed_on_this_machine(stage, me):
    """From a loopback address no credential is needed."""
    for address in ("127.0.0.1", "127.255.3.9", "::1"):
        socket = await me.open("source-saver", address=address)
        assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "1 Auth", "README#5 •2")
@case.table(["10.1.2.3", "192.168.1.7", "203.0.113.5", "128.0.0.1", "2001:db8::1"])
async def a_credential_is_needed_from_elsewhere(stage, me, address):
    """From {address} nobody is let in without a credential: 401 before the upgrade."""
    refusal = await me.refused("source-saver", address=address)
    assert refusal.status == 401 and refusal.json == {"error": "Unauthorized"}, refusal
    assert refusal.version == b"HTTP/1.1" and "json" in refusal.headers["content-type"], refusal.headers


@case("source-saver", "1 Auth")
@case.table([
    ("/?token=wrong", {}), ("/?token=", {"Authorization": "Bearer wrong"}), ("/", {"Authorization": "Bearer wrong"}),
    ("/?token=a.b.c", {}), ("/source-saver?token=xp_0000", {}),
])
async def a_wrong_credential(stage, me, path, headers):
    """A wrong credential ({path} {headers}) is 401 before the upgrade, on this machine too."""
    for address in (me.address, me.loopback):
        refusal = await me.refused("source-saver", path, headers, address=address)
        assert refusal.status == 401 and refusal.json == {"error": "Unauthorized"}, refusal


@case("source-saver", "1 Auth")
@case.table(["jwt", "oauth2", "apikey"])
async def a_good_credential(stage, me, type):
    """A good {type} credential is taken from the query and from the Authorization header."""
    token = await me.token(type)
    for path, headers in (f"/?token={token}", {}), ("/", {"Authorization": f"Bearer {token}"}):
        socket = await me.open("source-saver", path, headers)
        assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "1 Auth")
async def a_ticket_is_a_credential_once(stage, me):
    """A ticket opens one connection and no second."""
    answered = await stage.rest("POST", "auth", "/v1/tickets", token=await me.token())
    path = f"/?token={answered.json['ticket']}"
    await me.open("source-saver", path)
    refusal = await me.refused("source-saver", path, gateway=1)
    assert refusal.status == 401, refusal


@case("source-saver", "1 Auth")
async def an_expired_credential(stage, me):
    """A token that has ended is 401 before the upgrade, from its end on."""
    token = await me.token(ttl=1)
    socket = await me.open("source-saver", f"/?token={token}")
    await me.gone(socket, 1008, "token expired")
    for gateway in 0, 1:
        refusal = await me.refused("source-saver", f"/?token={token}", gateway=gateway)
        assert refusal.status == 401 and refusal.json == {"error": "Unauthorized"}, refusal


@case("source-saver", "1 Server speaks first?")
async def the_server_does_not_speak_first(stage, me):
    """Nothing comes until the client acts or an event is due."""
    socket = await somebody(me)
    await socket.silence(2)
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "1 Frames", "README#3 •1")
async def one_object_per_text_frame(stage, me):
    """Every message is one unfragmented text frame, however long."""
    socket = await listener(me, "*")
    long = {"text": "ü" * 40_000}
    await happen(me, "obs:sceneChanged", long)
    message = await socket.next()
    assert message["data"] == long
    await socket.send({"action": "ping"})
    await socket.next()
    assert [frame[:2] for frame in socket.frames] == [(edge.TEXT, True)] * 3, socket.frames


@case("source-saver", "1 Frames", "7 Close codes")
async def a_binary_frame_closes(stage, me):
    """A binary message closes with 1003, also if it holds JSON."""
    socket = await nobody(me)
    await socket.send(b'{"action":"ping"}')
    await me.gone(socket, 1003, "text frames only")


@case("source-saver", "1 Inbound size limit")
async def the_longest_message(stage, me):
    """A message of exactly 64 KiB is read."""
    socket = await nobody(me)
    room = 64 * 1024 - len(json.dumps({"action": "ping", "timestamp": ""}))
    reply = await answer(socket, {"action": "ping", "timestamp": "x" * room})
    assert reply["data"]["clientTimestamp"] == "x" * room


@case("source-saver", "1 Inbound size limit", "7 Close codes")
async def a_message_that_is_too_long(stage, me):
    """A message of 64 KiB and one byte closes with 1009."""
    socket = await nobody(me)
    room = 64 * 1024 + 1 - len(json.dumps({"action": "ping", "timestamp": ""}))
    await socket.send({"action": "ping", "timestamp": "x" * room})
    await me.gone(socket, 1009)


@case("source-saver", "1 Inbound size limit", "7 Close codes")
async def parts_that_are_too_long_together(stage, me):
    """Fragments that are over 64 KiB together close with 1009, before the last has come."""
    socket = await nobody(me)
    await socket.frame(edge.TEXT, b'{"action":"ping","timestamp":"', fin=False)
    for _ in range(3):
        await socket.frame(edge.CONTINUATION, b"x" * 30_000, fin=False)
    await me.gone(socket, 1009)


# 2. Server envelope

@case("source-saver", "2 ¶1", "2 data", "2 ¶2")
async def every_reply_is_enveloped(stage, me):
    """Each reply has `event`, `data`, `timestamp` and `id`, and no more; the moment is now."""
    socket = await nobody(me)
    asked = [{"action": "ping"}, {"action": "subscribe", "events": ["obs:*"]},
             {"action": "unsubscribe", "events": ["obs:*"]}, {"action": "fly"}, "{", "[]",
             {"action": "subscribe", "events": []}, {"action": "subscribe", "events": ["invalid:*"]}]
    replies = [await answer(socket, message) for message in asked]
    for reply in replies:
        is_enveloped(reply)
        is_now(reply["timestamp"])
    assert len({reply["id"] for reply in replies}) == len(asked), replies


@case("source-saver", "2 event", "2 id")
async def the_names_of_replies(stage, me):
    """Replies are named `pong`, `subscription:confirmed`, `subscription:updated` and `error`."""
    socket = await nobody(me)
    asked = [{"action": "ping"}, {"action": "subscribe", "events": ["obs:*"]},
             {"action": "unsubscribe", "events": ["obs:*"]}, {"action": "fly"}]
    names = [(await answer(socket, message))["event"] for message in asked]
    assert names == ["pong", "subscription:confirmed", "subscription:updated", "error"], names


@case("source-saver", "2 timestamp", "2 ¶1", "README#3 •5")
async def an_events_timestamp(stage, me):
    """An event's `timestamp` is the moment when it happened, in milliseconds and UTC."""
    socket = await listener(me, "obs:*")
    for moment in "2024-01-15T16:30:00.000Z", "2024-02-29T23:59:59.987Z":
        await happen(me, "obs:sceneChanged", time=moment)
        message = await socket.next()
        is_enveloped(message)
        assert message["timestamp"] == moment, message


@case("source-saver", "2 id", "README#6 •6")
async def an_events_id(stage, me):
    """An event has the same `id` on every connection, `msg-` and its own ULID; another one has another."""
    sockets = [await listener(me, "obs:*"), await listener(me, "*", "obs:sceneChanged")]
    published = [await happen(me, "obs:sceneChanged") for _ in range(2)]
    for socket in sockets:
        heard = [(await socket.next())["id"] for _ in published]
        assert heard == [f"msg-{each['id']}" for each in published], (heard, published)


@case("source-saver", "2 id", "4 sources:create", "9 Source", "8 ¶1")
async def the_id_is_the_same_on_every_gateway(stage, me):
    """A source that is made over REST is told with the same `id` and moment on two gateways."""
    sockets = [await listener(me, "sources:*", gateway=gateway) for gateway in (0, 1)]
    await create_source(stage, await me.token())
    first, second = [await socket.next() for socket in sockets]
    assert first == second, (first, second)


# 3. Client → server

@case("source-saver", "3 ¶1", "3.3 ¶2", "6 message_error")
@case.table([
    ('{"data":{"action":"ping"}}', None), ('{"type":"ping"}', None), ('{"event":"ping"}', None), ("{}", None),
    ('{"action":null}', None), ('{"action":7}', None), ('{"action":["ping"]}', None),
    ('{"action":"fly"}', "UNKNOWN_ACTION"), ('{"action":"Ping"}', "UNKNOWN_ACTION"),
    ('{"action":""}', "UNKNOWN_ACTION"),
])
async def messages_without_a_known_action(stage, me, text, code):
    """{text} is answered with a message_error ({code}), and the connection stays open."""
    socket = await nobody(me)
    reply = await answer(socket, text)
    assert reply["data"].get("code") in ([code] if code else ["INVALID_MESSAGE", "UNKNOWN_ACTION"]), reply
    is_error(reply, "message_error", reply["data"]["code"])
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "3.3 ¶2", "6 message_error", "README#7 all (5)")
@case.table([
    ("", "INVALID_JSON"), ("{", "INVALID_JSON"), ("ping", "INVALID_JSON"), ('{"action":"ping"}}', "INVALID_JSON"),
    ("{'action':'ping'}", "INVALID_JSON"), ('{"action":"ping",}', "INVALID_JSON"), ('{"action":"ping"', "INVALID_JSON"),
    ('{"action":"ping"} {"action":"ping"}', "INVALID_JSON"), ('{"a":' + "[" * 200 + "]" * 200 + "}", "INVALID_JSON"),
    ("[]", "INVALID_MESSAGE"), ('"ping"', "INVALID_MESSAGE"), ("1", "INVALID_MESSAGE"), ("null", "INVALID_MESSAGE"),
    ("true", "INVALID_MESSAGE"), ('[{"action":"ping"}]', "INVALID_MESSAGE"),
])
async def messages_that_cannot_be_read(stage, me, text, code):
    """`{text}` is answered with {code}, and the connection stays open."""
    socket = await nobody(me)
    is_error(await answer(socket, text), "message_error", code)
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


# 3.1 subscribe

@case("source-saver", "3.1 action", "3.1 ¶1")
async def a_first_subscribe(stage, me):
    """The reply of a first `subscribe` repeats its events in their order and has an id of its own."""
    socket = await nobody(me)
    events = ["sources:*", "obs:sceneChanged", "performance:update"]
    reply = await answer(socket, {"action": "subscribe", "events": events})
    assert reply["event"] == "subscription:confirmed", reply
    assert set(reply["data"]) == {"subscribedEvents", "subscriptionId"}, reply
    assert reply["data"]["subscribedEvents"] == events, reply


@case("source-saver", "3.1 •1", "3.1 •2")
async def subscriptions_add_up(stage, me):
    """`subscribe` adds; what comes twice counts once, in the order of its first time; the reply has the whole set."""
    socket = await nobody(me)
    first = (await subscribe(socket, "obs:*", "sources:create", "obs:*"))["subscribedEvents"]
    assert first == ["obs:*", "sources:create"], first
    whole = (await subscribe(socket, "system:error", "sources:create", "*", "obs:*"))["subscribedEvents"]
    assert whole == ["obs:*", "sources:create", "system:error", "*"], whole


@case("source-saver", "3.1 •3")
async def a_subscription_id_is_fresh(stage, me):
    """Each call that succeeds has another `subscriptionId`: `sub-` and a ULID."""
    socket = await nobody(me)
    ids = [(await subscribe(socket, "obs:*"))["subscriptionId"] for _ in range(3)]
    assert len(set(ids)) == 3 and all(re.fullmatch(f"sub-{ULID}", each) for each in ids), ids


@case("source-saver", "3.1 •4")
@case.table(["invalid:*", "sources:nope", ""])
async def all_or_nothing(stage, me, bad):
    """One bad pattern (`{bad}`) rejects the whole call, and nothing changes."""
    socket = await nobody(me)
    await subscribe(socket, "obs:*")
    is_error(await answer(socket, {"action": "subscribe", "events": ["sources:*", bad, "system:*"]}),
             "subscription_error", "INVALID_EVENT_PATTERN", f"Invalid event pattern: {bad}")
    assert (await subscribe(socket, "scenes:*"))["subscribedEvents"] == ["obs:*", "scenes:*"]


@case("source-saver", "3.1 events", "6 subscription_error (2)")
@case.table([
    '{"action":"subscribe"}', '{"action":"subscribe","events":null}', '{"action":"subscribe","events":"sources:*"}',
    '{"action":"subscribe","events":{"0":"sources:*"}}', '{"action":"subscribe","events":[]}',
    '{"action":"subscribe","events":[1]}', '{"action":"subscribe","events":["obs:*",null]}',
    '{"action":"subscribe","events":[["obs:*"]]}', '{"action":"unsubscribe"}', '{"action":"unsubscribe","events":[]}',
    '{"action":"unsubscribe","events":"obs:*"}', '{"action":"unsubscribe","events":[true]}',
])
async def events_that_are_no_list_of_names(stage, me, text):
    """{text} is answered with INVALID_EVENTS."""
    socket = await nobody(me)
    is_error(await answer(socket, text), "subscription_error", "INVALID_EVENTS")
    assert (await subscribe(socket, "scenes:*"))["subscribedEvents"] == ["scenes:*"]


@case("source-saver", "3.1 events", "6 subscription_error (2)")
@case.table(["subscribe", "unsubscribe"])
async def the_number_of_events(stage, me, action):
    """{action} takes a hundred entries, and not one more."""
    socket = await nobody(me)
    reply = await answer(socket, {"action": action, "events": ["obs:*", "scenes:*"] * 50})
    assert reply["event"].startswith("subscription:"), reply
    reply = await answer(socket, {"action": action, "events": ["obs:*"] * 101})
    is_error(reply, "subscription_error", "INVALID_EVENTS")


@case("source-saver", "3.1 events", "6 subscription_error")
async def the_length_of_a_pattern(stage, me):
    """A pattern of over 128 characters is refused."""
    socket = await nobody(me)
    reply = await answer(socket, {"action": "subscribe", "events": ["obs:" + "x" * 125]})
    assert reply["data"].get("code") in ("INVALID_EVENT_PATTERN", "INVALID_EVENTS"), reply
    is_error(reply, "subscription_error", reply["data"]["code"])


# 3.2 unsubscribe

@case("source-saver", "3.2 ¶1", "3.2 •2")
async def unsubscribing(stage, me):
    """`unsubscribe` says what remains and what was taken away; what was not subscribed is left out."""
    socket = await nobody(me)
    await subscribe(socket, "sources:*", "obs:sceneChanged", "performance:update")
    reply = await answer(socket, {"action": "unsubscribe", "events": ["performance:update", "system:error", "obs:*"]})
    assert reply["event"] == "subscription:updated", reply
    assert reply["data"] == {"subscribedEvents": ["sources:*", "obs:sceneChanged"],
                             "unsubscribedEvents": ["performance:update"]}, reply
    reply = await answer(socket, {"action": "unsubscribe", "events": ["performance:update"]})
    assert reply["data"] == {"subscribedEvents": ["sources:*", "obs:sceneChanged"], "unsubscribedEvents": []}, reply


@case("source-saver", "3.2 ¶1")
async def nothing_comes_after_unsubscribing(stage, me):
    """What was unsubscribed comes no more, the rest does."""
    socket = await listener(me, "obs:sceneChanged", "obs:connectionChanged")
    await answer(socket, {"action": "unsubscribe", "events": ["obs:sceneChanged"]})
    await happen(me, "obs:sceneChanged")
    await happen(me, "obs:connectionChanged")
    assert (await socket.next())["event"] == "obs:connectionChanged"


@case("source-saver", "3.2 •1")
async def patterns_are_removed_by_exact_string(stage, me):
    """To unsubscribe `sources:create` leaves no hole in `sources:*`."""
    socket = await listener(me, "sources:*")
    reply = await answer(socket, {"action": "unsubscribe", "events": ["sources:create", "*"]})
    assert reply["data"] == {"subscribedEvents": ["sources:*"], "unsubscribedEvents": []}, reply
    await happen(me, "sources:create")
    assert (await socket.next())["event"] == "sources:create"


# 3.3 ping

@case("source-saver", "3.3 action", "3.3 timestamp", "3.3 ¶1")
@case.table(["2024-01-15T16:30:00Z", "2024-01-15T16:30:00.123456789+02:00", "", "yesterday \"ü\" \\ \u2028 😀"])
async def a_ping_with_a_timestamp(stage, me, timestamp):
    """`ping` is answered with its own timestamp, unchanged ({timestamp}), and the server's."""
    socket = await nobody(me)
    reply = await answer(socket, {"action": "ping", "timestamp": timestamp})
    assert reply["event"] == "pong" and set(reply["data"]) == {"clientTimestamp", "serverTimestamp"}, reply
    assert reply["data"]["clientTimestamp"] == timestamp, reply
    is_now(reply["data"]["serverTimestamp"])


@case("source-saver", "3.3 timestamp", "3.3 ¶1")
async def a_ping_without_a_timestamp(stage, me):
    """Without a timestamp `clientTimestamp` is null."""
    reply = await answer(await nobody(me), {"action": "ping"})
    assert reply["data"]["clientTimestamp"] is None, reply
    is_now(reply["data"]["serverTimestamp"])


# 4. Event catalogue

@case("source-saver", "4 {event}", "4 ¶1", "5 category:name")
@case.table(EVENTS.items())
async def events_of_the_contract(stage, me, event, data):
    """`{event}` comes under its name, with what its publisher said of it."""
    socket = await listener(me, event)
    await happen(me, event, data)
    message = await socket.next()
    is_enveloped(message)
    assert message["event"] == event and message["data"] == data, message


async def create_source(stage, token, **more):
    """Makes a source over REST."""
    source = {"name": f"Alert {secrets.token_hex(6)}", "url": "https://example.com", "width": 800, "height": 600} | more
    answered = await stage.rest("POST", "obs-bridge", "/api/sources", source, token)
    assert answered.status == 201, (answered.status, answered.body)
    return answered.json


@case("source-saver", "4 sources:create", "4 sources:update", "4 sources:activate", "4 sources:deactivate",
      "4 sources:delete", "8 ¶1")
async def the_life_of_a_source(stage, me):
    """What is done to a source over REST is told with the contract's fields, in its order."""
    socket, token = await listener(me, "sources:*", gateway=0), await me.token()
    source = await create_source(stage, token)
    message = await socket.next()
    assert message["event"] == "sources:create" and message["data"] == {"source": source}, message

    path = f"/api/sources/{source['id']}"
    changed = await stage.rest("PUT", "obs-bridge", path, {"width": 1000, "height": 700}, token)
    message = await socket.next()
    assert message["event"] == "sources:update" and message["data"]["source"] == changed.json, message
    assert sorted(message["data"]["changes"]) == ["height", "width"], message

    told = await stage.rest("POST", "obs-bridge", f"{path}/activate", token=token)
    message = await socket.next()
    assert message["event"] == "sources:activate", message
    assert message["data"] == {"sourceId": source["id"], "sourceName": source["name"], "isActive": True,
                               "activatedAt": told.json["activatedAt"]}, message

    told = await stage.rest("POST", "obs-bridge", f"{path}/deactivate", token=token)
    message = await socket.next()
    assert message["event"] == "sources:deactivate", message
    assert message["data"] == {"sourceId": source["id"], "sourceName": source["name"], "isActive": False,
                               "deactivatedAt": told.json["source"]["deactivatedAt"]}, message

    await stage.rest("DELETE", "obs-bridge", path, token=token)
    message = await socket.next()
    assert message["event"] == "sources:delete", message
    assert message["data"] == {"sourceId": source["id"], "sourceName": source["name"]}, message


@case("source-saver", "4 system:error")
async def an_operation_that_fails(stage, me):
    """The eleventh active source is refused, and told as `system:error` with ACTIVATION_FAILED."""
    socket, token = await listener(me, "system:error", gateway=1), await me.token()
    for number in range(11):
        source = await create_source(stage, token)
        answered = await stage.rest("POST", "obs-bridge", f"/api/sources/{source['id']}/activate", token=token)
        assert answered.status == (200 if number < 10 else 409), (number, answered.status, answered.body)
    message = await socket.next()
    data = message["data"]
    assert message["event"] == "system:error" and set(data) == {"error", "sourceId", "errorCode", "details"}, message
    assert data["sourceId"] == source["id"] and data["errorCode"] == "ACTIVATION_FAILED", message
    assert set(data["details"]) == {"reason", "retryable"} and isinstance(data["details"]["retryable"], bool), message


@case("source-saver", "4 performance:update", "README#5 •2", slow=True)
async def the_load_is_told_every_half_minute(stage, me):
    """`performance:update` comes every 30 s with the contract's fields, to nobody in particular too."""
    socket = await nobody(me)
    await subscribe(socket, "performance:update")
    messages = [await socket.until(named("performance:update"), 40) for _ in range(2)]
    data = messages[0]["data"]
    assert set(data) == {"system", "application", "sources"}, data
    assert set(data["system"]) == {"cpu", "memory", "uptime"}, data
    assert set(data["application"]) == {"activeConnections", "averageResponseTime"}, data
    assert set(data["sources"]) == {"total", "active", "averageCpuUsage"}, data
    between = milliseconds(messages[1]["timestamp"]) - milliseconds(messages[0]["timestamp"])
    assert 27_000 < between < 33_000, between


# 5. Patterns

@case("source-saver", "5 category:name")
async def a_name_matches_that_event_only(stage, me):
    """A name matches exactly that event."""
    socket = await listener(me, "sources:delete")
    for event in EVENTS:
        await happen(me, event)
    await happen(me, "sources:delete", {"last": True})
    assert (await socket.next())["data"] == EVENTS["sources:delete"]
    assert (await socket.next())["data"] == {"last": True}


@case("source-saver", "5 {clause}", "README#6 Source Saver")
@case.table([("sources", "sources:*, obs:*, performance:*"), ("obs", "sources:*, obs:*, performance:*"),
             ("performance", "sources:*, obs:*, performance:*"), ("scenes", "scenes:*, system:*"),
             ("system", "scenes:*, system:*")])
async def a_category(stage, me, domain, clause):
    """`{domain}:*` matches the whole category and nothing else."""
    socket = await listener(me, f"{domain}:*")
    for event in EVENTS:
        await happen(me, event)
    expected = [event for event in EVENTS if event.startswith(f"{domain}:")]
    await happen(me, expected[0], {"last": True})
    assert [(await socket.next())["event"] for _ in expected] == expected
    assert (await socket.next())["data"] == {"last": True}


@case("source-saver", "5 *")
async def everything(stage, me):
    """`*` matches everything."""
    socket = await listener(me, "*")
    for event in EVENTS:
        await happen(me, event)
    assert [(await socket.next())["event"] for _ in EVENTS] == list(EVENTS)


@case("source-saver", "5 ¶1", "6 subscription_error", "6 ¶1")
@case.table([
    "invalid:*", "nope:create", "sources:nope", "*:create", "sources:cr*", "", "sources", "sources:", ":*", "**", "*:*",
    "sources:**", "Sources:*", "sources:Create", " sources:*", "sources:* ", "sources.*", "sources.create",
    "sources::create", "sources:create:x", "pong", "error", "subscription:confirmed", "subscription:*", "obs:\u0000",
])
async def patterns_that_are_none(stage, me, pattern):
    """`{pattern}` is no pattern: INVALID_EVENT_PATTERN, which names it."""
    socket = await nobody(me)
    is_error(await answer(socket, {"action": "subscribe", "events": [pattern]}), "subscription_error",
             "INVALID_EVENT_PATTERN", f"Invalid event pattern: {pattern}")


@case("source-saver", "5 ¶1")
async def an_event_comes_once(stage, me):
    """An event that several patterns match comes once."""
    socket = await listener(me, "*", "sources:*", "sources:create")
    await happen(me, "sources:create")
    await happen(me, "sources:delete")
    assert [(await socket.next())["event"] for _ in range(2)] == ["sources:create", "sources:delete"]


@case("source-saver", "5 ¶2", "1 Server speaks first?")
async def before_the_first_subscribe(stage, me):
    """Before its first `subscribe` a connection gets `system:statusChange` and `system:maintenanceMode` only."""
    socket = await somebody(me)
    for event in EVENTS:
        await happen(me, event)
    assert [(await socket.next())["event"] for _ in range(2)] == ["system:statusChange", "system:maintenanceMode"]
    await happen(me, "system:statusChange", {"last": True})
    assert (await socket.next())["data"] == {"last": True}


@case("source-saver", "5 ¶2")
async def from_the_first_subscribe_on(stage, me):
    """From the first `subscribe` on only what matches comes: no `system:statusChange` unasked."""
    socket = await listener(me, "obs:sceneChanged")
    await happen(me, "system:statusChange")
    await happen(me, "system:maintenanceMode")
    await happen(me, "obs:sceneChanged")
    assert (await socket.next())["event"] == "obs:sceneChanged"


@case("source-saver", "5 ¶2")
async def an_empty_set_stays_empty(stage, me):
    """When the set becomes empty again nothing comes, no `system:statusChange` either."""
    socket, witness = await listener(me, "obs:*"), await listener(me, "*")
    reply = await answer(socket, {"action": "unsubscribe", "events": ["obs:*"]})
    assert reply["data"]["subscribedEvents"] == [], reply
    for event in "system:statusChange", "system:maintenanceMode", "obs:sceneChanged":
        await happen(me, event)
    await witness.until(named("obs:sceneChanged"))
    await socket.echo()
    assert await socket.drained() == []


@case("source-saver", "5 ¶2", "3.1 •4")
async def a_rejected_subscribe_is_none(stage, me):
    """After a first `subscribe` that was rejected `system:statusChange` still comes: nothing has changed."""
    socket = await somebody(me)
    is_error(await answer(socket, {"action": "subscribe", "events": ["invalid:*"]}), "subscription_error",
             "INVALID_EVENT_PATTERN")
    await happen(me, "obs:sceneChanged")
    await happen(me, "system:statusChange")
    assert (await socket.next())["event"] == "system:statusChange"


@case("source-saver", "4 performance:alert", "README#7 Source Saver")
async def the_other_name_of_an_alert(stage, me):
    """`system:performanceAlert` is a copy of the alert for those who ask for it by name, and for nobody else."""
    copy = await listener(me, "system:performanceAlert")
    both = await listener(me, "system:performanceAlert", "performance:*")
    others = [await listener(me, "system:*"), await listener(me, "*")]
    await happen(me, "performance:alert")
    await happen(me, "system:error")
    message = await copy.next()
    assert message["event"] == "system:performanceAlert" and message["data"] == EVENTS["performance:alert"], message
    assert {(await both.next())["event"] for _ in range(2)} == {"system:performanceAlert", "performance:alert"}
    assert (await others[0].next())["event"] == "system:error"
    assert [(await others[1].next())["event"] for _ in range(2)] == ["performance:alert", "system:error"]


# 6. Errors, 7. Limits

async def spend(socket, count, message='{"action":"ping"}'):
    """Sends so many messages at once."""
    await socket.raw(b"".join(edge.frame_bytes(edge.TEXT, message.encode()) for _ in range(count)))


async def overflow(socket, message='{"action":"ping"}', of=60):
    """Sends more at once than the bucket holds; returns how many were answered, and the refusal."""
    await spend(socket, of, message)
    answered = 0
    while True:
        reply = await reply_on(socket)
        if reply["data"].get("type") == "rate_limit_exceeded":
            return answered, reply
        answered += 1


@case("source-saver", "7 Client messages", "6 rate_limit_exceeded", "6 ¶1")
@case.table(['{"action":"ping"}', '{"action":"subscribe","events":["obs:*"]}', "{"])
async def too_many_messages(stage, me, message):
    """Of many `{message}` at once 50 are answered, then one `rate_limit_exceeded` without a code."""
    socket = await nobody(me)
    answered, reply = await overflow(socket, message)
    assert 50 <= answered <= 53, f"{answered} answered"
    is_enveloped(reply)
    assert reply["event"] == "error", reply
    assert reply["data"] == {"type": "rate_limit_exceeded", "message": "Too many messages sent",
                             "retryAfter": 5000}, reply
    await is_quiet(socket)


@case("source-saver", "7 Client messages", slow=True)
async def the_penalty(stage, me):
    """For five seconds after that messages are ignored, then they are answered again."""
    socket = await nobody(me)
    await overflow(socket)
    began = time.monotonic()
    await socket.send({"action": "subscribe", "events": ["obs:*"]})
    await socket.silence(began + 4.5 - time.monotonic(), lambda message: message["event"] not in UNASKED)
    await asyncio.sleep(began + 5.5 - time.monotonic())
    assert (await subscribe(socket, "scenes:*"))["subscribedEvents"] == ["scenes:*"]


@case("source-saver", "7 Client messages", slow=True)
async def the_bucket_fills_again(stage, me):
    """Ten messages a second come back, up to 50."""
    socket = await nobody(me)
    await spend(socket, 50)
    for _ in range(50):
        assert (await reply_on(socket))["event"] == "pong"
    await asyncio.sleep(2)
    await spend(socket, 19)
    for _ in range(19):
        assert (await reply_on(socket))["event"] == "pong"
    await asyncio.sleep(8)
    answered, _ = await overflow(socket)
    assert 50 <= answered <= 53, answered


@case("source-saver", "7 Client messages", "README#7 Source Saver", "7 Close codes")
async def whoever_does_not_stop(stage, me):
    """200 ignored messages are suffered, the next one closes with 1008."""
    socket = await nobody(me)
    answered, _ = await overflow(socket)
    await spend(socket, 200 - (60 - answered - 1))
    await socket.echo()
    assert socket.is_open
    await spend(socket, 1)
    await me.gone(socket, 1008, "too many messages")


@case("source-saver", "7 Client messages")
async def control_frames_are_no_messages(stage, me):
    """PING frames are answered and cost nothing, however many."""
    socket = await nobody(me)
    for _ in range(120):
        await socket.echo()
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "7 Connections", alone=True)
async def a_thousand_connections(stage, me):
    """A gateway's listener holds a thousand connections; the next gets 503 until one has gone."""
    own = await stage.gateway()
    held = []
    for _ in range(20):
        held += await asyncio.gather(*(me.open("source-saver", address=me.loopback, gateway=own) for _ in range(50)))
    refusal = await me.refused("source-saver", address=me.loopback, gateway=own)
    assert refusal.status == 503 and refusal.headers["retry-after"] == "30", (refusal, refusal.headers)
    assert isinstance(refusal.json["error"], str) and refusal.json.get("retryAfter") == 30, refusal
    assert (await (await me.open("astro", gateway=own)).next())["type"] == "welcome"
    assert (await answer(held[0], {"action": "ping"}))["event"] == "pong"
    await held.pop().close()
    async with asyncio.timeout(5):
        while not await lets_in(me, own):
            await asyncio.sleep(0.1)
    own.signal()
    await own.ended()


async def lets_in(me, gateway):
    """Whether one more client finds a place."""
    try:
        return await me.open("source-saver", address=me.loopback, gateway=gateway)
    except edge.Refused as refusal:
        assert refusal.status == 503, refusal
        return None


@case("source-saver", "7 Transport heartbeat", slow=True)
async def the_transport_heartbeat(stage, me):
    """A PING frame comes every 30 s."""
    socket = await nobody(me)
    opened = time.monotonic()
    await socket.pinged(1, 36)
    first = time.monotonic()
    await socket.pinged(2, 36)
    assert first - opened < 34 and 27 < time.monotonic() - first < 34, (first - opened, time.monotonic() - first)


@case("source-saver", "7 Transport heartbeat", slow=True)
async def a_dead_client_is_dropped(stage, me):
    """A client of whom nothing is heard for 90 s, not even a PONG, is dropped without a CLOSE."""
    socket = await nobody(me)
    socket.answers_pings = False
    began = time.monotonic()
    code, _ = await socket.closing(110)
    assert code == 1006 and 89 < time.monotonic() - began < 100, (code, time.monotonic() - began)


@case("source-saver", "7 App heartbeat", "7 Transport heartbeat", slow=True)
async def the_application_heartbeat_is_not_required(stage, me):
    """A client that only answers PINGs lives on for over 90 s."""
    socket = await nobody(me)
    await asyncio.sleep(103)
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "7 App heartbeat", "7 Transport heartbeat", slow=True)
async def messages_are_signs_of_life(stage, me):
    """A client that sends `ping` every 30 s and answers no PING lives on for over 90 s."""
    socket = await nobody(me)
    socket.answers_pings = False
    for _ in range(4):
        assert (await answer(socket, {"action": "ping"}))["event"] == "pong"
        await asyncio.sleep(30)
    assert (await answer(socket, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "7 Close codes")
async def a_normal_end(stage, me):
    """A client's CLOSE with 1000 is answered with 1000, and TCP ends."""
    socket = await nobody(me)
    await socket.close(1000)
    await me.gone(socket, 1000)
    await socket.ended()


@case("source-saver", "7 Close codes", "README#7 all (5)")
async def the_end_of_a_token(stage, me):
    """When the token that opened a connection ends, it is closed with 1008."""
    began = time.monotonic()
    socket = await somebody(me, gateway=0, ttl=3)
    await me.gone(socket, 1008, "token expired")
    assert 2 < time.monotonic() - began < 6, time.monotonic() - began


@case("source-saver", "7 Close codes", "README#7 all (5)")
@case.table(["jwt", "oauth2", "apikey"])
async def a_revoked_credential(stage, me, type):
    """When a {type} credential is revoked its connections are closed with 1008 on every gateway."""
    credential = await stage.credential(type, me.tenant)
    path = f"/?token={credential['token']}"
    sockets = [await me.open("source-saver", path, gateway=gateway) for gateway in (0, 1)]
    other = await somebody(me, gateway=0)
    answered = await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
    assert answered.status == 204, answered
    for socket in sockets:
        await me.gone(socket, 1008, "token revoked")
    assert (await me.refused("source-saver", path)).status == 401
    assert (await answer(other, {"action": "ping"}))["event"] == "pong"


@case("source-saver", "7 Resume")
async def nothing_is_resumed(stage, me):
    """Whoever comes back has no subscriptions and is told nothing of what was missed."""
    token = await me.token()
    socket = await me.open("source-saver", f"/?token={token}", gateway=2)
    await subscribe(socket, "obs:*")
    await socket.close()
    await socket.ended()
    await happen(me, "obs:sceneChanged", {"missed": True})
    socket = await me.open("source-saver", f"/?token={token}", gateway=2)
    await happen(me, "obs:sceneChanged", {"unasked": True})
    await happen(me, "system:statusChange")
    assert (await socket.next())["event"] == "system:statusChange"
    assert (await subscribe(socket, "obs:*"))["subscribedEvents"] == ["obs:*"]
    await happen(me, "obs:sceneChanged", {"new": True})
    assert (await socket.next())["data"] == {"new": True}


@case("source-saver", "7 Close codes", "7 Reconnect", "README#3 •4", alone=True)
async def a_shutdown(stage, me):
    """A gateway that ends closes with 1001, answers 503 meanwhile, and has gone within 30 s."""
    own = await stage.gateway()
    reader, deaf = await nobody(me, own), await nobody(me, own)
    deaf.answers_close = False
    lingering = await me.open("astro", gateway=own)
    began = time.monotonic()
    own.signal()
    await me.gone(reader, 1001, "going away", 31)
    refusal = await me.refused("source-saver", address=me.loopback, gateway=own)
    assert refusal.status == 503 and refusal.version == b"HTTP/1.1", refusal
    assert refusal.headers.get("retry-after") == "30", refusal.headers
    assert isinstance(refusal.json["error"], str) and refusal.json.get("retryAfter") == 30, refusal
    await me.gone(deaf, 1001, "going away", 31)
    await lingering.drop()
    assert await own.ended(31) == 0
    assert time.monotonic() - began < 31, time.monotonic() - began


@case("source-saver", "7 Reconnect", "README#3 •4", alone=True)
async def a_shutdown_with_clients_that_stay(stage, me):
    """A gateway whose clients do not go has gone within 30 s all the same."""
    own = await stage.gateway()
    deaf = [await me.open(dialect, path, gateway=own, address=me.loopback)
            for dialect, path in (("source-saver", "/"), ("astro", "/"), ("airys", "/v1/stream"))]
    for socket in deaf:
        socket.answers_close = False
    mute = await me.open("source-saver", gateway=own, address=me.loopback, read=False)
    began = time.monotonic()
    own.signal()
    assert await own.ended(40) == 0
    assert time.monotonic() - began < 31, time.monotonic() - began
    mute.resume()
    await me.gone(mute, 1001, "going away")


# 8. Ordering and delivery

@case("source-saver", "8 ¶1")
async def events_come_in_the_order_of_publication(stage, me):
    """Events come in the order in which they were published, each at most once."""
    socket = await listener(me, "*")
    events = list(EVENTS)
    published = await stage.publish_all([
        {"type": type_of(events[number % len(events)]), "tenant": me.tenant, "room": f"r{number % 7}",
         "durable": True, "data": {"number": number}} for number in range(300)])
    heard = [await socket.next() for _ in published]
    assert [message["data"]["number"] for message in heard] == list(range(300))
    assert [message["id"] for message in heard] == [f"msg-{each['id']}" for each in published]


@case("source-saver", "8 ¶1")
async def replies_are_ordered_with_the_actions(stage, me):
    """Replies come in the order of the actions."""
    socket = await nobody(me)
    asked = []
    for number in range(12):
        asked += [{"action": "ping", "timestamp": str(number)}, {"action": "subscribe", "events": ["obs:*"]},
                  {"action": "fly"}]
    await socket.raw(b"".join(edge.frame_bytes(edge.TEXT, json.dumps(message).encode()) for message in asked))
    heard = [await reply_on(socket) for _ in asked]
    assert [message["event"] for message in heard] == ["pong", "subscription:confirmed", "error"] * 12
    assert [message["data"]["clientTimestamp"] for message in heard[::3]] == [str(number) for number in range(12)]


@case("source-saver", "8 ¶1")
async def the_confirmation_comes_before_the_first_event(stage, me):
    """`subscription:confirmed` comes before the first event that it enables, while many are published."""
    socket = await listener(me, "scenes:*")
    publishing = asyncio.create_task(stage.publish_all([
        {"type": "obs.sceneChanged", "tenant": me.tenant, "room": "r", "durable": True, "data": {"number": number}}
        for number in range(400)]))
    await socket.send({"action": "subscribe", "events": ["obs:*"]})
    assert (await socket.next())["event"] == "subscription:confirmed"
    await publishing
    await happen(me, "scenes:sourceRemoved")
    numbers = []
    while (message := await socket.next())["event"] == "obs:sceneChanged":
        numbers.append(message["data"]["number"])
    assert numbers == list(range(400 - len(numbers), 400)), numbers


@case("source-saver", "8 ¶1")
async def a_mutation_is_durable_when_it_is_told(stage, me):
    """When the event of a new source comes, the source can be read; it comes right after the answer at the latest."""
    socket, token = await listener(me, "sources:create", gateway=0), await me.token()
    for _ in range(5):
        source = await create_source(stage, token)
        message = await socket.next(2)
        assert message["data"]["source"]["id"] == source["id"], message
        answered = await stage.rest("GET", "obs-bridge", f"/api/sources/{source['id']}", token=token)
        assert answered.status == 200, answered


# The suite's other events, and who may see them

@case("source-saver", "README#6 Source Saver", "README#6 ¶1")
@case.table([each.name for each in catalogue.visible()])
async def every_event_of_the_suite(stage, me, type):
    """`{type}` comes under its name with a colon for the first dot, by name, by category and by `*`."""
    event, domain = name_of(type), type.split(".")[0]
    sockets = [await listener(me, pattern) for pattern in (event, f"{domain}:*", "*")]
    kind = next(each for each in catalogue.types() if each.name == type)
    published = (await stage.publish_all([kind.event(me.tenant)]))[0]
    for socket in sockets:
        message = await socket.next()
        assert message["event"] == event and message["data"] == {"of": type}, message
        assert message["id"] == f"msg-{published['id']}", message


@case("source-saver", "README#6 ¶1", "README#6 Source Saver", "README#6 •5")
async def the_whole_catalogue(stage, me):
    """`*` shows every event of the suite, each under a name of its own, but nothing of auth's."""
    socket = await listener(me, "*")
    revocation = {"kind": "token", "id": secrets.token_hex(8)}
    await me.publish("auth.revoked", revocation)
    await stage.publish_all([each.event(me.tenant) for each in catalogue.visible()])
    heard = [(await socket.next())["event"] for _ in catalogue.visible()]
    assert heard == [name_of(each.name) for each in catalogue.visible()], heard
    assert len(set(heard)) == len(heard)


@case("source-saver", "README#6 •5")
async def tenants_are_apart(stage, me):
    """What happens in another tenant, the default one too, is not shown."""
    sockets = [await listener(me, "*"), await somebody(me)]
    for tenant in "default", f"{me.tenant}x", me.tenant[:-1], me.tenant.upper():
        await stage.publish("system.statusChange", {"of": tenant}, tenant)
    await happen(me, "system:statusChange")
    for socket in sockets:
        assert (await socket.next())["data"] == EVENTS["system:statusChange"]


@case("source-saver", "README#6 •5")
@case.table([("obs:read", ("sources", "scenes", "obs")), ("system:read", ("performance", "system")),
             ("radio:read cameras:read", ("radio", "camera")), ("streams:*", ("stream", "chat", "reaction"))])
async def scopes(stage, me, scope, domains):
    """With `{scope}` only the events of {domains} are shown, and those that need no scope."""
    socket = await listener(me, "*", scope=scope)
    await stage.publish_all([each.event(me.tenant) for each in catalogue.visible()])
    expected = [each.name for each in catalogue.visible() if each.domain in domains or each.scope is None]
    heard = [(await socket.next())["data"]["of"] for _ in expected]
    assert heard == expected, (heard, expected)
    await socket.echo()
    assert await socket.drained() == []


@case("source-saver", "README#5 •2")
async def nobody_sees_the_default_tenant(stage, me):
    """Without a credential a client sees its own five categories of the default tenant, and nothing else with `*`."""
    socket, mark = await nobody(me, 2), me.tenant
    await subscribe(socket, "*")
    await stage.publish_all([each.event("default", {"of": each.name, "mark": mark}) for each in catalogue.visible()]
                            + [{"type": "obs.sceneChanged", "tenant": me.tenant, "room": "", "durable": True,
                                "data": {"of": "another tenant", "mark": mark}}])
    await stage.publish("obs.sceneChanged", {"of": "last", "mark": mark})
    heard = []
    while not heard or heard[-1] != "last":
        heard.append((await socket.until(lambda message: message["data"].get("mark") == mark))["data"]["of"])
    assert heard == [each.name for each in catalogue.visible() if each.domain in DOMAINS] + ["last"], heard


@case("source-saver", "README#5 •2")
async def nobody_from_another_site(stage, me):
    """Over REST a page of another site is nobody, one of this machine is anonymous."""
    source = {"name": f"Alert {me.tenant}", "url": "https://example.com", "width": 800, "height": 600}
    for origin, status in ("https://example.com", 401), ("null", 401), ("http://localhost:8080", 201):
        answered = await stage.rest("POST", "obs-bridge", "/api/sources", source, headers={"Origin": origin})
        assert answered.status == status, (origin, answered.status, answered.body)
