"""Moves thousands of Astro clients from one gateway to the next and back, as a rolling restart does, while events are written.

    herd.py [--clients 10000] [--runs 1] [--rate 2] [--busy]

Of the suite in CROSSPOINT_HOME. Each run starts two gateways of its own, with half of the clients on each, and replaces one
after the other: it gets SIGTERM, its clients go to the other with their reconnect tokens, all at once, and it is started
anew. A client opens its new connection, and closes the old one when it is welcome. Every event that was acknowledged must
come to each client. With --busy other programs keep all processors at work meanwhile. Exit status 1 if anything was lost.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import edge
import fuzz
from edge import TEXT, frame_bytes
from stage import home

DIALS_AT_ONCE = 200
READY_MAX = 60
SETTLE_MAX = 60

NUMBER = re.compile(rb'"herd-(\d+)-end"')
TOKEN = re.compile(rb'"reconnect_token" *: *"([^"]+)"')


class Connection(asyncio.Protocol):
    """One connection of a client."""

    __slots__ = ("client", "ready", "closed", "_transport", "_head", "_rest", "_subscribes")

    def __init__(self, client, token):
        self.client, self._subscribes = client, token is None
        self.ready, self.closed = asyncio.get_running_loop().create_future(), None
        path = "/" if token is None else f"/?reconnect_token={token}"
        self._head = edge.request_bytes("GET", path, {
            "Host": "herd.example", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
            "X-Forwarded-For": client.address})
        self._rest = b""

    def connection_made(self, transport):
        self._transport = transport
        transport.write(self._head)

    def connection_lost(self, error):
        self.closed = self.closed or (1006, str(error or ""))
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"{self.closed}"))
        self.client.ended(self)

    def close(self):
        """Says goodbye, and ends TCP when that has been answered."""
        self._transport.write(frame_bytes(8, (1000).to_bytes(2, "big")))

    def drop(self):
        """Ends TCP."""
        self._transport.abort()

    def data_received(self, data):
        data = self._rest + data if self._rest else data
        if self._head is not None:
            head, separator, rest = data.partition(b"\r\n\r\n")
            if not separator:
                self._rest = data
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.closed = (int(head.split(b" ")[1]), "refused")
                self._transport.abort()
                return
            self._head, data = None, rest
        self._rest = self._frames(data)

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
            if number := NUMBER.search(data, start, end):
                self.client.got[int(number[1])] += 1
            elif token := TOKEN.search(data, start, end):
                self.client.move(self, token[1].decode())
            elif not self.ready.done():
                self._begin(data[start:end])
        elif first == 0x89:
            self._transport.write(frame_bytes(edge.PONG, data[start:end]))
        elif first == 0x88:
            self.closed = (int.from_bytes(data[start:start + 2], "big"), data[start + 2:end].decode(errors="replace"))
            self._transport.close()

    def _begin(self, message):
        if b'"type":"welcome"' in message:
            if not self._subscribes:
                self.ready.set_result(None)
                return
            wish = {"topic": "channel.activities", "token": self.client.herd.token, "token_type": "jwt"}
            self._transport.write(frame_bytes(TEXT, json.dumps({"type": "subscribe", "data": wish}).encode()))
        elif b"successfully subscribed" in message:
            self.ready.set_result(None)
        elif b'"error"' in message:
            self.ready.set_exception(ConnectionError(message.decode(errors="replace")))


class Client:
    """A client that keeps to the dialect's rule for coming back."""

    __slots__ = ("herd", "address", "gateway", "got", "current", "moving")

    def __init__(self, herd, number):
        self.herd, self.gateway = herd, number % 2
        self.address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.got, self.current, self.moving = collections.Counter(), None, False

    async def come(self, token=None):
        """Opens a connection, and closes the one before when it is welcome."""
        async with self.herd.turns:
            port = self.herd.gateways[self.gateway].port("astro")
            _, new = await asyncio.get_running_loop().create_connection(lambda: Connection(self, token), "127.0.0.1", port)
            async with asyncio.timeout(READY_MAX):
                await new.ready
        old, self.current, self.moving = self.current, new, False
        if old is not None and old.closed is None:
            old.close()
        # It may have been sent on, or away, before it was this client's connection.
        if new.closed is not None:
            self.ended(new)

    def move(self, connection, token):
        """A draining gateway sent a token: goes to the other one."""
        if connection is self.current or self.current is None:
            self.gateway, self.moving = 1 - self.gateway, True
            self.herd.start(self._resume(token))

    async def _resume(self, token):
        try:
            await self.come(token)
            self.herd.resumed += 1
        except (OSError, TimeoutError) as failure:
            self.herd.unused[f"{failure}"[:60]] += 1
            await self.begin()

    def ended(self, connection):
        """A connection has ended; if it was the only one, the client begins anew."""
        if connection is self.current and not self.moving and not self.herd.is_over:
            self.herd.closed[connection.closed] += 1
            self.current = None
            self.herd.start(self.begin())

    async def begin(self):
        """Opens a connection without a token, however often that takes."""
        while not self.herd.is_over:
            with contextlib.suppress(OSError, TimeoutError):
                await self.come()
                return
            await asyncio.sleep(1)


