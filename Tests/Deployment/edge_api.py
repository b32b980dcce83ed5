"""The edge as its users see it: REST at HAProxy, and one client of each dialect."""

import asyncio
import json
import urllib.error
import urllib.request

import websockets

PORTS = {"source-saver": 3000, "astro": 3001, "wave": 3002, "grimnir": 3003, "airys": 3004}


class Edge:
    """HAProxy at an address; `token` opens everything, `key` is an API key."""

    def __init__(self, host, token, key):
        self.host, self.token, self.key = host, token, key

    async def rest(self, method, path, body=None, port=3000):
        """Asks a path at the edge; returns the answer's JSON, raises where it is no success."""
        return await asyncio.to_thread(self._rest, method, path, body, port)

    def _rest(self, method, path, body, port):
        request = urllib.request.Request(f"http://{self.host}:{port}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            raise RuntimeError(f"{method} {path}: {refusal.code} {refusal.read()[:300]!r}") from None

    def connect(self, dialect, path="/", source=None):
        """A client of a dialect, as `websockets` makes it; `source` is the address that it comes from."""
        more = {"local_addr": (source, 0)} if source else {}
        return websockets.connect(f"ws://{self.host}:{PORTS[dialect]}{path}", max_size=2**24, open_timeout=20,
                                  ping_interval=None, **more)


async def until(socket, fits, seconds=20):
    """The first message that fits."""
    async with asyncio.timeout(seconds):
        while True:
            message = json.loads(await socket.recv())
            if fits(message):
                return message


async def say(socket, message):
    """Sends one message."""
    await socket.send(json.dumps(message))


async def source_saver(edge, name):
    """A source that is made is told."""
    async with edge.connect("source-saver", f"/?token={edge.token}") as socket:
        await say(socket, {"action": "subscribe", "events": ["sources:*"]})
        await until(socket, lambda each: each["event"] == "subscription:confirmed")
        await edge.rest("POST", "/api/sources",
                        {"name": name, "url": "https://example.com", "width": 800, "height": 600}, PORTS["source-saver"])
        created = await until(socket, lambda each: each["event"] == "sources:create")
        assert created["data"]["source"]["name"] == name, created


async def astro(edge, name):
    """An activity is told."""
    async with edge.connect("astro") as socket:
        await subscribe(socket, edge.token)
        await edge.rest("POST", "/kappa/v2/activities/default",
                        {"type": "follow", "provider": "twitch", "data": {"username": name}}, PORTS["astro"])
        heard = await until(socket, lambda each: each["type"] == "message")
        assert heard["data"]["data"]["username"] == name, heard


async def wave(edge, name):
    """A stream's start is told, and a chat line of the client's own."""
    made = await edge.rest("POST", "/v1/streams", {"title": name, "protocol": "rtmp"}, PORTS["wave"])
    async with edge.connect("wave", f"/v1/streams?api_key={edge.key}") as socket:
        await say(socket, {"type": "subscribe", "stream_id": made["id"]})
        await until(socket, lambda each: each["type"] == "subscribed")
        await edge.rest("POST", f"/v1/streams/{made['id']}/start", port=PORTS["wave"])
        await until(socket, lambda each: each["type"] == "stream.started")
        await say(socket, {"type": "chat.message", "stream_id": made["id"], "message": "hello"})
        chat = await until(socket, lambda each: each["type"] == "chat.message")
        assert chat["payload"]["message"] == "hello", chat


async def grimnir(edge, name):
    """What a station puts on air is told."""
    made = await edge.rest("POST", "/api/v1/stations", {"name": name}, PORTS["grimnir"])
    async with edge.connect("grimnir", f"/api/v1/events?types=now_playing&token={edge.token}") as socket:
        # This dialect says nothing at the start: a first answer to a ping shows that it listens.
        await (await socket.ping())
        await edge.rest("POST", "/api/v1/webhooks/track-start", {"station_id": made["id"], "title": "Song"},
                        PORTS["grimnir"])
        playing = await until(socket, lambda each: each["type"] == "now_playing")
        assert playing["payload"]["title"] == "Song", playing


async def airys(edge, name):
    """A face is told."""
    made = await edge.rest("POST", "/v1/cameras", {"name": name, "source_url": "rtsp://192.0.2.1/door"}, PORTS["airys"])
    async with edge.connect("airys", "/v1/stream") as socket:
        await say(socket, {"type": "auth", "token": edge.token})
        await until(socket, lambda each: each["type"] == "auth_success")
        await edge.rest("POST", f"/v1/cameras/{made['id']}/detections",
                        {"confidence": 0.9, "bounding_box": {"x": 1, "y": 2, "width": 3, "height": 4}}, PORTS["airys"])
        face = await until(socket, lambda each: each["type"] == "face_detected")
        assert face["data"]["camera_id"] == made["id"], face


async def subscribe(socket, token):
    """Subscribes an Astro client to the activities of the token's channel."""
    await until(socket, lambda each: each["type"] == "welcome")
    await say(socket, {"type": "subscribe", "nonce": "n",
                       "data": {"topic": "channel.activities", "token": token, "token_type": "jwt"}})
    answer = await until(socket, lambda each: each["type"] == "response")
    assert "error" not in answer, answer


DIALECTS = (source_saver, astro, wave, grimnir, airys)
