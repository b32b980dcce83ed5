"""Cases of docs/dialects/grimnir.md."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid

import edge
from cases import address, case

PATH = "/api/v1/events"
PING = {"type": "ping"}
STATION = "0b6f6d2e-6c1f-4a56-9a39-5f0a3a0f6f01"
OTHER_STATION = "0b6f6d2e-6c1f-4a56-9a39-5f0a3a0f6f02"
THIRD_STATION = "0b6f6d2e-6c1f-4a56-9a39-5f0a3a0f6f03"
STATIONS = [STATION, OTHER_STATION, THIRD_STATION]
MOUNT = "7d1c0a52-0f0f-4b8e-8a51-0d5f3b1c2a01"
UNAUTHORIZED = {"error": "unauthorized"}


def url(types=None, token=None):
    """The path with the query as it is given, nothing encoded."""
    query = [f"{name}={value}" for name, value in (("types", types), ("token", token)) if value is not None]
    return f"{PATH}?{'&'.join(query)}" if query else PATH


async def listen(me, types=None, token=None, gateway=2, **more):
    """A client that listens to the types."""
    return await me.open("grimnir", url(types, token or await me.token()), gateway=gateway, **more)


def event(me, name, payload, room=STATION, durable=True, domain="radio."):
    """An event for `publish_all`; `name` is Grimnir's."""
    return {"type": domain + name, "tenant": me.tenant, "room": room, "durable": durable, "data": payload}


async def heard(stage, me, socket, events):
    """What the socket is told of the events, pings left out: it waits until another client has a last event, after
    which nothing more is due."""
    witness = await listen(me, "playout.queue_change")
    last = {"action": "clear", "id": str(uuid.uuid4())}
    await stage.publish_all(events + [event(me, "playout.queue_change", last)])
    await witness.until(lambda message: message.get("payload") == last)
    await socket.echo()
    return [message for message in await socket.drained() if message != PING and message["payload"] != last]


async def heard_stations(stage, me, token):
    """The stations of which a credential shows events."""
    socket = await listen(me, "now_playing", token)
    events = [event(me, "now_playing", {"station_id": station}, room=station) for station in STATIONS]
    return [message["payload"]["station_id"] for message in await heard(stage, me, socket, events)]


def encoded(value):
    """Base 64 as a token has it."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(token):
    """What a JWT says."""
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


async def track_started(stage, me, body, token=None, headers={}):
    """What the API answers to a playout system that says what it put on air."""
    token = token or await me.token()
    return await stage.rest("POST", "radio-playout", "/api/v1/webhooks/track-start", body, token, headers)


async def make_station(stage, me):
    """A station of this case's tenant."""
    answer = await stage.rest("POST", "radio-playout", "/api/v1/stations", {"name": "Conformance FM"}, await me.token())
    assert answer.status == 201, answer
    return answer.json["id"]


# 1. Endpoint and handshake


@case("grimnir", "1 URL", "README#1 Path", "README#2 •2")
@case.table(["source-saver", "astro", "wave", "grimnir", "airys"])
async def the_path_works(stage, me, listener):
    """/api/v1/events upgrades on the listener of {listener}."""
    socket = await me.open(listener, url("now_playing", await me.token()))
    await socket.echo()


@case("grimnir", "1 URL", "README#2 •5")
@case.table(["/api/v1/events/", "/api/v1/event", "/api/v1/eventsx", "/api/v1", "/API/v1/events"])
async def no_other_path_works(stage, me, path):
    """{path} is 404, not Grimnir's endpoint."""
    answer = await me.refused("grimnir", f"{path}?token={await me.token()}")
    assert answer.status == 404, answer


TYPES = ["now_playing", "health", "dj_connect", "schedule_update", "listener_stats"]


@case("grimnir", "1 types")
@case.table([
    (None, "now_playing health"),
    ("", "now_playing health"),
    (",", "now_playing health"),
    ("dj_connect", "dj_connect"),
    ("dj_connect,health", "health dj_connect"),
    ("%20dj_connect%20,%20health%20", "health dj_connect"),
    ("dj_connect,+health", "health dj_connect"),
    ("dj_connect%2Chealth", "health dj_connect"),
    (",,dj_connect,,", "dj_connect"),
    ("dj_connect,dj_connect,dj_connect", "dj_connect"),
    ("nonsense,dj_connect,health.status", "dj_connect"),
    ("nonsense", ""),
    ("nonsense,,%20", ""),
    ("dj.connect,schedule.update", ""),
    ("NOW_PLAYING,Health", ""),
    ("ping,pong,*", ""),
    ("cache.updated,audit.entry,migration,recording.started,show.started", ""),
    (",".join(TYPES), " ".join(TYPES)),
])
async def types_are_read(stage, me, asked, names):
    """types={asked} means: {names}."""
    socket = await listen(me, asked)
    told = await heard(stage, me, socket, [event(me, name, {"n": number}) for number, name in enumerate(TYPES)])
    assert [message["type"] for message in told] == names.split(), told


@case("grimnir", "1 types", "README#7 Grimnir")
@case.table(["radio.now_playing", "radio.health", "radio.live.handover"])
async def names_are_exactly_those_of_the_contract(stage, me, name):
    """{name} is no name."""
    socket = await listen(me, name)
    own = name.removeprefix("radio.")
    assert await heard(stage, me, socket, [event(me, own, {"station_id": STATION})]) == []


