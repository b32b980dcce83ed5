"""Throws rubbish at one gateway for a while and looks at what becomes of it.

    fuzz.py [--seconds 20] [--seed N] [--attack NUMBER] [--gateway 0]

Of the suite in CROSSPOINT_HOME. An attack is made from the seed and its number alone, so `--attack` plays one again.
Meanwhile a well-behaved client of each dialect must be served, and /healthz must answer within two seconds. Every
connection that is attacked must be answered or ended in time; at the end descriptors and memory must be what they
were, nothing may be left of the attackers' connections, and the gateway's log may have no error. Exit status 1 if
any of this is not so.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

import edge
from edge import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame_bytes
from stage import DIALECTS, Stage

HOME = pathlib.Path(os.environ.get("CROSSPOINT_HOME", pathlib.Path(__file__).resolve().parents[2] / ".crosspoint"))
AT_ONCE = 24
ANSWER_MAX = 8
HEALTH_MAX = 2
WORSE = re.compile('"level":"(error|critical)"')
MORE_DESCRIPTORS = 4
MORE_BYTES = 48 << 20


class Process:
    """A running process of the suite, as the system and its log show it."""

    def __init__(self, name):
        self.name = name
        self.pid = int((HOME / "run" / f"{name}.pid").read_text().split()[0])
        self._log = HOME / "logs" / f"{name}.log"
        self._seen = self._log.stat().st_size

    @property
    def is_alive(self):
        """Whether it runs, and is no mere remains."""
        try:
            return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    @property
    def descriptors(self):
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def bytes(self):
        """Its memory that is in RAM."""
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def errors(self):
        """The lines of its log, since it was first looked at, of the levels error and critical or of no level."""
        with open(self._log, "rb") as log:
            log.seek(self._seen)
            lines = log.read().decode(errors="replace").splitlines()
        return [line[:500] for line in lines if not line.startswith("{") or WORSE.search(line)]


def suite():
    """The suite that runs: its stage."""
    base, gateways = map(int, (HOME / "run" / "suite").read_text().split()[:2])
    return Stage(base, (HOME / "owner.key").read_text().strip(), os.environ.get("CROSSPOINT_BIN_DIR", ""), gateways)


class Socket(edge.Socket):
    """A client that also ends in ways that no library offers."""

    async def half_close(self):
        """Says that nothing more will be sent, and goes on to listen."""
        self.answers_pings = self.answers_close = False
        if self.is_open:
            # The other side may have ended TCP a moment ago.
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    def _take_close(self, payload):
        # The reason that comes back may be cut within a character, as ours was.
        super()._take_close(payload[:2] + payload[2:].decode(errors="replace").encode())

    async def reset(self):
        """Ends TCP with a RST, unless it has ended."""
        if self._lost:
            return
        bare = self._transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.drop()


# What is good, to be spoilt

MESSAGES = {
    "source-saver": [
        {"action": "ping", "timestamp": "2026-01-01T00:00:00.000Z"},
        {"action": "subscribe", "events": ["sources:*", "obs:sceneChanged"]},
        {"action": "unsubscribe", "events": ["sources:*"]}],
    "astro": [
        {"type": "subscribe", "nonce": "n",
         "data": {"topic": "channel.tips", "room": "", "token": "TOKEN", "token_type": "jwt"}},
        {"type": "unsubscribe", "nonce": "n", "data": {"topic": "channel.tips", "room": "r"}}],
    "wave": [
        {"type": "subscribe", "stream_id": "stream_x", "events": ["stream.started", "chat.message"]},
        {"type": "subscribe", "stream_id": "r", "events": ["performance.update"]}, {"type": "ping", "timestamp": 1},
        {"type": "unsubscribe", "stream_id": "stream_x"},
        {"type": "chat.message", "stream_id": "stream_x", "message": "hello"},
        {"type": "reaction.sent", "payload": {"stream_id": "stream_x", "reaction": "🎉"}}],
    "grimnir": [{"type": "pong"}],
    "airys": [
        {"type": "auth", "token": "TOKEN"}, {"type": "ping", "timestamp": 1645678900, "request_id": "r"},
        {"type": "subscribe", "events": ["face_detected", "*"], "camera_ids": ["cam_x"]},
        {"type": "unsubscribe", "events": ["metrics"]},
        {"type": "stream_control", "action": "set_quality", "camera_id": "cam_x",
         "settings": {"width": 640, "frame_rate": 30}},
        {"type": "chunk", "id": "c", "seq": 0, "total": 2, "data": "eyJ0eXBlIjoicGluZyJ9"}],
}
PATHS = {"source-saver": "/", "astro": "/", "wave": "/v1/streams?api_key=TOKEN",
         "grimnir": "/api/v1/events?types=health&token=TOKEN", "airys": "/v1/stream?token=TOKEN"}
ODD_VALUES = [None, True, False, 0, -1, 1.5, 1e308, 2**63, -2**63 - 1, "", "*", "\0", "\ud800", "__proto__", "x" * 5000,
              [], {}, [[]], ["*"] * 200, {"": {}}]
ODD_BYTES = [b"", b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf4\x90\x80\x80", b"{", b"}",
             b"[" * 3000, b'"', b"\\u", b"\\ud800", b"1e999", b"\r\n", b"//", b"," * 100]
ODD_NAMES = ["", "type", "action", "data", "payload", "__proto__"]


def spoilt_value(chance, value):
    """A JSON value with something else in it."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        action = chance.random()
        if action < 0.15:
            return {name: each for name, each in value.items() if name != key}
        if action < 0.3:
            return value | {chance.choice([*ODD_NAMES, key.upper()]): chance.choice(ODD_VALUES)}
        return value | {key: spoilt_value(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.6:
        return [*value, spoilt_value(chance, value[0])] if chance.random() < 0.5 else value * chance.randrange(2, 300)
    return chance.choice(ODD_VALUES)


def spoilt_bytes(chance, data):
    """The bytes with a few changes."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        action = chance.randrange(5)
        if action == 0 and data:
            data[min(start, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif action == 1:
            del data[start:end]
        elif action == 2:
            data[start:start] = chance.choice(ODD_BYTES)
        elif action == 3:
            data[start:start] = data[start:end] * chance.randrange(1, 20)
        else:
            data[start:end] = chance.randbytes(min(end - start, 64))
    return bytes(data)


def spoilt_message(chance, dialect, token):
    """A message that is nearly good, as bytes."""
    message = chance.choice(MESSAGES[dialect])
    if chance.random() < 0.6:
        message = spoilt_value(chance, message)
    text = json.dumps(message, ensure_ascii=chance.random() < 0.5).replace("TOKEN", token)
    text = text.encode(errors="surrogatepass")
    text = spoilt_bytes(chance, text) if chance.random() < 0.6 else text
    return text if chance.random() < 0.1 else text.decode(errors="replace").encode()


def good_head(dialect, token, address):
    """The head of an upgrade request, which comes from that address."""
    return edge.request_bytes("GET", PATHS[dialect].replace("TOKEN", token), {
        "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13", "X-Forwarded-For": edge.coming_from(address)[1]})


def random_frames(chance, dialect, token):
    """Frames of any kind, whole ones, each as long as it says."""
    frames = []
    for _ in range(chance.randrange(1, 12)):
        payload = chance.choice([b"", chance.randbytes(chance.randrange(200)), spoilt_message(chance, dialect, token)])
        opcode = chance.choice([TEXT] * 4 + [CONTINUATION] * 2 + [BINARY, PING, PONG, CLOSE, chance.randrange(16)])
        if opcode >= CLOSE:
            payload = payload[:chance.choice([125, 125, 125, 130])]
        rsv = 0 if chance.random() < 0.9 else chance.randrange(8)
        frames.append(frame_bytes(opcode, payload, chance.random() < 0.7, rsv, mask=chance.random() < 0.97))
    return frames


def cut(chance, data):
    """The data in pieces of any size."""
    pieces, start = [], 0
    while start < len(data) and len(pieces) < 200:
        size = chance.choice([1, 2, chance.randrange(1, 50), chance.randrange(1, 2000)])
        pieces.append(data[start:start + size])
        start += size
    return pieces + [data[start:]]


# Attacks: what is sent, and how it ends. `settled`: the gateway knows where the last frame ended, so it must answer.

Attack = collections.namedtuple("Attack", "kind dialect before pieces pause end settled")
KINDS = ["head", "head", "message", "message", "message", "frames", "frames", "garbage", "cut off", "flood", "silence"]


def address_of(dialect, number):
    """Where the attack of that number comes from: Source Saver's clients need no credential on this machine."""
    return f"{127 if dialect == 'source-saver' else 10}.66.{number // 250 % 250}.{number % 250 + 1}"


def attack(seed, number, token):
    """The attack of that number."""
    chance = random.Random(f"{seed}-{number}")
    kind, dialect = chance.choice(KINDS), chance.choice(DIALECTS)
    head = good_head(dialect, token, address_of(dialect, number))
    pause = chance.choice([0, 0, 0.001, 0.02])
    if kind == "head":
        data = spoilt_bytes(chance, head) if chance.random() < 0.8 else chance.randbytes(chance.randrange(1, 3000))
        end = chance.choice(["half-close", "wait", "wait", "reset"])
        return Attack(kind, dialect, b"", cut(chance, data), pause, end, False)
    if kind == "message":
        frames = [frame_bytes(TEXT, spoilt_message(chance, dialect, token)) for _ in range(chance.randrange(1, 6))]
        end = chance.choice(["close", "drop", "reset", "half-close"])
        return Attack(kind, dialect, head, cut(chance, b"".join(frames)), pause, end, True)
    if kind == "frames":
        end = chance.choice(["drop", "reset", "half-close"])
        return Attack(kind, dialect, head, random_frames(chance, dialect, token), pause, end, True)
    if kind == "garbage":
        data = chance.randbytes(chance.randrange(1, 20000))
        return Attack(kind, dialect, head, cut(chance, data), 0, chance.choice(["half-close", "reset"]), False)
    if kind == "cut off":
        data = b"".join(frame_bytes(TEXT, spoilt_message(chance, dialect, token)) for _ in range(3))
        pieces = cut(chance, data[:chance.randrange(1, len(data))])
        return Attack(kind, dialect, head, pieces, pause, chance.choice(["half-close", "reset", "drop"]), False)
    if kind == "flood":
        one = frame_bytes(TEXT, spoilt_message(chance, dialect, token)[:300].decode(errors="replace").encode())
        return Attack(kind, dialect, head, [one * 250], 0, chance.choice(["close", "drop", "reset"]), True)
    return Attack(kind, dialect, head, [], 0, chance.choice(["close", "drop", "reset", "half-close"]), True)


async def play(each, port, source=None):
    """Plays an attack, from an address of this machine; returns what became of it. Raises TimeoutError for a connection that hangs."""
    client = await Socket.connect(port, source=source)
    try:
        if each.before and not await answered(client, each):
            return "refused"
        for piece in each.pieces:
            if not client.is_open:
                break
            await client.raw(piece)
            await asyncio.sleep(each.pause)
        if not each.before:
            return await end_of_head(client, each)
        if each.settled and client.is_open:
            await settled(client)
        return await ended(client, each)
    except edge.Closed:
        return "ended"
    finally:
        await client.drop()


async def answered(client, each):
    """Upgrades; whether it was let in."""
    await client.raw(each.before)
    try:
        await client.answer(ANSWER_MAX)
        return True
    except edge.Refused:
        return False


async def end_of_head(client, each):
    """A head is answered with a status, whatever it is, or the connection ends."""
    if each.end == "reset":
        await client.reset()
        return "reset"
    if each.end == "half-close":
        await client.half_close()
    try:
        await client.answer(ANSWER_MAX)
        return "101"
    except edge.Refused as refusal:
        return str(refusal.status)


async def settled(client):
    """A connection answers a PING, or it is closed. libwebsockets passes over a PING that comes while the PONG for an
    earlier one waits: hence a second one."""
    for last in (False, True):
        try:
            return await client.echo(ANSWER_MAX / 2)
        except edge.Closed:
            return
        except TimeoutError:
            if last:
                raise


async def ended(client, each):
    """Ends the connection; one that was not ended by force must be ended by the gateway, too."""
    if not client.is_open:
        code, _ = await client.closing()
        await client.ended(ANSWER_MAX)
        return str(code)
    if each.end == "close":
        await client.close(1000)
    elif each.end == "half-close":
        await client.half_close()
    else:
        await (client.reset() if each.end == "reset" else client.drop())
        return each.end
    await client.ended(ANSWER_MAX)
    return each.end


# Those who behave

class Citizen:
    """A client of one dialect that must be served all the time."""

    questions = {
        "source-saver": lambda n: {"action": "ping", "timestamp": f"{n}"},
        "astro": lambda n: {"type": "unsubscribe", "nonce": f"{n}", "data": {"topic": "channel.tips"}},
        "wave": lambda n: {"type": "ping", "timestamp": n},
        "airys": lambda n: {"type": "ping", "request_id": f"{n}"},
    }
    answers = {
        "source-saver": lambda message, n: message["data"].get("clientTimestamp") == f"{n}",
        "astro": lambda message, n: message.get("nonce") == f"{n}" and "error" not in message,
        "wave": lambda message, n: message["payload"].get("timestamp") == n,
        "airys": lambda message, n: message["data"].get("request_id") == f"{n}",
    }

    def __init__(self, stage, dialect, gateway, token, station):
        self.stage, self.dialect, self.gateway, self.token, self.station = stage, dialect, gateway, token, station
        self.worst = self.served = 0

    async def open(self):
        """Connects."""
        path = PATHS[self.dialect].replace("TOKEN", self.token).replace("types=health", "types=now_playing")
        address = "127.55.0.1" if self.dialect == "source-saver" else "10.55.0.1"
        self.socket = await edge.Socket.open(self.stage.port(self.dialect, self.gateway), path, address=address)

    async def live(self, until):
        """Asks, and asks again, until that moment."""
        number = 0
        while time.monotonic() < until:
            number, began = number + 1, time.monotonic()
            await (self.event(number) if self.dialect == "grimnir" else self.question(number))
            self.worst, self.served = max(self.worst, time.monotonic() - began), self.served + 1
            await asyncio.sleep(0.25)

    async def question(self, number):
        """A question and its answer."""
        await self.socket.send(self.questions[self.dialect](number))
        await self.socket.until(lambda message: self.answers[self.dialect](message, number), timeout=5)

    async def event(self, number):
        """An event of the client's station, from its REST call to the client. Grimnir has no questions."""
        answer = await self.stage.rest("POST", "radio-playout", "/api/v1/webhooks/track-start",
                                       {"station_id": self.station, "title": f"{number}"}, self.token)
        assert answer.status == 202, f"track-start: {answer.status} {answer.body[:200]!r}"
        message = await self.socket.until(lambda message: message["type"] == "now_playing", timeout=5)
        assert message["payload"]["title"] == f"{number}", f"not number {number}: {message}"


async def watch_health(stage, gateway, until, faults):
    """Asks /healthz all the time; returns the longest wait."""
    worst = 0
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            async with asyncio.timeout(HEALTH_MAX):
                answer = await stage.rest("GET", stage.operators(gateway), "/healthz")
            if answer.status != 200:
                faults.append(f"/healthz: {answer.status}")
        except (TimeoutError, OSError, edge.Closed) as failure:
            faults.append(f"/healthz: {failure!r} after {time.monotonic() - began:.1f} s")
        worst = max(worst, time.monotonic() - began)
        await asyncio.sleep(0.2)
    return worst


class Run:
    """One run of the fuzzer."""

    def __init__(self, stage, gateway, seed, token):
        self.stage, self.gateway, self.seed, self.token = stage, gateway, seed, token
        self.next, self.faults, self.outcomes = 0, [], collections.Counter()

    async def attack_until(self, until):
        """Plays one attack after the other."""
        while time.monotonic() < until:
            self.next += 1
            await self.attack(self.next)

    async def attack(self, number):
        """Plays the attack of that number, and notes what became of it."""
        each = attack(self.seed, number, self.token)
        try:
            source, _ = edge.coming_from(address_of(each.dialect, number))
            outcome = await play(each, self.stage.port(each.dialect, self.gateway), source)
        except TimeoutError as failure:
            outcome = "HUNG"
            self.faults.append(f"attack {number} hangs ({each.kind}, {each.dialect}, {each.end}): {failure}")
        except Exception as failure:
            outcome = "FAILED"
            self.faults.append(f"attack {number} ({each.kind}, {each.dialect}): {failure!r}")
        self.outcomes[each.kind, outcome] += 1

    async def live(self, citizen, until):
        """Lets a well-behaved client live, and notes what it misses."""
        try:
            await citizen.live(until)
        except Exception as failure:
            self.faults.append(f"{citizen.dialect}'s good client, after {citizen.served} answers: {failure!r}")

    async def left_over(self):
        """Attackers' connections that the gateway still has."""
        listed = await self.stage.connections(self.gateway)
        return [each for each in listed["connections"] if each["address"].split(".")[1] == "66"]


async def calm(condition, seconds=20):
    """Waits until it is so, at most that long; whether it is."""
    until = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.25)
    return True


async def fuzz(stage, given):
    """The run; returns what is wrong."""
    process = Process(f"gateway-{given.gateway + 1}" if stage.gateways > 1 else "gateway")
    token = await stage.token(tenant=f"fuzz-{given.seed}", ttl=3600)
    station = await stage.rest("POST", "radio-playout", "/api/v1/stations", {"name": f"Fuzz {time.time()}"}, token)
    run = Run(stage, given.gateway, given.seed, token)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: run.faults.append(f"the client: {context}"))
    if given.attack:
        print(attack(given.seed, given.attack, token))
        await run.attack(given.attack)
        print(run.outcomes)
        return run.faults + process.errors()

    citizens = [Citizen(stage, dialect, given.gateway, token, station.json["id"]) for dialect in DIALECTS]
    for citizen in citizens:
        await citizen.open()
    await run.attack(0)
    until = time.monotonic() + given.seconds
    before, bytes_before = process.descriptors, process.bytes
    async with asyncio.TaskGroup() as group:
        health = group.create_task(watch_health(stage, given.gateway, until + 1, run.faults))
        for citizen in citizens:
            group.create_task(run.live(citizen, until + 1))
        for _ in range(AT_ONCE):
            group.create_task(run.attack_until(until))

    async def is_calm():
        return process.is_alive and process.descriptors <= before + MORE_DESCRIPTORS and not await run.left_over()
    faults = run.faults
    if not process.is_alive:
        return faults + [f"the gateway is gone: {process.errors()[-3:]}"]
    if not await calm(is_calm):
        faults.append(f"{process.descriptors} descriptors, {before} before; left: {await run.left_over()}")
    if process.bytes > bytes_before + MORE_BYTES:
        faults.append(f"{process.bytes >> 20} MiB of memory, {bytes_before >> 20} before")
    faults += [f"in the log: {line}" for line in process.errors()]
    report(run, citizens, health.result(), process, before, bytes_before)
    return faults


def report(run, citizens, worst, process, descriptors, memory):
    """Prints what happened."""
    print(f"{run.next} attacks")
    for kind in dict.fromkeys(KINDS):
        outcomes = sorted((outcome, count) for (own, outcome), count in run.outcomes.items() if own == kind)
        print(f"  {kind:<8}", ", ".join(f"{outcome} {count}" for outcome, count in outcomes))
    for citizen in citizens:
        slowest = f"the slowest after {citizen.worst * 1000:.0f} ms"
        print(f"  {citizen.dialect}'s good client: {citizen.served} answers, {slowest}")
    print(f"  /healthz: the slowest after {worst * 1000:.0f} ms")
    print(f"  descriptors {descriptors} → {process.descriptors}, memory {memory >> 20} → {process.bytes >> 20} MiB")


async def main():
    """0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description="Throws rubbish at one gateway.")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--attack", type=int, help="play only this one")
    parser.add_argument("--gateway", type=int, default=0)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    stage = suite()
    try:
        faults = await fuzz(stage, given)
    finally:
        await stage.end()
    for fault in faults[:50]:
        print(f"WRONG: {fault}")
    print(f"{len(faults)} faults (seed {given.seed})" if faults else "nothing wrong")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
