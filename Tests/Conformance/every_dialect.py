"""What holds for all five dialects: paths, common rules, names, ends; see docs/dialects/README.md."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time

import catalogue
import edge
from cases import case
from stage import DIALECTS

OWN_PATHS = {"/v1/streams": "wave", "/api/v1/events": "grimnir", "/v1/stream": "airys", "/source-saver": "source-saver",
             "/astro": "astro", "/ws": "astro"}
WAVES_OWN = ("stream.started", "stream.ended", "stream.health", "viewer.joined", "viewer.left", "analytics.update",
             "chat.message", "reaction.received")


# Tools of these cases

async def dialect_of(me, listener, path="/", headers={}, gateway=0):
    """Which dialect answers a stranger there; the status where it is none's refusal."""
    try:
        socket = await me.open(listener, path, headers, gateway)
    except edge.Refused as refusal:
        known = {"Unauthorized": "source-saver", "unauthorized": "grimnir"}
        return known.get(refusal.json.get("error"), refusal.status)
    await socket.send({"type": "ping"})
    message = await socket.next()
    if message["type"] == "welcome":
        return "astro"
    if message["type"] == "error" and message.get("payload", {}).get("code") == "AUTHENTICATION_REQUIRED":
        return "wave"
    if message["type"] == "error" and message.get("data", {}).get("code") == "NOT_AUTHENTICATED":
        return "airys"
    raise AssertionError(f"whose is {message}?")


def entrance(dialect, token, types="now_playing"):
    """The path by which somebody with a token comes in."""
    return {"source-saver": f"/?token={token}", "astro": "/", "wave": f"/v1/streams?api_key={token}",
            "grimnir": f"/api/v1/events?types={types}&token={token}", "airys": f"/v1/stream?token={token}"}[dialect]


def name_in(dialect, type):
    """What a dialect calls events of a type."""
    if dialect == "source-saver":
        return type.replace(".", ":", 1)
    own = {"grimnir": "radio.", "airys": "camera."}.get(dialect)
    return type.removeprefix(own) if own else type


def heard_name(dialect, message):
    """The name of an event that came; None for any other message."""
    if dialect == "source-saver":
        name = message["event"]
        return None if name in ("pong", "error") or name.startswith("subscription:") else name
    if dialect == "astro":
        return message["topic"] if message["type"] == "message" else None
    replies = ("ping", "pong", "error", "subscribed", "unsubscribed", "auth_success", "system", "ack")
    return None if message["type"] in replies else message["type"]


def heard_data(dialect, message):
    """What an event says."""
    return message["payload" if dialect in ("wave", "grimnir") else "data"]


def is_event(dialect):
    """Fits events, not replies."""
    return lambda message: heard_name(dialect, message) is not None


async def listen(me, dialect, names, room, gateway=2, token=None, **more):
    """A connection that has subscribed to events by their names in a dialect, where it asks so of a room."""
    token = token or await me.token()
    path = entrance(dialect, token, ",".join(names))
    socket = await me.open(dialect, path, gateway=gateway, **more)
    if dialect == "source-saver":
        await socket.send({"action": "subscribe", "events": list(names)})
        await socket.until(lambda message: message["event"] == "subscription:confirmed")
    elif dialect == "astro":
        for name in names:
            data = {"topic": name, "room": room, "token": token, "token_type": "jwt"}
            await socket.send({"type": "subscribe", "nonce": name, "data": data})
            response = await socket.until(lambda message: message["type"] == "response")
            assert "error" not in response, response
    elif dialect == "wave":
        await socket.send({"type": "subscribe", "stream_id": room, "events": list(names)})
        reply = await socket.until(lambda message: message["type"] in ("subscribed", "error"))
        assert reply["type"] == "subscribed", reply
    elif dialect == "airys":
        await socket.send({"type": "subscribe", "events": list(names)})
        reply = await socket.until(lambda message: message["type"] in ("subscribed", "error"))
        assert reply["type"] == "subscribed", reply
    else:
        await socket.echo()
    return socket


async def listen_everywhere(me, type, room, **more):
    """A connection of each dialect that listens to one type."""
    token = await me.token()
    return {dialect: await listen(me, dialect, [name_in(dialect, type)], room, token=token, **more)
            for dialect in DIALECTS}


async def stream(stage, me):
    """The id of a stream of the case's tenant."""
    answered = await stage.rest("POST", "stream-metrics", "/v1/streams", {"title": "Case", "protocol": "rtmp"},
                                await me.token())
    assert answered.status == 201, answered.body
    return answered.json["id"]


# 2. Telling dialects apart

@case("README", "2 •1", "2 •3", "1 Path")
@case.table(DIALECTS)
async def the_listener_owns_the_root(stage, me, listener):
    """On the listener of {listener} the path `/` is its own."""
    assert await dialect_of(me, listener) == listener
    assert await dialect_of(me, listener, "/?x=1") == listener