@case("grimnir", "1 types", "README#6 Grimnir")
@case.table([
    ("obs.sceneChanged", "obs-1"), ("stream.started", "stream-1"), ("channel.tips", "a-channel"),
    ("camera.face_detected", "cam_1"), ("chat.message", "stream-1"),
])
async def other_domains_go_by_their_type(stage, me, name, room):
    """types={name} brings that event of another domain."""
    socket = await listen(me, name)
    payload = {"some": "thing", "room": room}
    told = await heard(stage, me, socket, [event(me, name, payload, room, domain="")])
    assert told == [{"type": name, "payload": payload}], told


@case("grimnir", "1 types")
@case.table([
    {"type": "subscribe", "types": ["dj_connect"]}, {"action": "subscribe", "events": ["dj_connect"]},
    {"type": "unsubscribe", "types": ["now_playing"]},
])
async def types_are_fixed(stage, me, message):
    """No message changes the types: {message}."""
    socket = await listen(me, "now_playing")
    await socket.send(message)
    told = await heard(stage, me, socket, [event(me, "dj_connect", {"n": 1}), event(me, "now_playing", {"n": 2})])
    assert told == [{"type": "now_playing", "payload": {"n": 2}}], told


async def grimnir_key(stage, me, **more):
    """An API key as Grimnir's clients have it, and its id."""
    wanted = {"name": "conformance", "scopes": ["radio:read"], "tenant": me.tenant, "kind": "grimnir"} | more
    answer = await stage.rest("POST", "auth", "/v1/auth/keys", wanted, stage.owner)
    assert answer.status == 201, answer
    return answer.json


@case("grimnir", "1 Credentials", "README#1 Auth")
@case.table([
    ("query", "jwt"), ("query", "oauth2"), ("query", "ticket"), ("bearer", "jwt"), ("bearer", "oauth2"),
    ("x-api-key", "key"),
])
async def credentials_are_taken(stage, me, place, kind):
    """A credential is taken by {place}: {kind}."""
    if kind == "key":
        token = (await grimnir_key(stage, me))["key"]
        assert token.startswith("gr_"), "a Grimnir key begins with gr_"
    elif kind == "ticket":
        answer = await stage.rest("POST", "auth", "/v1/tickets", token=await me.token())
        token = answer.json["ticket"]
    else:
        token = await me.token(kind)
    headers = {"bearer": {"Authorization": f"Bearer {token}"}, "x-api-key": {"X-API-Key": token}}.get(place, {})
    socket = await me.open("grimnir", url("now_playing", token if place == "query" else None), headers, gateway=2)
    told = await heard(stage, me, socket, [event(me, "now_playing", {"station_id": STATION})])
    assert len(told) == 1, told


@case("grimnir", "1 Credentials")
@case.table([
    ("good", "bad", "bad", 101), ("bad", "good", "good", 401), ("bad", None, "good", 401), ("good", None, "bad", 101),
    (None, "good", "bad", 101), (None, "bad", "good", 401),
])
async def credentials_have_a_precedence(stage, me, key, bearer, query, status):
    """X-API-Key {key}, Bearer {bearer}, query {query}: {status}."""
    values = {"good": await me.token(), "bad": "no-such-credential", None: None}
    headers = {"X-API-Key": values[key]}
    if bearer:
        headers["Authorization"] = f"Bearer {values[bearer]}"
    if status == 101:
        await me.open("grimnir", url(token=values[query]), headers)
    else:
        answer = await me.refused("grimnir", url(token=values[query]), headers)
        assert answer.status == status, answer


@case("grimnir", "1 Credentials")
async def a_query_token_is_for_upgrades(stage, me):
    """A token in the query counts on an upgrade only, not on a REST path."""
    path = f"/api/v1/stations?token={await me.token()}"
    answer = await stage.rest("GET", "radio-playout", path)
    assert answer.status == 401, answer


async def make_user(stage, me, *roles):
    """A user of this case's channel; what they sign in with."""
    await stage.rest("POST", "auth", "/v1/auth/channels", {"id": me.tenant}, stage.owner)
    user = {"email": f"{uuid.uuid4()}@example.com", "password": "a conformance password"}
    given = [{"channel": me.tenant} | role for role in roles]
    answer = await stage.rest("POST", "auth", "/v1/auth/users", user | {"roles": given}, stage.owner)
    assert answer.status == 201, answer
    return user


async def signed_in(stage, me, user, station=None):
    """The access token of a sign-in, for a station if one is named."""
    body = user | ({"station_id": station} if station else {})
    answer = await stage.rest("POST", "auth", "/api/v1/auth/login", body, address=me.address)
    assert answer.status == 200, answer
    return answer.json["access_token"]


@case("grimnir", "1 JWT", "5 ¶1", "9 ¶2", "README#5 •1", slow=True)
async def a_user_with_stations_sees_those(stage, me):
    """A user with roles at stations sees these, or the one that they signed in for; the token has Grimnir's claims."""
    user = await make_user(stage, me, {"station": STATION, "role": "dj"}, {"station": OTHER_STATION, "role": "viewer"})
    assert await heard_stations(stage, me, await signed_in(stage, me, user)) == [STATION, OTHER_STATION]
    token = await signed_in(stage, me, user, STATION)
    says = claims(token)
    assert isinstance(says["roles"], list) and says["roles"], says
    assert says["station_id"] == STATION and says["uid"] and says["sub"], says
    assert isinstance(says["exp"], int) and says["iat"] < says["exp"], says
    assert await heard_stations(stage, me, token) == [STATION]


