"""Keeps thousands of clients of all dialects on the gateways for a while, some of whom misbehave, and counts what
arrives.

    soak.py [--connections 5000] [--seconds 60] [--rate 50]

Of the suite in CROSSPOINT_HOME. A fifth of the connections is of each dialect, spread over the gateways and ten
channels. A steady flow of REST calls makes events in all services. One client in twenty misbehaves: never reads what
it asked for, floods, never answers, or sends rubbish. At the end every other client must have got each event of its
channel exactly once and in the order of the service's log; the gateways' memory must have been bounded and must have
come back, and their logs may have no error. Exit status 1 if any of this is not so.
"""

import argparse
import array
import asyncio
import collections
import json
import random
import re
import resource
import secrets
import sys
import time

sys.dont_write_bytecode = True

import edge
import fuzz
from edge import TEXT, frame_bytes
from stage import DIALECTS

CHANNELS = 10
ONE_IN = 20
DIALS_AT_ONCE = 100
READY_MAX = 30
PING_EVERY = 30
# Whoever never reads is over 4 MiB when the system's buffers, of at most as much, are full.
BUSY_OCTETS, BUSY_PER_SECOND, BUSY_ALL = 28_000, 20, 10 << 20
# Of a gateway's memory: so much for each connection and for all of them together.
BYTES_PER_CONNECTION, BYTES_MORE = 64 << 10, 96 << 20

KEY = re.compile(rb"soak-\d+-end|viewer_[0-9a-z]{26}")
READY = {"source-saver": b"subscription:confirmed", "astro": b"successfully subscribed", "wave": b'"subscribed"',
         "airys": b"auth_success"}
EVENTS = {"source-saver": ("obs-bridge", "sources.update"), "astro": ("stream-metrics", "channel.activities"),
          "wave": ("stream-metrics", "viewer.joined"), "grimnir": ("radio-playout", "radio.now_playing"),
          "airys": ("camera-events", "camera.face_detected")}
PINGS = {"source-saver": {"action": "ping", "timestamp": "soak"}, "wave": {"type": "ping", "timestamp": 1},
         "airys": {"type": "ping", "request_id": "soak"}}
PONG = re.compile(rb'"pong"')


class Channel:
    """A channel with a thing of each service, and what makes an event of each."""

    def __init__(self, stage, name):
        self.stage, self.name, self.made = stage, name, 0

    async def make(self):
        """Makes its token and its things."""
        self.token = await self.stage.token(tenant=self.name, ttl=7200)
        size = {"width": 9, "height": 9}
        self.source = await self._make("obs-bridge", "/api/sources", name=self.name, url="https://soak.example", **size)
        self.stream = await self._make("stream-metrics", "/v1/streams", title=self.name, protocol="webrtc")
        await self._ask("POST", "stream-metrics", f"/v1/streams/{self.stream}/start", None, 200)
        self.station = await self._make("radio-playout", "/api/v1/stations", name=self.name)
        self.camera = await self._make("camera-events", "/v1/cameras", name=self.name, source_url="rtsp://soak.example")

    async def _make(self, service, path, **body):
        return (await self._ask("POST", service, path, body, 201)).json["id"]

    async def _ask(self, method, service, path, body, status):
        answer = await self.stage.rest(method, service, path, body, self.token)
        assert answer.status == status, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
        return answer

    async def event(self, dialect):
        """Makes an event that this dialect's clients wait for."""
        self.made += 1
        mark, box = f"soak-{self.made}-end", {"x": 1, "y": 1, "width": 9, "height": 9}
        if dialect == "source-saver":
            body = {"url": f"https://soak.example/{mark}"}
            await self._ask("PUT", "obs-bridge", f"/api/sources/{self.source}", body, 200)
        elif dialect == "astro":
            body = {"type": "tip", "provider": "twitch", "data": {"username": "soak", "message": mark}}
            await self._ask("POST", "stream-metrics", f"/kappa/v2/activities/{self.name}", body, 201)
        elif dialect == "wave":
            await self._ask("POST", "stream-metrics", f"/v1/streams/{self.stream}/viewers", {"country": "DE"}, 201)
        elif dialect == "grimnir":
            body = {"station_id": self.station, "title": mark}
            await self._ask("POST", "radio-playout", "/api/v1/webhooks/track-start", body, 202)
        else:
            body = {"confidence": 0.5, "bounding_box": box, "snapshot_url": f"https://soak.example/{mark}"}
            await self._ask("POST", "camera-events", f"/v1/cameras/{self.camera}/detections", body, 201)

    async def big_event(self):
        """Makes a large event that clients of every dialect may ask for."""
        body = {"station_id": self.station, "title": "busy", "album": "*" * BUSY_OCTETS}
        await self._ask("POST", "radio-playout", "/api/v1/webhooks/track-start", body, 202)

    async def log(self, dialect):
        """The marks of all events of that kind, as the service's log has them."""
        service, kind = EVENTS[dialect]
        marks, after = [], 0
        while True:
            page = (await self._ask("GET", service, f"/v1/events?type={kind}&after={after}&limit=1000", None, 200)).json
            marks += [KEY.search(json.dumps(event["data"]).encode())[0] for event in page["events"]]
            after = page["next"]
            if after is None:
                return marks