@case("README", "2 •2", "2 •3", "1 Path")
@case.table([(listener, path, owner) for listener in DIALECTS for path, owner in OWN_PATHS.items()])
async def paths_of_their_own(stage, me, listener, path, owner):
    """On the listener of {listener} the path `{path}` belongs to {owner}."""
    assert await dialect_of(me, listener, path) == owner
    assert await dialect_of(me, listener, f"{path}?x=1", gateway=1) == owner


@case("README", "2 •2", "2 •5")
@case.table([
    "/v1/streams/", "/v1/streams/x", "/v1/streamsx", "/v1", "/v1/stream/", "/api/v1/events/", "/api/v1/events/x",
    "/api/v1", "/astro/", "/ws/", "/wss", "/source-saver/", "/source-saver/x", "/V1/streams", "/WS", "//",
    "/v1//streams", "/nope", "/%76%31/stream",
])
async def paths_match_exactly(stage, me, path):
    """`{path}` is no WebSocket's path on any listener: 404."""
    for listener in DIALECTS:
        refusal = await me.refused(listener, path)
        assert refusal.status == 404 and isinstance(refusal.json["error"], str), (listener, refusal)
        assert refusal.version == b"HTTP/1.1", refusal.version


@case("README", "2 •3")
@case.table(DIALECTS)
async def a_reconnect_token_is_astros(stage, me, listener):
    """On the listener of {listener} `/?reconnect_token=` belongs to Astro, whatever the Host."""
    for headers in {}, {"Host": "astro.example"}, {"Host": "example.com"}:
        socket = await me.open(listener, "/?reconnect_token=x", headers)
        await me.gone(socket, 1008, "invalid reconnect token")


@case("README", "2 •3")
@case.table(["/v1/stream", "/v1/streams", "/api/v1/events", "/source-saver"])
async def a_reconnect_token_elsewhere(stage, me, path):
    """A `reconnect_token` on `{path}`, or a Host that begins with `astro.`, does not make that Astro's."""
    assert await dialect_of(me, "astro", f"{path}?reconnect_token=x") == OWN_PATHS[path]
    assert await dialect_of(me, "astro", path, {"Host": "astro.example"}) == OWN_PATHS[path]


@case("README", "2 •3")
@case.table([(listener, host) for listener in DIALECTS
             for host in ("astro.example", "astro.example.com:443", "Astro.Example")])
async def astros_host(stage, me, listener, host):
    """On the listener of {listener} the Host `{host}` makes `/` Astro's."""
    assert await dialect_of(me, listener, headers={"Host": host}) == "astro"


@case("README", "2 •3")
@case.table(["astronomy.example", "astro", "xastro.example", "x.astro.example", "astro-1.example"])
async def other_hosts(stage, me, host):
    """The Host `{host}` makes `/` nobody else's than the listener's."""
    assert await dialect_of(me, "source-saver", headers={"Host": host}) == "source-saver"


@case("README", "2 •5")
@case.table([(method, path) for method in ("GET", "HEAD") for path in ("/nope", "/favicon.ico", "/v2/stream")])
async def unknown_paths(stage, me, method, path):
    """{method} of `{path}` is 404 on every listener."""
    for listener in DIALECTS:
        answer = await me.http(listener, method, path)
        assert answer.status == 404, (listener, answer)