@case("grimnir", "5 ¶1", "1 JWT", slow=True)
async def a_user_of_the_channel_sees_all_stations(stage, me):
    """A user with a role in the whole channel sees all its stations, or the one that they signed in for."""
    user = await make_user(stage, me, {"role": "manager"})
    assert await heard_stations(stage, me, await signed_in(stage, me, user)) == STATIONS
    assert await heard_stations(stage, me, await signed_in(stage, me, user, OTHER_STATION)) == [OTHER_STATION]


def forged(token, algorithm, key=b"secret"):
    """The same claims under another algorithm."""
    header, middle = {"alg": algorithm, "typ": "JWT"}, token.split(".")[1]
    signed = f"{encoded(header)}.{middle}"
    signature = b"" if algorithm == "none" else hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encoded(signature)}"


async def bad_credential(stage, me, kind):
    """A credential that is good for nothing, as a path."""
    if kind == "expired":
        token = await me.token(ttl=1)
        await asyncio.sleep(max(0, claims(token)["exp"] - time.time()) + 0.3)
    elif kind == "revoked":
        credential = await stage.credential(tenant=me.tenant)
        token = credential["token"]
        await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
    elif kind == "with another signature":
        head, middle, signature = (await me.token()).split(".")
        token = f"{head}.{middle}.{signature[::-1]}"
    elif kind == "with other claims":
        head, middle, signature = (await me.token()).split(".")
        token = f"{head}.{encoded(claims(f'.{middle}') | {'tenant': 'default'})}.{signature}"
    elif kind in ("HS256", "none"):
        token = forged(await me.token(), kind)
    else:
        token = {"empty": "", "unknown": "no-such-credential", "unknown key": "gr_" + "0" * 48, "missing": None}[kind]
    return url(token=token)


@case("grimnir", "1 Bad/missing/expired credentials", "1 JWT")
@case.table([
    "missing", "empty", "unknown", "unknown key", "expired", "revoked", "with another signature", "with other claims",
    "HS256", "none",
])
async def bad_credentials_are_401(stage, me, kind):
    """A credential that is bad ({kind}) gets 401 before the upgrade, with Grimnir's header and body."""
    path = await bad_credential(stage, me, kind)
    answer = await refused_soon(me, path) if kind == "revoked" else await me.refused("grimnir", path)
    assert_unauthorized(answer)


async def refused_soon(me, path):
    """The refusal, once the gateway has heard of a revocation."""
    for _ in range(50):
        try:
            await (await me.open("grimnir", path)).drop()
        except edge.Refused as refusal:
            return refusal
        await asyncio.sleep(0.1)
    raise AssertionError("still let in after five seconds")


def assert_unauthorized(answer):
    """The answer is a whole HTTP/1.1 answer as the contract has it."""
    assert (answer.version, answer.status) == (b"HTTP/1.1", 401), answer
    assert answer.headers.get("www-authenticate") == "Bearer", answer.headers
    assert answer.headers.get("content-type", "").startswith("application/json"), answer.headers
    assert answer.json == UNAUTHORIZED, answer.body


@case("grimnir", "1 Bad/missing/expired credentials")
@case.table([{"Authorization": "Bearer"}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic bm86Ym9keQ=="},
             {"X-API-Key": "gr_nobody"}])
async def bad_headers_are_401(stage, me, headers):
    """{headers} gets 401."""
    assert_unauthorized(await me.refused("grimnir", PATH, headers))


@case("grimnir", "1 No upgrade header but valid auth", "README#2 •5")
async def without_upgrade_it_is_426(stage, me):
    """A plain GET with a good credential is 426."""
    answer = await me.http("grimnir", path=url("now_playing"), headers={"Authorization": f"Bearer {await me.token()}"})
    assert (answer.version, answer.status) == (b"HTTP/1.1", 426), answer


@case("grimnir", "1 Origin header", "README#3 •3")
@case.table(["https://evil.example", "null", "http://localhost:3000", "file://"])
async def any_origin_is_let_in(stage, me, origin):
    """A page of {origin} is let in as anybody else."""
    socket = await me.open("grimnir", url(token=await me.token()), {"Origin": origin})
    await socket.echo()


async def attempts(me, count, token):
    """So many attempts of this address at once, half of them without a credential; returns the statuses."""
    async def one(number):
        try:
            await (await me.open("grimnir", url(token=token if number % 2 else None))).drop()
            return 101
        except edge.Refused as refusal:
            return refusal.status
    return await asyncio.gather(*(one(number) for number in range(count)))


@case("grimnir", "1 Rate limit", "1 ¶1", "README#1 Rate limit")
async def an_address_has_100_attempts_a_minute(stage, me):
    """An address has 100 attempts a minute, refused ones too; the next one is 429, and other addresses go on."""
    token = await me.token()
    assert sorted(await attempts(me, 100, token)) == [101] * 50 + [401] * 50
    answer = await me.refused("grimnir", url(token=token))
    assert (answer.version, answer.status) == (b"HTTP/1.1", 429), answer
    assert answer.json == {"error": "rate_limited"}, answer.body
    assert 1 <= int(answer.headers["retry-after"]) <= 60, answer.headers
    assert (await me.refused("grimnir", PATH)).status == 429, "the limit comes before the credential"
    await me.open("grimnir", url(token=token), address=address(10))