class Marks:
    """A number for each mark, so that a client keeps numbers."""

    def __init__(self):
        self.numbers = {}

    def number(self, mark):
        """Its number."""
        return self.numbers.setdefault(mark, len(self.numbers))


def request(dialect, channel, address):
    """The upgrade request of a client of that channel."""
    path = {"source-saver": f"/?token={channel.token}", "astro": "/", "wave": f"/v1/streams?api_key={channel.token}",
            "grimnir": f"/api/v1/events?types=now_playing&token={channel.token}", "airys": "/v1/stream"}[dialect]
    return edge.request_bytes("GET", path, {
        "Host": "soak.example", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13", "X-Forwarded-For": address})


def wishes(dialect, channel, busy=False):
    """What such a client says first."""
    if dialect == "source-saver":
        return [{"action": "subscribe", "events": ["radio:now_playing" if busy else "sources:update"]}]
    if dialect == "astro":
        topic = "radio.now_playing" if busy else "channel.activities"
        return [{"type": "subscribe", "data": {"topic": topic, "token": channel.token, "token_type": "jwt"}}]
    if dialect == "wave":
        wish = ("radio.now_playing", channel.station) if busy else ("viewer.joined", channel.stream)
        return [{"type": "subscribe", "stream_id": wish[1], "events": [wish[0]]}]
    if dialect == "airys":
        login = {"type": "auth", "token": channel.token}
        return [login, {"type": "subscribe", "events": ["radio.now_playing"]}] if busy else [login]
    return []


class Client(asyncio.Protocol):
    """A client that does as little as it may: it reads frames, keeps the marks of events, and answers PINGs."""

    __slots__ = ("dialect", "channel", "marks", "got", "pongs", "asked", "ready", "closed", "_rest", "_transport",
                 "_head")

    def __init__(self, dialect, channel, marks, head):
        self.dialect, self.channel, self.marks, self._head = dialect, channel, marks, head
        self.got, self.pongs, self.asked = array.array("I"), 0, 0
        self.ready, self.closed = asyncio.get_running_loop().create_future(), None
        self._rest = b""

    @classmethod
    async def open(cls, port, *arguments):
        """Connects; done when it gets events. Raises what went wrong."""
        _, self = await asyncio.get_running_loop().create_connection(lambda: cls(*arguments), "127.0.0.1", port)
        async with asyncio.timeout(READY_MAX):
            await self.ready
        return self

    def connection_made(self, transport):
        self._transport = transport
        transport.write(self._head)

    def connection_lost(self, error):
        self.closed = self.closed or (1006, str(error or ""))
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"{self.dialect}: {self.closed} {self._rest[:200]}"))

    def send(self, message):
        """Sends a message."""
        self._transport.write(frame_bytes(TEXT, json.dumps(message).encode()))

    def ask(self):
        """Sends a ping of the dialect, if it has one."""
        if self.dialect in PINGS and self.closed is None:
            self.asked += 1
            self.send(PINGS[self.dialect])

    def end(self):
        """Ends TCP."""
        self._transport.abort()

    def data_received(self, data):
        data = self._rest + data if self._rest else data
        if self._head is not None:
            data = self._upgraded(data)
        self._rest = self._frames(data) if self._head is None else data

    def _upgraded(self, data):
        """What follows the answer to the upgrade."""
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            return data
        if not head.startswith(b"HTTP/1.1 101"):
            self.closed = (0, head.decode(errors="replace"))
            self._transport.abort()
            return data
        self._head = None
        for wish in wishes(self.dialect, self.channel):
            self.send(wish)
        if self.dialect == "grimnir":
            self.ready.set_result(None)
        return rest

    def _frames(self, data):
        """Takes whole frames; what is left."""
        at, size = 0, len(data)
        while size - at >= 2:
            start, length = at + 2, data[at + 1]
            if length > 125:
                start = at + (4 if length == 126 else 10)
                if start > size:
                    break
                length = int.from_bytes(data[at + 2:start], "big")
            if start + length > size:
                break
            self._frame(data[at], data, start, start + length)
            at = start + length
        return data[at:]

    def _frame(self, first, data, start, end):
        if first == 0x81:
            mark = KEY.search(data, start, end)
            if mark:
                self.got.append(self.marks.number(mark[0]))
            elif not self.ready.done():
                if data.find(READY[self.dialect], start, end) >= 0:
                    self.ready.set_result(None)
            elif PONG.search(data, start, end):
                self.pongs += 1
        elif first == 0x89:
            self._transport.write(frame_bytes(edge.PONG, data[start:end]))
        elif first == 0x88:
            self.closed = (int.from_bytes(data[start:start + 2], "big"), data[start + 2:end].decode(errors="replace"))