class Herd:
    """One run."""

    def __init__(self, stage, size, rate):
        self.stage, self.size, self.rate = stage, size, rate
        self.channel = f"herd-{secrets.token_hex(4)}"
        self.turns = asyncio.Semaphore(DIALS_AT_ONCE)
        self.clients, self.gateways, self.acknowledged, self.refused = [], [], [], 0
        self.resumed, self.unused, self.closed = 0, collections.Counter(), collections.Counter()
        self.is_over, self._tasks = False, set()

    def start(self, coroutine):
        """Runs something beside the rest."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def play(self):
        """The run; returns its figures."""
        self.token = await self.stage.token(tenant=self.channel, ttl=7200)
        self.gateways = [await self._gateway(number) for number in range(2)]
        began = time.monotonic()
        self.clients = [Client(self, number) for number in range(self.size)]
        await asyncio.gather(*(client.begin() for client in self.clients))
        figures = {"clients": self.size, "connected after": seconds_since(began)}
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.sleep(1)
            for number in range(2):
                began, before = time.monotonic(), self.resumed
                moving = sum(client.gateway == number for client in self.clients)
                old, survivor = self.gateways[number], self.gateways[1 - number]
                old.signal(signal.SIGTERM)
                status = await old.ended(timeout=60)
                assert status == 0, f"a gateway ended with {status}"
                await self._until(lambda: self.resumed - before >= moving or not self._tasks, READY_MAX)
                figures[f"move {number + 1}"] = f"{moving} clients in {seconds_since(began)} s"
                figures[f"pages {number + 1}"] = await self._replays(survivor)
                if number == 0:
                    self.gateways[number] = await self._gateway(number)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        began = time.monotonic()
        await self._until(lambda: not any(map(self._missing, self.clients)), SETTLE_MAX)
        lost = [count for count in map(self._missing, self.clients) if count]
        figures |= {
            "settled after": seconds_since(began), "events": len(self.acknowledged), "refused to the writer": self.refused,
            "deliveries": sum(sum(client.got.values()) for client in self.clients), "lost": sum(lost),
            "clients that lost any": len(lost),
            "twice": sum(count - 1 for client in self.clients for count in client.got.values() if count > 1),
            "resumed": self.resumed, "tokens of no use": dict(self.unused),
            "closed": {f"{code} {reason}": count for (code, reason), count in self.closed.items()}}
        return figures

    async def end(self):
        """Ends the run's connections and gateways."""
        self.is_over = True
        for client in self.clients:
            if client.current is not None:
                client.current.drop()
        for task in list(self._tasks):
            task.cancel()
        for gateway in self.gateways:
            if gateway.process.returncode is None:
                gateway.signal(signal.SIGTERM)
                await gateway.ended(timeout=60)

    async def _gateway(self, number):
        return await self.stage.gateway(
            name=f"herd-{number}", GATEWAY_RECONNECT_KEY_FILE=home() / "reconnect.key", LOG_LEVEL="notice")

    async def _write(self):
        number, due = 0, time.monotonic()
        while True:
            # Shielded: one that is on its way counts, also when the run ends meanwhile.
            await asyncio.shield(self._activity(number))
            number, due = number + 1, due + 1 / self.rate
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def _activity(self, number):
        body = {"type": "tip", "provider": "twitch", "data": {"username": "herd", "message": f"herd-{number}-end"}}
        path = f"/kappa/v2/activities/{self.channel}"
        try:
            answer = await self.stage.rest("POST", "stream-metrics", path, body, self.token)
            if answer.status == 201:
                self.acknowledged.append(number)
                return
        except (OSError, TimeoutError, edge.Closed):
            pass
        self.refused += 1

    async def _replays(self, gateway):
        """How many pages of logs a gateway's clients have made it ask for."""
        text = (await self.stage.rest("GET", gateway.operators, "/metrics")).body.decode()
        found = re.search(r"^gateway_replay_pages_total\{source=\"log\"\} (\d+)", text, re.M)
        return int(found[1]) if found else 0

    def _missing(self, client):
        return sum(number not in client.got for number in self.acknowledged)

    async def _until(self, condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            await asyncio.sleep(0.1)


def seconds_since(moment):
    """Rounded to a tenth."""
    return round(time.monotonic() - moment, 1)


@contextlib.contextmanager
def busy_machine(is_busy):
    """Keeps every processor at work meanwhile."""
    count = os.cpu_count() if is_busy else 0
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


async def main():
    """0 if no client lost anything."""
    parser = argparse.ArgumentParser(description="Moves thousands of clients over a rolling restart of two gateways.")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2, help="events a second")
    parser.add_argument("--busy", action="store_true", help="with all processors at work")
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lost = 0
    with busy_machine(given.busy):
        for run in range(given.runs):
            stage = fuzz.suite()
            herd = Herd(stage, given.clients, given.rate)
            try:
                figures = await herd.play()
            finally:
                await herd.end()
                await stage.end()
            lost += figures["lost"] + sum(herd.closed.values()) + sum(herd.unused.values())
            print(f"run {run + 1}: " + json.dumps(figures), flush=True)
    print(f"WRONG: events were lost, or clients had to begin anew ({lost})" if lost else "nothing lost")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