@case("grimnir", "1 Rate limit", slow=True)
async def the_minute_is_a_rolling_one(stage, me):
    """An attempt counts for 60 seconds: half a minute after the hundredth as many are free as are that old."""
    token = await me.token()
    began = time.monotonic()
    assert 429 not in await attempts(me, 50, token)
    first_done = time.monotonic()
    await asyncio.sleep(began + 30 - time.monotonic())
    assert 429 not in await attempts(me, 50, token)
    await asyncio.sleep(first_done + 61 - time.monotonic())
    statuses = await attempts(me, 51, token)
    assert statuses.count(429) == 1, f"{statuses.count(429)} of 51 refused"


@case("grimnir", "1 Connection limit", "1 ¶1", "README#1 Connection limit", alone=True)
async def there_is_room_for_10_000(stage, me):
    """A gateway has 10,000 connections; the next one is 503, until one has left."""
    gateway, token = await stage.gateway(), await me.token(ttl=3600)
    path, turns = url("dj_connect", token), asyncio.Semaphore(40)

    async def one(number):
        async with turns:
            return await me.open("grimnir", path, gateway=gateway, address=f"10.201.1.{number // 64}")

    sockets = await asyncio.gather(*(one(number) for number in range(10_000)))
    assert all(socket.is_open for socket in sockets), "some of the 10,000 were closed"
    answer = await me.refused("grimnir", path, gateway=gateway)
    assert (answer.version, answer.status) == (b"HTTP/1.1", 503), answer
    assert answer.json == {"error": "connection_limit_reached"}, answer.body
    await sockets[0].drop()
    await let_in_soon(me, path, gateway)


async def let_in_soon(me, path, gateway):
    """Opens a connection once there is a place."""
    for _ in range(50):
        try:
            return await me.open("grimnir", path, gateway=gateway)
        except edge.Refused as refusal:
            assert refusal.status == 503, refusal
        await asyncio.sleep(0.1)
    raise AssertionError("no place five seconds after one left")


# 2. Messages


@case("grimnir", "2 ¶1", "README#1 Server envelope")
async def a_message_is_one_text_frame(stage, me):
    """A message is a type and a payload in one text frame."""
    socket = await listen(me, "now_playing")
    await me.publish("radio.now_playing", {"station_id": STATION, "title": "Für Elise – ♫"}, STATION)
    message = await socket.until(lambda message: message != PING)
    assert list(message) == ["type", "payload"] and isinstance(message["payload"], dict), message
    assert [(opcode, fin) for opcode, fin, _ in socket.frames] == [(edge.TEXT, True)], socket.frames


@case("grimnir", "2 ¶1", "9 POST /webhooks/track-start")
async def a_message_fits_32_kib(stage, me):
    """The largest announcement that the API takes makes a message of at most 32 KiB; a larger one is refused."""
    station = await make_station(stage, me)
    socket = await listen(me, "now_playing", gateway=0)
    empty = json.dumps({"station_id": station, "title": ""}).encode()
    largest = empty.replace(b'""', b'"' + b"x" * (30 * 1024 - len(empty)) + b'"')
    answer = await track_started(stage, me, largest)
    assert answer.status == 202, answer
    message = await socket.until(lambda message: message != PING)
    assert message["payload"] == json.loads(largest)
    assert max(length for _, _, length in socket.frames) <= 32 * 1024, socket.frames
    answer = await track_started(stage, me, largest.replace(b"x", b"xy" * 1200, 1))
    assert answer.status in (400, 413), answer


@case("grimnir", "2 ¶2", "README#1 Client envelope")
@case.table([
    '{"type":"pong"}', '{"type":"ping"}', '{"action":"subscribe"}', "{broken", "", "[]", "null", "pong",
    b"", b"\x00\xff binary", '{"type":"auth","token":"x"}', "ü" * 2048, b"\x01" * 4096,
])
async def whatever_comes_is_discarded(stage, me, message):
    """Inbound is read and discarded, whatever it is."""
    socket = await listen(me, "now_playing")
    for _ in range(3):
        await socket.send(message)
    told = await heard(stage, me, socket, [event(me, "now_playing", {"station_id": STATION})])
    assert told == [{"type": "now_playing", "payload": {"station_id": STATION}}], told


@case("grimnir", "2 ¶2")
async def any_number_of_messages_is_discarded(stage, me):
    """A client may send as much as it likes: 2,000 messages at once end nothing."""
    socket = await listen(me, "now_playing")
    await socket.raw(edge.frame_bytes(edge.TEXT, b'{"type":"pong"}') * 2000)
    told = await heard(stage, me, socket, [event(me, "now_playing", {"station_id": STATION})])
    assert len(told) == 1, told


@case("grimnir", "2 ¶2", "7 Close", "README#1 Max inbound msg")
@case.table([(edge.TEXT, 4097, 1), (edge.BINARY, 4097, 1), (edge.TEXT, 65536, 1), (edge.TEXT, 6000, 3)])
async def more_than_4_kib_closes(stage, me, opcode, length, frames):
    """A message of {length} bytes in {frames} frames (opcode {opcode}) closes with 1009."""
    socket = await listen(me, "now_playing", gateway=0)
    part = length // frames
    for number in range(frames):
        await socket.frame(opcode if number == 0 else edge.CONTINUATION, b"x" * part, fin=number == frames - 1)
    await me.gone(socket, 1009)


@case("grimnir", "2 ¶2")
async def exactly_4_kib_is_discarded_in_parts_too(stage, me):
    """A message of 4,096 bytes in two frames is discarded."""
    socket = await listen(me, "now_playing", gateway=0)
    await socket.frame(edge.TEXT, b"x" * 2048, fin=False)
    await socket.frame(edge.CONTINUATION, b"x" * 2048)
    await socket.echo()
    assert socket.is_open