# Those who misbehave. Their addresses begin with 10.8, so that the gateways' operators' API tells them apart.

class Misbehaving:
    """One client that misbehaves, and comes back when it was thrown out."""

    def __init__(self, soak, kind, dialect, number):
        self.soak, self.kind, self.dialect, self.number = soak, kind, dialect, number
        self.closed = collections.Counter()

    async def live(self):
        """Misbehaves until it is cancelled."""
        while True:
            socket = await self._open()
            if socket is not None:
                try:
                    await getattr(self, f"_{self.kind}")(socket)
                except edge.Closed as closed:
                    self.closed[closed.code] += 1
                finally:
                    await socket.drop()
            await asyncio.sleep(5)

    async def _open(self):
        address = f"10.8{KINDS.index(self.kind)}.{self.number // 250}.{self.number % 250 + 1}"
        head = request(self.dialect, self.soak.busy, address)
        socket = await edge.Socket.connect(self.soak.port(self.dialect, self.number // len(KINDS)), receive_buffer=4096)
        try:
            await socket.raw(head)
            await socket.answer(READY_MAX)
        except (edge.Refused, edge.Closed, TimeoutError) as failure:
            self.closed[f"{failure}"[:40]] += 1
            await socket.drop()
            return None
        return socket

    async def _wish(self, socket):
        for wish in wishes(self.dialect, self.soak.busy, busy=self.kind == "never_reads"):
            await socket.send(wish)

    async def _never_reads(self, socket):
        """Asks for what is busy, and reads nothing more."""
        await self._wish(socket)
        await asyncio.sleep(1)
        socket.pause()
        await asyncio.Event().wait()

    async def _never_answers(self, socket):
        """Says what it wants, and then neither speaks nor answers a PING."""
        await self._wish(socket)
        socket.answers_pings = False
        await socket.closing(timeout=1 << 20)
        raise edge.Closed(*await socket.closing())

    async def _floods(self, socket):
        """Sends 250 messages at once, every five seconds."""
        await self._wish(socket)
        message = PINGS.get(self.dialect, {"type": "unsubscribe", "data": {"topic": "channel.tips"}})
        flood = frame_bytes(TEXT, json.dumps(message).encode()) * 250
        while socket.is_open:
            await socket.raw(flood)
            await asyncio.sleep(5)
            await socket.drained()
        raise edge.Closed(*await socket.closing())

    async def _sends_rubbish(self, socket):
        """Sends frames and messages that are none."""
        chance = random.Random(self.number)
        while socket.is_open:
            await socket.raw(b"".join(fuzz.random_frames(chance, self.dialect, self.soak.busy.token)))
            await asyncio.sleep(1)
            await socket.drained()
        raise edge.Closed(*await socket.closing())


KINDS = ["never_reads", "never_answers", "floods", "sends_rubbish"]


class Soak:
    """One run."""

    def __init__(self, stage, size, seconds, rate):
        self.stage, self.size, self.seconds, self.rate = stage, size, seconds, rate
        self.run = secrets.token_hex(4)
        self.marks, self.clients, self.misbehaving, self.faults = Marks(), [], [], []
        names = [f"gateway-{number + 1}" for number in range(stage.gateways)] if stage.gateways > 1 else ["gateway"]
        self.gateways = [fuzz.Process(name) for name in names]
        self.memory = {gateway.name: [gateway.bytes] for gateway in self.gateways}
        self.turns = asyncio.Semaphore(DIALS_AT_ONCE)
        self.calls = self.busy_octets = self.late = 0

    def port(self, dialect, number):
        """The port of the gateway on which the client of that number is."""
        return self.stage.port(dialect, number % self.stage.gateways)

    async def prepare(self):
        """Makes the channels and connects everybody."""
        self.channels = [Channel(self.stage, f"soak-{self.run}-{number}") for number in range(CHANNELS)]
        self.busy = Channel(self.stage, f"soak-{self.run}-busy")
        for channel in [*self.channels, self.busy]:
            await channel.make()
        each = self.size // len(DIALECTS)
        async with asyncio.TaskGroup() as group:
            for dialect in DIALECTS:
                for number in range(each - each // ONE_IN):
                    group.create_task(self._connect(dialect, number))
        self.misbehaving = [Misbehaving(self, KINDS[number % len(KINDS)], dialect, number)
                            for dialect in DIALECTS for number in range(each // ONE_IN)]

    async def _connect(self, dialect, number):
        channel = self.channels[number // self.stage.gateways % CHANNELS]
        address = f"10.{70 + DIALECTS.index(dialect)}.{number // 250}.{number % 250 + 1}"
        async with self.turns:
            try:
                self.clients.append(await Client.open(
                    self.port(dialect, number), dialect, channel, self.marks, request(dialect, channel, address)))
            except (OSError, TimeoutError) as failure:
                self.faults.append(f"a well-behaved client was not let in: {failure!r}")

    async def flow(self, until):
        """Makes events at a steady rate until that moment, a channel and a dialect after the other."""
        began, tasks = time.monotonic(), set()
        while (now := time.monotonic()) < until:
            if self.calls > (now - began) * self.rate:
                await asyncio.sleep(0.005)
                continue
            dialect = DIALECTS[self.calls % len(DIALECTS)]
            channel = self.channels[self.calls // len(DIALECTS) % CHANNELS]
            self.calls += 1
            task = asyncio.create_task(self._call(channel.event(dialect)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def busy_flow(self, until):
        """Makes large events in the busy channel until that moment, or until they are enough."""
        while time.monotonic() < until and self.busy_octets < BUSY_ALL:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(4 / BUSY_PER_SECOND))
                for _ in range(4):
                    group.create_task(self._call(self.busy.big_event()))
            self.busy_octets += 4 * BUSY_OCTETS

    async def _call(self, call):
        try:
            await call
        except (AssertionError, OSError, TimeoutError, edge.Closed) as failure:
            self.faults.append(f"a REST call failed: {failure!r}")

    async def ping_all(self, until):
        """Has every client send its dialect's ping every 30 seconds, evenly spread."""
        number = 0
        while time.monotonic() < until and self.clients:
            for client in self.clients[number::PING_EVERY * 10]:
                client.ask()
            number = (number + 1) % (PING_EVERY * 10)
            await asyncio.sleep(0.1)

    async def watch(self):
        """Looks every second at the gateways' memory, and at how late this process itself is, until it is cancelled."""
        due = time.monotonic()
        while True:
            self.late = max(self.late, time.monotonic() - due)
            due = time.monotonic() + 1
            for gateway in self.gateways:
                if not gateway.is_alive:
                    self.faults.append(f"{gateway.name} is gone: {gateway.errors()[-3:]}")
                    return
                self.memory[gateway.name].append(gateway.bytes)
            await asyncio.sleep(1)

    async def play(self):
        """The run; returns what is wrong."""
        began = time.monotonic()
        await self.prepare()
        print(f"{len(self.clients)} clients and {len(self.misbehaving)} misbehaving ones, "
              f"after {time.monotonic() - began:.0f} s; memory {self.figures()}", flush=True)
        slow_before = await self.slow_clients()
        tasks = [asyncio.create_task(each.live()) for each in self.misbehaving] + [asyncio.create_task(self.watch())]
        until = time.monotonic() + self.seconds
        await asyncio.gather(self.flow(until), self.busy_flow(until), self.ping_all(until))
        await self.settle()
        await self.judge_misbehaving(slow_before)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await fuzz.calm(self.only_the_good_are_left, 30)
        print(f"memory without the misbehaving ones {self.figures()}", flush=True)
        self.judge_memory("without the misbehaving ones")
        await self.judge_clients()
        await self.leave()
        self.faults += [f"in {gateway.name}'s log: {line}" for gateway in self.gateways for line in gateway.errors()]
        return self.faults

    async def settle(self):
        """Waits for what is still under way."""
        self.expected = {}
        for channel in self.channels:
            for dialect in DIALECTS:
                self.expected[channel, dialect] = array.array("I", map(self.marks.number, await channel.log(dialect)))

        async def has_all():
            return all(len(client.got) >= len(self.expected[client.channel, client.dialect])
                       and client.pongs >= client.asked for client in self.clients if client.closed is None)
        await fuzz.calm(has_all, 20)

    async def judge_clients(self):
        """Compares what each well-behaved client got with the logs."""
        for client in self.clients:
            expected = self.expected[client.channel, client.dialect]
            if client.closed is not None:
                self.faults.append(f"a well-behaved client of {client.dialect} was closed: {client.closed}")
            elif client.got != expected:
                self.faults.append(f"a client of {client.dialect} {difference(client.got, expected)}")
            elif client.pongs != client.asked:
                self.faults.append(f"a client of {client.dialect} got {client.pongs} pongs for {client.asked} pings")
        deliveries = sum(len(client.got) for client in self.clients)
        events, pongs = sum(map(len, self.expected.values())), sum(client.pongs for client in self.clients)
        print(f"{self.calls} REST calls made {events} events, delivered {deliveries} times; {pongs} pongs")

    async def judge_misbehaving(self, slow_before):
        """Prints what became of them; those who do not read must have been closed once there was time for it."""
        for kind in KINDS:
            those = [each for each in self.misbehaving if each.kind == kind]
            closed = sum((each.closed for each in those), collections.Counter())
            print(f"  {kind}: {len(those)} clients, closed: {dict(closed) or 'none that hears it'}")
        slow = await self.slow_clients() - slow_before
        print(f"  closed as too slow: {slow:.0f}")
        never_read = sum(each.kind == "never_reads" for each in self.misbehaving)
        if self.busy_octets < BUSY_ALL:
            print("  (too few large events to tell whether those who never read are closed)")
        elif slow < never_read:
            self.faults.append(f"of {never_read} clients that never read only {slow:.0f} were closed as too slow")
        if self.seconds >= 100:
            left = [each for each in await self.connections() if each["address"].startswith("10.81.")]
            if left:
                self.faults.append(f"{len(left)} clients that never answer are still there")

    async def slow_clients(self):
        """How many the gateways have closed as too slow since their start."""
        count = 0
        for gateway in range(self.stage.gateways):
            text = (await self.stage.rest("GET", self.stage.operators(gateway), "/metrics")).body.decode()
            count += sum(map(float, re.findall(r"^gateway_slow_clients_total\S* (\S+)$", text, re.M)))
        return count

    async def connections(self):
        """Who the gateways say is connected."""
        listed = [await self.stage.connections(gateway) for gateway in range(self.stage.gateways)]
        return [each for one in listed for each in one["connections"]]

    async def only_the_good_are_left(self):
        """Whether the misbehaving ones have gone."""
        return not any(re.match(r"10\.8\d\.", each["address"]) for each in await self.connections())

    def judge_memory(self, when):
        """The gateways' memory now must be what the connections need, and have been never much more."""
        for gateway in self.gateways:
            first, peak, now = self.memory[gateway.name][0], max(self.memory[gateway.name]), gateway.bytes
            bound = first + BYTES_MORE + BYTES_PER_CONNECTION * (self.size // self.stage.gateways)
            if peak > bound:
                self.faults.append(f"{gateway.name} had {peak >> 20} MiB, more than {bound >> 20}")
            if now > first + BYTES_MORE + BYTES_PER_CONNECTION * (self.size // self.stage.gateways) // 2:
                self.faults.append(f"{gateway.name} has {now >> 20} MiB {when}, {first >> 20} at the beginning")

    async def leave(self):
        """Ends all connections; the gateways must be rid of them."""
        for client in self.clients:
            client.end()

        async def nobody_left():
            return not any(re.match(r"10\.[78]\d\.", each["address"]) for each in await self.connections())
        if not await fuzz.calm(nobody_left, 20):
            self.faults.append("connections are left on the gateways after all have gone")
        print(f"memory at the end {self.figures()}")

    def figures(self):
        """The gateways' memory: at the beginning, at most, now."""
        said = [f"{gateway.name} {self.memory[gateway.name][0] >> 20}/{max(self.memory[gateway.name]) >> 20}"
                f"/{gateway.bytes >> 20}" for gateway in self.gateways]
        return ", ".join(said) + " MiB (first/most/now)"


def difference(got, expected):
    """In words, how what came differs from what should have."""
    counts = collections.Counter(got)
    lost = [number for number in expected if number not in counts]
    twice = [number for number, count in counts.items() if count > 1]
    foreign = [number for number in counts if number not in set(expected)]
    if lost or twice or foreign:
        first = f" (the first is number {expected.index(lost[0])})" if lost else ""
        return (f"lost {len(lost)} of {len(expected)} events{first}, got {len(twice)} more than once "
                f"and {len(foreign)} that are not its own")
    return "got its events in another order"


async def main():
    """0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description="Keeps thousands of clients connected and counts what arrives.")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="REST calls a second, all together")
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stage = fuzz.suite()
    soak = Soak(stage, given.connections, given.seconds, given.rate)
    try:
        faults = await soak.play()
    finally:
        await stage.end()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"the clients took {used.ru_utime + used.ru_stime:.0f} s of processor, and were late by {soak.late:.1f} s "
          f"at most")
    for fault in faults[:40]:
        print(f"WRONG: {fault}")
    print(f"{len(faults)} faults" if faults else "nothing wrong")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