@case("README", "2 •5", "2 •2")
@case.table(["/", *OWN_PATHS])
async def without_an_upgrade(stage, me, path):
    """`{path}` without an upgrade is 426 at a gateway, on every listener, and says which protocol it wants."""
    token = await me.token()
    for listener in DIALECTS:
        answer = await me.http(listener, path=path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 426 and isinstance(answer.json["error"], str), (listener, answer)
        assert answer.headers.get("upgrade", "").lower() == "websocket", (listener, answer.headers)


REST_PATHS = [
    ("/api/sources", "obs-bridge"), ("/api/obs/status", "obs-bridge"), ("/api/health", "performance-monitor"),
    ("/api/ready", "performance-monitor"), ("/api/config", "performance-monitor"),
    ("/api/performance/metrics", "performance-monitor"), ("/api/system/info", "performance-monitor"),
    ("/api/v1/stations", "radio-playout"), ("/api/v1/health", "radio-playout"), ("/api/v1/streams", "stream-metrics"),
    ("/v1/streams/x", "stream-metrics"), ("/kappa/v2/channels/me", "stream-metrics"), ("/v1/cameras", "camera-events"),
    ("/v1/auth/keys", "auth"), ("/v1/tokens", "auth"), ("/oauth2/login", "auth"), ("/.well-known/jwks.json", "auth"),
]


@case("README", "2 •5", "2 •2")
@case.table(REST_PATHS)
async def the_owner_of_a_path(stage, me, path, owner):
    """A gateway asked for `{path}` answers 404 and names {owner}, which has it."""
    for listener in DIALECTS:
        answer = await me.http(listener, path=path)
        assert answer.status == 404, (listener, answer)
        assert owner in answer.json["error"], (listener, answer)


@case("README", "2 •2", "2 •5")
@case.table([*REST_PATHS, ("/v1/streams", "stream-metrics")])
async def rest_through_the_load_balancer(stage, me, path, owner):
    """Through the load balancer `{path}` without an upgrade is answered by {owner}, on every listener."""
    direct = await edge.http(stage.service(owner), "GET", path)
    for listener in DIALECTS:
        answer = await me.http(listener, path=path, gateway="haproxy", address=me.loopback)
        assert answer.status == direct.status and shape(answer) == shape(direct), (listener, answer, direct)


def shape(answer):
    """What two answers to the same question have in common."""
    is_json = "json" in answer.headers.get("content-type", "")
    names = sorted(answer.json) if is_json and isinstance(answer.json, dict) else None
    return answer.headers.get("content-type"), names


@case("README", "2 •2", "2 •3")
@case.table([(path, owner) for path, owner in OWN_PATHS.items() if owner != "source-saver"])
async def upgrades_through_the_load_balancer(stage, me, path, owner):
    """Through the load balancer an upgrade of `{path}` reaches {owner}, on every listener."""
    for listener in DIALECTS:
        assert await dialect_of(me, listener, path, gateway="haproxy") == owner, listener


# 3. Rules common to all dialects

async def inside(me, dialect, gateway=0):
    """A connection of the case's tenant that has nothing more to say by itself."""
    socket = await me.open(dialect, entrance(dialect, await me.token()), gateway=gateway)
    greetings = {"astro": 1, "airys": 2}
    for _ in range(greetings.get(dialect, 0)):
        await socket.next()
    return socket


def question(dialect):
    """A message that each dialect but Grimnir answers, as bytes."""
    return json.dumps({"action": "ping", "type": "ping", "timestamp": "é"}, ensure_ascii=False).encode()


@case("README", "3 •1")
@case.table(DIALECTS)
async def fragments(stage, me, dialect):
    """{dialect} takes a message in fragments, cut inside a character, with a PING between them."""
    socket, message = await inside(me, dialect), question(dialect)
    cut = message.index("é".encode()) + 1
    await socket.frame(edge.TEXT, message[:3], fin=False)
    await socket.frame(edge.CONTINUATION, b"", fin=False)
    await socket.frame(edge.CONTINUATION, message[3:cut], fin=False)
    await socket.echo()
    await socket.frame(edge.CONTINUATION, message[cut:], fin=True)
    if dialect != "grimnir":
        await socket.next()
    await socket.echo()
    assert socket.is_open
    assert all(fin and opcode in (edge.TEXT, edge.PONG) for opcode, fin, _ in socket.frames), socket.frames


@case("README", "3 •1", "5 •3", "7 all (2)")
@case.table(DIALECTS)
async def compression_is_declined(stage, me, dialect):
    """{dialect} declines permessage-deflate, and talks on without it."""
    offers = "permessage-deflate; client_max_window_bits, permessage-deflate"
    socket = await me.open(dialect, entrance(dialect, await me.token()), {"Sec-WebSocket-Extensions": offers})
    assert "sec-websocket-extensions" not in socket.headers, socket.headers
    await socket.echo()


@case("README", "3 •1")
@case.table([(dialect, size) for dialect in DIALECTS for size in (0, 125)])
async def pings_are_answered(stage, me, dialect, size):
    """{dialect} answers a PING of {size} bytes with the same bytes."""
    socket = await inside(me, dialect)
    payload = secrets.token_bytes(size)
    await socket.echo(payload=payload)
    assert socket.pongs == [payload], socket.pongs


@case("README", "3 •1")
@case.table(DIALECTS)
async def pings_in_a_row(stage, me, dialect):
    """Of several PINGs at once {dialect} answers one at least, and goes on."""
    socket = await inside(me, dialect)
    await socket.raw(b"".join(edge.frame_bytes(edge.PING, b"%d" % number) for number in range(5)))
    async with asyncio.timeout(5):
        while not socket.pongs:
            await asyncio.sleep(0.05)
    # libwebsockets drops PINGs while a PONG waits: the first is answered, where RFC 6455 §5.5.3 would have the last.
    await asyncio.sleep(0.2)
    await socket.echo()


async def fill(stage, me, type, durable, size, numbers, rooms):
    """Publishes events with these numbers, each filled up to a size, in the given rooms by turns."""
    filling = "x" * size
    await stage.publish_all([
        {"type": type, "tenant": me.tenant, "room": rooms[number % len(rooms)], "durable": durable,
         "data": {"number": number, "filling": filling}} for number in numbers])


@case("README", "3 •2", "7 all", alone=True)
async def a_slow_client_is_closed(stage, me):
    """A client that does not take what is due to it is closed with 1008, in every dialect; one that does gets all."""
    room, type, count = "slow", "obs.sceneChanged", 500
    slow = await listen_everywhere(me, type, room, receive_buffer=4096)
    quick = await listen(me, "source-saver", ["obs:sceneChanged"], room)
    for socket in slow.values():
        socket.pause()
    await fill(stage, me, type, True, 20_000, range(count), [room])
    # Nobody is too slow before a second has passed; after some more the connection ends without a word.
    await asyncio.sleep(1.2)
    await fill(stage, me, type, True, 10, [count], [room])
    for number in range(count + 1):
        assert (await quick.next())["data"]["number"] == number
    for socket in slow.values():
        socket.resume()
    told = {dialect: await closing(socket) for dialect, socket in slow.items()}
    assert told == {dialect: (1008, "too slow") for dialect in DIALECTS}, told


@case("README", "3 •7", "7 all (7)")
async def replies_wait_for_the_client(stage, me):
    """A client that does not read its replies is not read either, and gets all of them when it reads."""
    socket = await me.open("source-saver", f"/?token={await me.token()}", receive_buffer=4096)
    socket.pause()
    pings = [json.dumps({"action": "ping", "timestamp": f"{number:02}" + "x" * 60_000}) for number in range(48)]
    sending = asyncio.create_task(socket.raw(b"".join(edge.frame_bytes(edge.TEXT, ping.encode()) for ping in pings)))
    for _ in range(20):
        await asyncio.sleep(0.1)
        held = [each["queue"]["bytes"] for each in (await stage.connections())["connections"]
                if each["address"] == me.address]
        assert all(each <= 64 * 1024 + 2 * 60_200 for each in held), held
    socket.resume()
    await sending
    assert [(await socket.next())["data"]["clientTimestamp"][:2] for _ in pings] == [f"{n:02}" for n in range(48)]


async def closing(socket):
    """How it is closed; None if it is not."""
    try:
        return await socket.closing(5)
    except TimeoutError:
        return None


@case("README", "3 •2", alone=True)
async def telemetry_is_replaced_by_its_newest_value(stage, me):
    """Telemetry that waits for a client is replaced by its newest value of each room; nobody is closed."""
    count, type, rooms = 3000, "obs.statsUpdate", ["one", "one", "two"]
    slow = await listen_everywhere(me, type, "one", receive_buffer=4096)
    for socket in slow.values():
        socket.pause()
    await fill(stage, me, type, False, 8_000, range(count), rooms)
    await asyncio.sleep(1.2)
    await fill(stage, me, type, False, 10, range(count, count + 3), rooms)
    for dialect, socket in slow.items():
        socket.resume()
        numbers, end = await newest(dialect, socket)
        assert end is None, f"{dialect} closed: {end}, after {len(numbers)} events"
        assert len(numbers) < count / 2, f"{dialect}: hardly anything was replaced, {len(numbers)} came"
        heard = {room: [number for number in numbers if rooms[number % 3] == room] for room in rooms}
        assert all(each == sorted(each) for each in heard.values()), f"{dialect}: not in order: {numbers}"
        last = {"one": count + 1} if dialect in ("astro", "wave") else {"one": count + 1, "two": count + 2}
        ends = {room: each[-1] for room, each in heard.items() if each}
        assert ends == last, f"{dialect}: not the newest: {numbers[-9:]}"


async def newest(dialect, socket):
    """The numbers of the events that come until nothing does, and how it is closed if it is."""
    numbers = []
    while True:
        try:
            message = await socket.next(3)
        except TimeoutError:
            return numbers, None
        except edge.Closed as closed:
            return numbers, (closed.code, closed.reason)
        if heard_name(dialect, message):
            numbers.append(heard_data(dialect, message)["number"])


@case("README", "3 •3")
@case.table([(dialect, origin) for dialect in DIALECTS for origin in ("https://example.com", "null", "file://")])
async def the_origin_does_not_matter(stage, me, dialect, origin):
    """A page of `{origin}` may connect to {dialect} with a credential, unless configured otherwise."""
    socket = await me.open(dialect, entrance(dialect, await me.token()), {"Origin": origin})
    await socket.echo()


@case("README", "3 •3")
@case.table(["ADDRESS", "127.0.0.9, ADDRESS", "nonsense, ADDRESS"])
async def what_a_proxy_says(stage, me, chain):
    """Of a trusted proxy's `X-Forwarded-For: {chain}` the last address counts, which it wrote itself."""
    await me.open("grimnir", entrance("grimnir", await me.token()), {"X-Forwarded-For": chain.replace("ADDRESS", me.address)})
    told = (await stage.connections())["connections"]
    assert me.address in {each["address"] for each in told}, told


@case("README", "3 •3")
@case.table([
    ("X-Forwarded-For", "127.0.0.9"), ("X-Forwarded-For", "10.1.1.1, 127.0.0.9"), ("Forwarded", "for=127.0.0.1"),
    ("Via", "1.1 proxy"), ("X-Real-IP", "127.0.0.1"), ("X-Forwarded-Host", "localhost"), ("CF-Connecting-IP", "127.0.0.1"),
    ("Host", "evil.example"), ("Host", "localhost.evil.example"), ("Origin", "https://evil.example"), ("Origin", "null"),
    ("Sec-Fetch-Site", "cross-site"),
])
async def who_is_not_local(stage, me, name, value):
    """With `{name}: {value}` nobody is let in without a credential, not from this machine either."""
    refusal = await me.refused("source-saver", headers={name: value}, address=me.loopback)
    assert refusal.status == 401, refusal
    answer = await stage.rest("GET", "obs-bridge", "/api/sources", headers={name: value}, address=me.loopback)
    assert answer.status == 401, answer


@case("README", "3 •3")
@case.table([
    ("Host", "localhost:3000"), ("Origin", "http://localhost:8080"), ("Origin", "file://"),
    ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Site", "none"),
])
async def who_is_local(stage, me, name, value):
    """With `{name}: {value}` a client of this machine needs no credential."""
    await (await me.open("source-saver", headers={name: value}, address=me.loopback)).echo()
    answer = await stage.rest("GET", "obs-bridge", "/api/sources", headers={name: value}, address=me.loopback)
    assert answer.status == 200, answer


@case("README", "3 •3", alone=True)
async def proxies_that_are_not_configured(stage, me):
    """What somebody who is no configured proxy says of an address does not count."""
    own = await stage.gateway(HTTP_TRUSTED_PROXIES="10.99.99.99")
    socket = await me.open("grimnir", entrance("grimnir", await me.token()), gateway=own, address="10.1.1.1")
    await socket.echo()
    told = (await stage.connections(own))["connections"]
    assert [each["address"] for each in told] == ["127.0.0.1"], told
    own.signal()
    await own.ended()


@case("README", "3 •3", alone=True)
async def credentials_are_not_logged(stage, me):
    """A gateway that logs all it can logs no credential, good or bad, from the URL, a header or a message."""
    own = await stage.gateway(name="talkative", LOG_LEVEL="trace")
    token, key, wrong = await me.token(), await me.token("apikey"), f"xp_{secrets.token_hex(32)}"
    for credential in token, key, wrong:
        for dialect in DIALECTS:
            for path, headers in ((entrance(dialect, credential), {}), ("/", {"Authorization": f"Bearer {credential}"}),
                                  ("/", {"X-API-Key": credential}), (f"/?reconnect_token={credential}", {})):
                await try_to_enter(me, dialect, path, headers, own, credential)
    own.signal()
    await own.ended()
    log = (stage.folder / "talkative.log").read_text()
    assert log, "nothing was logged"
    for credential in token, token.split(".")[2], key, wrong:
        assert credential not in log, next(line for line in log.splitlines() if credential in line)


async def try_to_enter(me, dialect, path, headers, gateway, credential):
    """Shows a credential in every way that a dialect has."""
    try:
        socket = await me.open(dialect, path, headers, gateway, me.loopback)
        await socket.send({"type": "auth", "token": credential})
        data = {"topic": "channel.tips", "token": credential, "token_type": "jwt"}
        await socket.send({"type": "subscribe", "data": data})
        await socket.echo()
        await socket.drop()
    except (edge.Refused, edge.Closed):
        pass


@case("README", "3 •4", "1 Close codes", "7 all (4)", alone=True)
async def a_gateway_that_drains(stage, me):
    """A draining gateway refuses newcomers (Astro 502, others 503), ends each client by its contract, and goes."""
    own = await stage.gateway()
    sockets = {dialect: await inside(me, dialect, own) for dialect in DIALECTS}
    address, token, began = me.address, await me.token(), time.monotonic()
    own.signal()
    message = await sockets["astro"].until(lambda message: message["type"] == "reconnect", 31)
    assert message["data"].get("reconnect_token"), message
    refusals = {dialect: await me.refused(dialect, entrance(dialect, token), gateway=own, address=address)
                for dialect in DIALECTS}
    assert {dialect: refusal.status for dialect, refusal in refusals.items()} == \
        {dialect: 502 if dialect == "astro" else 503 for dialect in DIALECTS}, refusals
    for dialect in "source-saver", "wave", "grimnir":
        await me.gone(sockets[dialect], 1001, "going away", 31)
    message = await sockets["airys"].until(lambda message: message["type"] == "system", 31)
    assert message["event"] == "status" and message["data"]["status"] == "restarting", message
    await me.gone(sockets["airys"], 1006, timeout=31)
    await me.gone(sockets["astro"], 1001, timeout=31)
    assert await own.ended(31) == 0
    assert time.monotonic() - began < 31, time.monotonic() - began


@case("README", "3 •4", alone=True)
async def the_load_balancer_sees_a_drain(stage, me):
    """A draining gateway that still has clients says 503 on `/readyz` and 200 on `/healthz`."""
    own = await stage.gateway()
    lingering = await inside(me, "astro", own)
    lingering.answers_close = False
    own.signal()
    async with asyncio.timeout(5):
        while (await stage.rest("GET", own.operators, "/readyz")).status != 503:
            await asyncio.sleep(0.05)
    assert (await stage.rest("GET", own.operators, "/healthz")).status == 200
    await lingering.drop()
    await own.ended()


@case("README", "3 •5", "6 •6", "6 ¶1")
@case.table(["obs.sceneChanged", "radio.now_playing", "camera.face_detected", "chat.message"])
async def one_event_everywhere(stage, me, type):
    """One `{type}` carries the same id, moment and data in every dialect that shows them."""
    room = await stream(stage, me)
    sockets = await listen_everywhere(me, type, room)
    moment = "2026-03-04T05:06:07.089Z"
    data = {"station_id": room, "stream_id": room, "camera_id": room, "x": [1, None]}
    published = await me.publish(type, data, room, time=moment)
    heard = {dialect: await socket.until(is_event(dialect)) for dialect, socket in sockets.items()}
    for dialect, message in heard.items():
        said = heard_data(dialect, message)
        assert {name: said.get(name) for name in data} == data, (dialect, message)
    ids = {dialect: message.get("id") for dialect, message in heard.items()}
    id = published["id"]
    assert ids == dict.fromkeys(DIALECTS, id) | {"source-saver": f"msg-{id}", "grimnir": None}, ids
    assert heard["source-saver"]["timestamp"] == moment, heard["source-saver"]
    assert heard["astro"]["ts"] == moment[:19] + "Z", heard["astro"]


# 4. One fact, several projections

@case("README", "4 {fact}")
@case.table([
    ("Stream live / ended", "channel.stream.status", "astro", "channel.stream.status"),
    ("Stream live / ended", "stream.started", "wave", "stream.started"),
    ("Stream live / ended", "stream.ended", "wave", "stream.ended"),
    ("Stream live / ended", "camera.stream_status", "airys", "stream_status"),
    ("Scene changed", "obs.sceneChanged", "source-saver", "obs:sceneChanged"),
    ("Link to OBS up/down", "obs.connectionChanged", "source-saver", "obs:connectionChanged"),
    ("Link to OBS up/down", "system.statusChange", "source-saver", "system:statusChange"),
    ("Encoder metrics", "obs.statsUpdate", "source-saver", "obs:statsUpdate"),
    ("Encoder metrics", "stream.health", "wave", "stream.health"),
    ("Encoder metrics", "camera.metrics", "airys", "metrics"),
    ("Chat message", "channel.chat.message", "astro", "channel.chat.message"),
    ("Chat message", "chat.message", "wave", "chat.message"),
    ("Audience numbers", "channel.session.update", "astro", "channel.session.update"),
    ("Audience numbers", "analytics.update", "wave", "analytics.update"),
    ("Audience numbers", "viewer.joined", "wave", "viewer.joined"),
    ("Audience numbers", "radio.listener_stats", "grimnir", "listener_stats"),
    ("Audience numbers", "camera.analytics", "airys", "analytics"),
    ("Track / DJ / webstream / priority", "radio.now_playing", "grimnir", "now_playing"),
    ("Track / DJ / webstream / priority", "radio.live.handover", "grimnir", "live.handover"),
    ("Track / DJ / webstream / priority", "radio.dj_connect", "grimnir", "dj_connect"),
    ("Track / DJ / webstream / priority", "radio.webstream.failover", "grimnir", "webstream.failover"),
    ("Track / DJ / webstream / priority", "radio.priority.emergency", "grimnir", "priority.emergency"),
    ("Browser source or overlay changed", "sources.update", "source-saver", "sources:update"),
    ("Browser source or overlay changed", "scenes.sourceAdded", "source-saver", "scenes:sourceAdded"),
    ("Browser source or overlay changed", "channel.overlay.update", "astro", "channel.overlay.update"),
    ("Browser source or overlay changed", "channel.overlay.action", "astro", "channel.overlay.action"),
    ("Face seen", "camera.face_detected", "airys", "face_detected"),
])
async def projections(stage, me, fact, type, dialect, name):
    """{fact}: `{type}` is `{name}` in {dialect}."""
    kind = next(each for each in catalogue.types() if each.name == type)
    room = await stream(stage, me) if dialect == "wave" else me.tenant
    socket = await listen(me, dialect, [name], room)
    await me.publish(type, {"stream_id": room, "mark": me.tenant}, room, kind.durable)
    message = await socket.until(is_event(dialect))
    assert heard_name(dialect, message) == name and heard_data(dialect, message)["mark"] == me.tenant, message


@case("README", "4 Link to OBS up/down")
@case.table([("healthy", "online"), ("degraded", "degraded"), ("unhealthy", "offline")])
async def health_in_airys(stage, me, health, status):
    """A `system.statusChange` to {health} is `system/status` {status} in Airys, unasked."""
    socket = await me.open("airys", entrance("airys", await me.token()), gateway=2)
    await socket.until(lambda message: message["type"] == "system")
    data = {"previousStatus": "healthy", "currentStatus": health, "reason": me.tenant, "checks": {}}
    began = int(time.time())
    await stage.publish("system.statusChange", data)
    message = await socket.until(lambda message: message["type"] == "system" and message["data"]["status"] == status)
    assert message["event"] == "status" and began <= message["data"]["timestamp"] <= time.time() + 1, message


# 5. The product's decisions

@case("README", "5 •1")
async def access_tokens(stage, me):
    """Access tokens are ES256 and name their scopes in `scope`; a client need not look inside."""
    header, claims, _ = (await me.token(scope="obs:read radio:*")).split(".")
    assert opened(header)["alg"] == "ES256", opened(header)
    assert set(opened(claims)["scope"].split()) == {"obs:read", "radio:*"}, opened(claims)


def opened(part):
    """A part of a JWT."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def closed(part):
    """The same the other way."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@case("README", "5 •1")
@case.table(["HS256", "none", "ES256"])
async def forged_tokens(stage, me, algorithm):
    """A token that somebody made with {algorithm} from what is public opens no dialect."""
    keys = (await stage.rest("GET", "auth", "/.well-known/jwks.json")).json
    header, claims, signature = (await me.token(scope="obs:read")).split(".")
    head = closed(opened(header) | {"alg": algorithm})
    body = closed(opened(claims) | {"scope": "*"})
    secret = json.dumps(keys["keys"][0]).encode()
    keyed = closed(hmac.digest(secret, f"{head}.{body}".encode(), hashlib.sha256))
    seal = {"HS256": keyed, "none": "", "ES256": signature}
    token = f"{head}.{body}.{seal[algorithm]}"
    for dialect in "source-saver", "grimnir":
        assert (await me.refused(dialect, entrance(dialect, token))).status == 401
    for dialect in "wave", "airys":
        await me.gone(await me.open(dialect, entrance(dialect, token)), 4401)
    socket = await me.open("astro")
    await socket.send({"type": "subscribe", "data": {"topic": "channel.tips", "token": token, "token_type": "jwt"}})
    response = await socket.until(lambda message: message["type"] == "response")
    assert response.get("error") == "err_unauthorized", response


# 6. Every event in every dialect

@case("README", "6 ¶1", "6 {row}", "1 Subscribe verb")
@case.table([("Astro", "astro"), ("WAVE", "wave"), ("Grimnir", "grimnir"), ("Airys", "airys")])
async def the_whole_catalogue(stage, me, row, dialect):
    """In {row} every event of the suite can be asked for by its name, and comes under it."""
    room, types = await stream(stage, me), catalogue.visible()
    names = [name_in(dialect, each.name) for each in types]
    assert len(set(names)) == len(names)
    socket = await listen(me, dialect, names, me.tenant if dialect == "astro" else room)
    await stage.publish_all([
        each.event(me.tenant, {"of": each.name}, me.tenant if each.domain == "channel" and dialect == "astro" else room)
        for each in types])
    heard = []
    try:
        while len(heard) < len(names):
            message = await socket.until(is_event(dialect), 5)
            heard.append((heard_name(dialect, message), heard_data(dialect, message).get("of")))
    except TimeoutError:
        pass
    expected = list(zip(names, [each.name for each in types]))
    missing, more = [each for each in expected if each not in heard], [each for each in heard if each not in expected]
    assert not missing and not more, f"missing {missing}, unexpected {more}"
    assert heard == expected, f"not in order: {heard}"


@case("README", "6 •1")
@case.table(["astro", "wave"])
async def an_event_without_a_room(stage, me, dialect):
    """In {dialect} the room of an event without one is its tenant."""
    socket = await listen(me, dialect, ["performance.update"], me.tenant)
    await me.publish("performance.update", {"mark": 1}, durable=False)
    message = await socket.until(is_event(dialect))
    assert heard_data(dialect, message)["mark"] == 1, message
    assert dialect != "astro" or message["room"] == me.tenant, message


@case("README", "6 •2")
async def astros_channel_hears_all_rooms(stage, me):
    """Whoever subscribes on Astro with the channel's room hears all rooms, each named; with another only that."""
    token = await me.token()
    whole = await listen(me, "astro", ["radio.now_playing"], "", token=token)
    one = await listen(me, "astro", ["radio.now_playing"], "b", token=token)
    own = await listen(me, "astro", ["radio.now_playing"], me.tenant, token=token)
    for room in "a", "b", "c":
        await me.publish("radio.now_playing", {"station_id": room}, room)
    for socket in whole, own:
        assert [(await socket.until(is_event("astro")))["room"] for _ in range(3)] == ["a", "b", "c"]
    assert (await one.until(is_event("astro")))["room"] == "b"
    await one.echo()
    assert await one.drained() == []


@case("README", "6 •3")
async def waves_subscribe_without_events(stage, me):
    """On WAVE a `subscribe` without events means WAVE's own eight; a stream that is none does not matter for others."""
    room = await stream(stage, me)
    socket = await me.open("wave", entrance("wave", await me.token()), gateway=2)
    await socket.send({"type": "subscribe", "stream_id": room})
    reply = await socket.next()
    assert sorted(reply["payload"]["events"]) == sorted(WAVES_OWN), reply
    await socket.send({"type": "subscribe", "stream_id": "no-such-stream", "events": ["radio.now_playing"]})
    assert (await socket.next())["type"] == "subscribed"
    await socket.send({"type": "subscribe", "stream_id": "no-such-stream", "events": ["stream.started"]})
    reply = await socket.next()
    assert reply["type"] == "error" and reply["payload"]["code"] == "NOT_FOUND", reply


@case("README", "6 •4")
async def airys_without_subscribe(stage, me):
    """Without `subscribe` an Airys client gets the four camera events and nothing of other domains; with `*` all."""
    plain, all = await inside(me, "airys", 2), await listen(me, "airys", ["*"], "")
    for type in ("camera.metrics", "radio.now_playing", "camera.face_detected", "camera.analytics",
                 "camera.stream_status"):
        await me.publish(type, {"camera_id": "c"}, "c", type not in ("camera.metrics", "camera.analytics"))
    heard = [(await plain.until(is_event("airys")))["type"] for _ in range(4)]
    assert heard == ["metrics", "face_detected", "analytics", "stream_status"], heard
    heard = [(await all.until(is_event("airys")))["type"] for _ in range(5)]
    assert heard == ["metrics", "radio.now_playing", "face_detected", "analytics", "stream_status"], heard


@case("README", "6 •5")
@case.table(DIALECTS)
async def other_tenants_are_not_shown(stage, me, dialect):
    """In {dialect} the events of another tenant, in the same room, are not shown."""
    socket = await listen(me, dialect, [name_in(dialect, "obs.sceneChanged")], "room")
    for tenant in "default", f"{me.tenant}x", me.tenant:
        await stage.publish("obs.sceneChanged", {"of": tenant}, tenant, "room")
    message = await socket.until(is_event(dialect))
    assert heard_data(dialect, message) == {"of": me.tenant}, message


@case("README", "6 •5")
@case.table(["source-saver", "grimnir", "airys"])
async def what_a_scope_does_not_allow(stage, me, dialect):
    """In {dialect} a filter shows nothing that the credential's scopes do not allow."""
    token = await me.token(scope="radio:read")
    names = [name_in(dialect, type) for type in ("obs.sceneChanged", "radio.now_playing")]
    socket = await listen(me, dialect, names, "room", token=token)
    await me.publish("obs.sceneChanged", {"of": "obs"}, "room")
    await me.publish("radio.now_playing", {"of": "radio"}, "room")
    message = await socket.until(is_event(dialect))
    assert heard_data(dialect, message)["of"] == "radio", message


# 7. Where Crosspoint decides more closely

@case("README", "7 all (6)", slow=True)
async def too_many_credentials(stage, me):
    """256 credentials that have not expired are suffered on a connection, the next closes it with 1008."""
    socket = await me.open("astro")
    await socket.next()
    for number in range(257):
        data = {"topic": "channel.tips", "token": await me.token(), "token_type": "jwt"}
        await socket.send({"type": "subscribe", "data": data})
        if number < 256:
            response = await socket.until(lambda message: message["type"] == "response")
            assert "error" not in response, (number, response)
        await asyncio.sleep(0.1 if number > 90 else 0)
    await me.gone(socket, 1008, "too many credentials")