# 3. Heartbeat


def assert_times(told, wanted, tolerance=1.5):
    """Each of the times is close to the one that is wanted."""
    assert len(told) == len(wanted), f"at {told}, not {wanted}"
    assert all(abs(one - other) <= tolerance for one, other in zip(told, wanted)), f"at {told}, not {wanted}"


async def pings(socket, opened, count):
    """When so many pings came, in seconds since the opening."""
    times = []
    while len(times) < count:
        message = await socket.until(lambda message: message["type"] == "ping", timeout=25)
        times.append(round(time.monotonic() - opened, 2))
        assert message == PING, message
    return times


@case("grimnir", "3 ¶1", "2 ¶1", "README#1 Heartbeat", slow=True)
async def a_ping_comes_every_15_seconds(stage, me):
    """{"type":"ping"}, exactly, comes every 15 seconds, counted from each connect, whatever else is told."""
    sockets = []

    async def beats(delay):
        await asyncio.sleep(delay)
        socket = await listen(me, "now_playing")
        sockets.append(socket)
        return await pings(socket, time.monotonic(), 4)

    async def talk():
        while True:
            await me.publish("radio.now_playing", {"station_id": STATION}, STATION)
            await asyncio.sleep(2)

    talking = asyncio.create_task(talk())
    try:
        for told in await asyncio.gather(beats(0), beats(7)):
            assert_times(told, [15, 30, 45, 60])
    finally:
        talking.cancel()
    for socket in sockets:
        lengths = [length for opcode, _, length in socket.frames if opcode == edge.TEXT]
        assert lengths.count(len('{"type":"ping"}')) == 4, lengths


@case("grimnir", "3 ¶1", slow=True)
async def a_ping_comes_without_types_too(stage, me):
    """Who asked for unknown types only gets pings and nothing else."""
    socket = await listen(me, "nonsense", gateway=0)
    opened = time.monotonic()
    assert await socket.next(20) == PING
    assert_times([time.monotonic() - opened], [15])
    assert len([1 for opcode, _, _ in socket.frames if opcode == edge.TEXT]) == 1, socket.frames


@case("grimnir", "3 ¶1", slow=True)
async def a_transport_ping_comes_every_30_seconds(stage, me):
    """A PING frame comes every 30 seconds."""
    socket = await listen(me, "now_playing", gateway=0)
    opened = time.monotonic()
    for seconds, count in ((27, 0), (33, 1), (57, 1), (63, 2)):
        await asyncio.sleep(opened + seconds - time.monotonic())
        assert len(socket.pings) == count, f"{len(socket.pings)} PINGs after {seconds} s"


@case("grimnir", "3 ¶1", slow=True)
async def silence_ends_the_connection(stage, me):
    """A client of which nothing was heard for 90 seconds, not even a PONG, is dropped."""
    socket = await listen(me, "now_playing", gateway=0)
    socket.answers_pings = False
    opened = time.monotonic()
    await socket.closing(100)
    assert 86 <= time.monotonic() - opened <= 99, f"after {time.monotonic() - opened:.1f} s"


@case("grimnir", "3 ¶1", slow=True)
@case.table(["PONG", "text", "own PING"])
async def any_sign_of_life_keeps_the_connection(stage, me, sign):
    """A client that sends nothing but {sign} is not dropped after 90 seconds."""
    socket = await listen(me, "now_playing", gateway=0)
    socket.answers_pings = sign == "PONG"
    opened = time.monotonic()
    while time.monotonic() < opened + 100:
        await asyncio.sleep(20)
        if sign == "text":
            await socket.send('{"type":"pong"}')
        elif sign == "own PING":
            await socket.frame(edge.PING, b"alive")
    assert socket.is_open, await socket.closing()


@case("grimnir", "3 ¶1")
async def a_pong_is_not_needed(stage, me):
    """Whoever answers a ping with pong, or sends one unasked, hears no answer."""
    socket = await listen(me, "now_playing", gateway=0)
    await socket.send({"type": "pong"})
    await socket.echo()
    assert await socket.drained() == []


# 4. Event catalogue

PERSON = {"session_id": "5b0c1f7e-98a4-4d26-9b61-0e8a4c6f0a01", "user_id": "2f6b7c0e-1d6a-4b8e-8f53-1c9d0e5a7b01"}
MEDIA = "c3a1e0d4-7f6b-4e0c-9a58-2b7d9e1f3a01"
WEBSTREAM = {"webstream_id": "9e8d7c6b-5a49-4837-a625-1403f2e1d001", "webstream_name": "BBC Radio 1"}
NOW = "2026-01-22T10:30:00Z"

CATALOGUE = [
    ("now_playing", "now_playing (media)", {
        "station_id": STATION, "mount_id": MOUNT, "media_id": MEDIA, "title": "Für Elise", "artist": "Beethoven",
        "album": "Bagatellen", "duration": 180.5, "starts_at": NOW}),
    ("now_playing", "now_playing (webstream)", {
        "station_id": STATION, "mount_id": MOUNT} | WEBSTREAM | {
        "url": "http://stream.example.com/stream.mp3", "health_status": "healthy"}),
    ("live.handover", "live.handover", {
        "station_id": STATION} | PERSON | {
        "username": "DJ Mike", "priority": 1, "transition_type": "faded", "handover_at": NOW}),
    ("live.released", "live.released", {"station_id": STATION} | PERSON | {"username": "DJ Mike", "released_at": NOW}),
    ("dj_connect", "dj_connect", {
        "station_id": STATION, "mount_id": MOUNT, "session_id": PERSON["session_id"], "username": "DJ Sarah",
        "source_ip": "192.168.1.100"}),
    ("dj_disconnect", "dj_disconnect", {
        "station_id": STATION, "session_id": PERSON["session_id"], "username": "DJ Sarah", "duration_seconds": 3600.5}),
    ("webstream.failover", "webstream.failover", WEBSTREAM | {
        "failed_url": "http://primary.example.com/stream", "failover_url": "http://backup.example.com/stream",
        "reason": "connection_timeout", "timestamp": NOW}),
    ("webstream.recovered", "webstream.recovered", WEBSTREAM | {
        "recovered_url": "http://primary.example.com/stream", "timestamp": NOW}),
    ("priority.emergency", "priority.emergency", {
        "station_id": STATION, "media_id": MEDIA, "priority": 0, "source_type": "emergency", "inserted_at": NOW}),
    ("priority.override", "priority.override", {
        "station_id": STATION, "priority": 1, "source_type": "live", "source_id": MEDIA, "transition_type": "preempt"}),
    ("priority.released", "priority.released", {
        "station_id": STATION, "previous_priority": 1, "new_priority": 3, "released_at": NOW}),
    ("health", "health", {
        "station_id": STATION, "mount_id": MOUNT, "event": "crossfade", "previous_media": MEDIA, "current_media": MEDIA,
        "timestamp": NOW}),
    ("schedule_update", "schedule_update", {"station_id": STATION, "entries_added": 15, "timestamp": NOW}),
    ("webstream.health", "¶2", WEBSTREAM | {
        "station_id": STATION, "status": "degraded", "url": "http://stream.example.com/stream"}),
    ("listener_stats", "¶2", {
        "mount": "/live", "bitrate": 128, "listeners": 17, "event": "connect", "content_type": "audio/mpeg"}),
    ("playout.queue_change", "¶2", {
        "action": "insert", "id": MEDIA, "station_id": STATION, "mount_id": MOUNT, "media_id": MEDIA, "position": 2}),
    ("priority.change", "¶2", {"station_id": STATION, "priority": 3}),
]
TRANSIENT = {"health", "webstream.health", "listener_stats"}


@case("grimnir", "4 {clause}", "4 ¶1", "README#4 Track / DJ / webstream / priority", "README#6 ¶1")
@case.table(CATALOGUE)
async def every_event_is_told_as_it_was_published(stage, me, name, clause, payload):
    """{name} ({clause}) has its payload as it was published."""
    socket = await listen(me, name)
    await me.publish(f"radio.{name}", payload, STATION, durable=name not in TRANSIENT)
    message = await socket.until(lambda message: message != PING)
    assert message == {"type": name, "payload": payload}, message


@case("grimnir", "4 now_playing (media)", "9 POST /webhooks/track-start", "2 ¶1")
async def a_payload_is_passed_on_byte_for_byte(stage, me):
    """What a playout system announces comes to clients of every gateway as it was written: spaces, order, numbers."""
    station = await make_station(stage, me)
    sockets = [await listen(me, "now_playing", gateway=gateway) for gateway in (0, 1, 2)]
    body = (f'{{ "title" : "F\\u00fcr \\/ Elise \\ud83c\\udfb5","duration":180.50,  "station_id":"{station}",\n'
            '"big":12345678901234567890, "artist":"Łukasz ♫", "metadata":{"b":[1.0 ,2e3],"a":null} }').encode()
    answer = await track_started(stage, me, body)
    assert answer.status == 202 and answer.json == {"status": "received"}, answer
    for socket in sockets:
        message = await socket.until(lambda message: message != PING)
        assert message["payload"] == json.loads(body), message
        assert list(message["payload"]) == list(json.loads(body)), message
        # Nothing that says the same in another way is as long as the original.
        length = len(b'{"type":"now_playing","payload":}') + len(body)
        assert socket.frames[-1] == (edge.TEXT, True, length), f"{socket.frames[-1]}, not {length} bytes"


@case("grimnir", "4 {clause}", "4 ¶3")
@case.table([
    ("•1", "live.handover", "transition_type", ["immediate", "faded", "delayed"]),
    ("•2", "priority.override", "transition_type", ["none", "preempt", "release", "switch", "emergency", "fallback"]),
    ("•3", "priority.change", "priority", [0, 1, 2, 3, 4]),
    ("•4", "priority.override", "source_type", ["media", "live", "webstream", "emergency", "fallback"]),
    ("•4", "webstream.health", "status", ["healthy", "degraded", "unhealthy", "unknown"]),
    ("•5", "webstream.failover", "reason", ["connection_timeout", "health_check_failed", "manual"]),
])
async def every_value_is_told_as_it_is(stage, me, clause, name, member, values):
    """{member} of {name} is told as it is: {values}."""
    socket = await listen(me, name)
    told = await heard(stage, me, socket, [event(me, name, {"station_id": STATION, member: value}) for value in values])
    assert [message["payload"][member] for message in told] == values, told


@case("grimnir", "4 ¶2", "README#6 •5")
async def what_is_internal_stays_hidden(stage, me):
    """auth.revoked is told to nobody, whatever the types."""
    socket = await listen(me, "auth.revoked,revoked,now_playing")
    credential = await stage.credential(tenant=me.tenant)
    await stage.rest("DELETE", "auth", f"/v1/tokens/{credential['id']}", token=stage.owner)
    auth = event(me, "auth.revoked", {"kind": "token", "id": "none", "before": 1, "until": 2}, "", domain="")
    told = await heard(stage, me, socket, [auth, event(me, "now_playing", {"n": 1})])
    assert told == [{"type": "now_playing", "payload": {"n": 1}}], told


# 5. Scope of delivery


@case("grimnir", "5 ¶1", "README#6 •5")
@case.table(["jwt", "oauth2", "apikey", "key"])
async def a_credential_for_stations_shows_those(stage, me, kind):
    """A credential limited to stations ({kind}) shows their events only."""
    if kind == "key":
        token = (await grimnir_key(stage, me, stations=[STATION]))["key"]
    else:
        token = await me.token(kind, scope="radio:read", stations=[STATION])
    assert await heard_stations(stage, me, token) == [STATION]


@case("grimnir", "5 ¶1")
async def a_credential_without_stations_shows_all(stage, me):
    """A credential that names no station shows all of its tenant."""
    assert await heard_stations(stage, me, await me.token(scope="radio:read")) == STATIONS


@case("grimnir", "5 ¶1", "4 webstream.failover", "4 webstream.recovered")
@case.table(["webstream.failover", "webstream.recovered"])
async def a_webstream_belongs_to_its_station(stage, me, name):
    """{name} names no station in its payload, and yet only those see it who may see the station."""
    tokens = [await me.token(scope="radio:read", stations=[station]) for station in (STATION, OTHER_STATION)]
    mine, other = [await listen(me, name, token) for token in tokens]
    told = await heard(stage, me, mine, [event(me, name, WEBSTREAM)])
    assert told == [{"type": name, "payload": WEBSTREAM}], told
    await other.echo()
    assert await other.drained() == []


@case("grimnir", "5 ¶1")
async def an_event_is_told_once_and_without_its_caller(stage, me):
    """An announcement is told once, without the address and user agent of the HTTP caller."""
    station = await make_station(stage, me)
    socket = await listen(me, "now_playing,health,playout.queue_change", gateway=0)
    bodies = [{"station_id": station, "title": title} for title in ("one", "two")]
    caller = {"User-Agent": "secret-agent", "X-Forwarded-For": "10.9.8.7"}
    for body in bodies:
        answer = await track_started(stage, me, body, headers=caller)
        assert answer.status == 202, answer
    told = [await socket.until(lambda message: message != PING) for _ in bodies]
    assert told == [{"type": "now_playing", "payload": body} for body in bodies], told
    await socket.echo()
    assert await socket.drained() == []


@case("grimnir", "5 ¶1", "README#6 •5")
async def another_tenants_events_are_not_told(stage, me):
    """Whatever the types, an event of another tenant never comes."""
    socket = await listen(me, ",".join(name for name, _, _ in CATALOGUE))
    foreign = [event(me, name, payload) | {"tenant": f"{me.tenant}-b"} for name, _, payload in CATALOGUE]
    foreign += [event(me, "now_playing", {"n": 1}) | {"tenant": "default"}]
    told = await heard(stage, me, socket, foreign + [event(me, "now_playing", {"n": 2})])
    assert told == [{"type": "now_playing", "payload": {"n": 2}}], told


@case("grimnir", "5 ¶1", "README#6 •5")
@case.table([("streams:read", "now_playing", "radio."), ("radio:read", "obs.sceneChanged", ""),
             ("radio:read", "channel.tips", ""), ("system:read", "health", "radio.")])
async def what_a_scope_does_not_allow_is_not_told(stage, me, scope, name, domain):
    """{scope} does not show {name}, although it is asked for."""
    socket = await listen(me, name, await me.token(scope=scope))
    assert await heard(stage, me, socket, [event(me, name, {"n": 1}, domain=domain)]) == []


@case("grimnir", "5 ¶2", "7 Close", "README#7 all (4)", "README#1 Close codes")
@case.table(["jwt", "oauth2", "apikey"])
async def the_connection_ends_with_its_token(stage, me, kind):
    """When its credential ({kind}) ends, a connection is closed with 1008 `token expired`."""
    token = await me.token(kind, ttl=4)
    made = time.time()
    socket = await listen(me, "now_playing", token, gateway=0)
    await me.gone(socket, 1008, "token expired")
    assert 2.5 <= time.time() - made <= 6, f"after {time.time() - made:.1f} s"


@case("grimnir", "5 ¶2", "7 Close")
async def the_connection_ends_at_exp(stage, me):
    """The connection is closed at the moment that the token's exp says, not earlier."""
    token = await me.token(ttl=5)
    socket = await listen(me, "now_playing", token, gateway=0)
    await me.gone(socket, 1008, "token expired")
    late = time.time() - claims(token)["exp"]
    assert -0.2 <= late <= 1.5, f"{late:.2f} s after exp"


@case("grimnir", "7 Close", "README#7 all (4)")
@case.table(["jwt", "oauth2", "apikey", "key"])
async def a_revocation_ends_the_connection(stage, me, kind):
    """When its credential ({kind}) is revoked, a connection is closed with 1008 `token revoked` on every gateway."""
    if kind == "key":
        made = await grimnir_key(stage, me)
        token, place = made["key"], f"/v1/auth/keys/{made['id']}"
    else:
        made = await stage.credential(kind, me.tenant)
        token, place = made["token"], f"/v1/tokens/{made['id']}"
    sockets = [await me.open("grimnir", PATH, {"X-API-Key": token}, gateway=gateway) for gateway in (0, 1)]
    other = await listen(me, "now_playing", gateway=0)
    answer = await stage.rest("DELETE", "auth", place, token=stage.owner)
    assert answer.status == 204, answer
    for socket in sockets:
        await me.gone(socket, 1008, "token revoked")
    await other.echo()


# 7. Close codes, reconnect, delivery


@case("grimnir", "7 Close", "README#3 •4", "README#1 Close codes", slow=True)
async def a_shutdown_closes_with_1001(stage, me):
    """A gateway that shuts down closes with 1001."""
    gateway = await stage.gateway()
    sockets = [await listen(me, "now_playing", gateway=gateway) for _ in range(5)]
    gateway.signal()
    for socket in sockets:
        await me.gone(socket, 1001, timeout=30)
    assert await gateway.ended(40) == 0


@case("grimnir", "7 Close", "README#3 •4", slow=True)
async def a_draining_gateway_takes_nobody(stage, me):
    """While a gateway drains, new connections are 503."""
    gateway, token = await stage.gateway(), await me.token()
    staying = await listen(me, "now_playing", token, gateway=gateway)
    staying.answers_close = False
    gateway.signal()
    await staying.closing(30)
    answer = await me.refused("grimnir", url(token=token), gateway=gateway)
    assert (answer.version, answer.status) == (b"HTTP/1.1", 503), answer


@case("grimnir", "7 Close")
@case.table([1000, 1001, 3000, 4999, None])
async def a_clients_close_is_answered(stage, me, code):
    """CLOSE {code} of a client is answered with the same code."""
    socket = await listen(me, "now_playing", gateway=0)
    await socket.close(code)
    await me.gone(socket, code or 1005)
    await socket.ended()


@case("grimnir", "7 Resume", "README#1 Resume")
async def nothing_is_kept_for_who_is_away(stage, me):
    """What happens while a client is away is not told when it comes back."""
    token = await me.token()
    before = await listen(me, "now_playing", token)
    assert len(await heard(stage, me, before, [event(me, "now_playing", {"n": 1})])) == 1
    await before.drop()
    witness = await listen(me, "now_playing", token)
    await me.publish("radio.now_playing", {"n": 2}, STATION)
    await witness.until(lambda message: message.get("payload") == {"n": 2})
    after = await listen(me, "now_playing", token)
    told = await heard(stage, me, after, [event(me, "now_playing", {"n": 3})])
    assert told == [{"type": "now_playing", "payload": {"n": 3}}], told


@case("grimnir", "7 Order", "6 •5")
async def the_order_is_that_of_publication(stage, me):
    """Events of all types come in the order in which they were published, whatever the order of the types."""
    names = ["dj_connect", "priority.override", "live.handover", "now_playing", "health", "live.released",
             "priority.released", "dj_disconnect"]
    socket = await listen(me, ",".join(sorted(names, reverse=True)))
    events = [event(me, names[number % len(names)], {"n": number}, durable=names[number % len(names)] not in TRANSIENT)
              for number in range(400)]
    told = [message["payload"]["n"] for message in await heard(stage, me, socket, events)]
    assert told == list(range(400)), f"{len(told)} events, in the order {told[:40]}…"


@case("grimnir", "7 Guarantee")
async def a_fact_is_told_at_most_once(stage, me):
    """Each of 500 events at once is told once to each client."""
    sockets = [await listen(me, "now_playing,health") for _ in range(3)]
    events = [event(me, "now_playing", {"n": number}) for number in range(500)]
    told = [await heard(stage, me, sockets[0], events)]
    for socket in sockets[1:]:
        await socket.echo()
        told.append([message for message in await socket.drained() if message != PING])
    for each in told:
        assert [message["payload"]["n"] for message in each] == list(range(500)), f"{len(each)} messages"


@case("grimnir", "7 Guarantee", "7 Close", "README#3 •2", alone=True)
async def a_slow_client_is_closed(stage, me):
    """A client that does not read is closed with 1008 once its queue is full; others lose nothing."""
    slow = await listen(me, "now_playing", receive_buffer=4096)
    slow.pause()
    other = await listen(me, "now_playing")
    count = await stage.publish_until_one_is_too_slow(
        lambda number: event(me, "now_playing", {"n": number, "filling": "x" * 12_000}))
    slow.resume()
    await me.gone(slow, 1008, timeout=20)
    for number in range(count):
        message = await other.until(lambda message: message != PING)
        assert message["payload"]["n"] == number, f"the other client got {message['payload']['n']} instead of {number}"


@case("grimnir", "7 Guarantee", "README#3 •2", alone=True)
async def a_client_that_falls_behind_a_little_loses_nothing(stage, me):
    """A client that pauses while 500 events come gets them all afterwards."""
    slow = await listen(me, "now_playing", receive_buffer=4096)
    slow.pause()
    other = await listen(me, "now_playing")
    events = [event(me, "now_playing", {"n": number, "filling": "x" * 4000}) for number in range(500)]
    assert len(await heard(stage, me, other, events)) == 500
    await asyncio.sleep(2)
    slow.resume()
    for number in range(500):
        message = await slow.until(lambda message: message != PING)
        assert message["payload"]["n"] == number, f"{message['payload']['n']} instead of {number}"
