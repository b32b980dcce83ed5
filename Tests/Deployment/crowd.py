"""Many Astro clients that keep to their dialect's reconnect rule, a publisher, and a count of what each of them got."""

import asyncio
import bisect
import collections
import contextlib
import json
import random
import time

import websockets

import edge_api


class Publisher:
    """Makes activities, numbered from 0, `rate` a second as long as it runs; those that are acknowledged count."""

    def __init__(self, edge, rate):
        self.edge, self.rate = edge, rate
        self.next, self.acknowledged, self.refused = 0, [], 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self):
        while True:
            # Shielded: one that is on its way counts, also where this ends meanwhile.
            await asyncio.shield(self._publish())
            await asyncio.sleep(1 / self.rate)

    async def _publish(self):
        number, self.next = self.next, self.next + 1
        activity = {"type": "follow", "provider": "twitch", "data": {"username": f"n{number}"}}
        try:
            await self.edge.rest("POST", "/kappa/v2/activities/default", activity, edge_api.PORTS["astro"])
            self.acknowledged.append(number)
        except (OSError, RuntimeError):
            self.refused += 1


class Client:
    """One Astro client. `stays`: it reads its old connection to the end although it has a new one."""

    def __init__(self, edge, source, stays):
        self.edge, self.source, self.stays = edge, source, stays
        self.ids = collections.defaultdict(set)  # by number of the activity
        self.twice = 0  # messages more than one for an activity
        self.resumed = self.lost_connections = self.unused_tokens = 0
        self.first = None  # the first number that it has to get
        self.is_there = asyncio.Event()
        self._tasks = set()

    async def come(self, publisher):
        """Connects and subscribes; activities made from now on have to arrive."""
        socket = await self._connect("/")
        await edge_api.subscribe(socket, self.edge.token)
        self.first = publisher.next
        self._start(socket)

    def leave(self):
        """Ends all of its connections."""
        for task in list(self._tasks):
            task.cancel()

    def expected(self, acknowledged):
        """The numbers that it has to get."""
        return acknowledged[bisect.bisect_left(acknowledged, self.first):]

    def missing(self, acknowledged):
        """The numbers that it should have got and has not."""
        return [number for number in self.expected(acknowledged) if number not in self.ids]

    def _start(self, socket):
        self.is_there.set()
        task = asyncio.create_task(self._read(socket))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, path):
        """Comes back after what the answer says, or a pause that grows, as the dialect asks."""
        pause = 0.5
        while True:
            try:
                return await self.edge.connect("astro", path, self.source)
            except websockets.InvalidStatus as refusal:
                wait = float(refusal.response.headers.get("Retry-After", pause))
            except (OSError, TimeoutError, EOFError, websockets.InvalidHandshake):
                wait = pause
            await asyncio.sleep(wait * random.uniform(1, 1.3))
            pause = min(pause * 2, 8)

    async def _read(self, socket):
        is_replaced = False
        try:
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "message":
                    self._take(message)
                elif message["type"] == "reconnect":
                    is_replaced = True
                    task = asyncio.create_task(self._resume(socket, message["data"]["reconnect_token"]))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except websockets.ConnectionClosedError:
            pass
        finally:
            await socket.close()
        if not is_replaced:
            self.is_there.clear()
            self.lost_connections += 1
            await self._begin_anew()

    async def _begin_anew(self):
        while True:
            try:
                socket = await self._connect("/")
                await edge_api.subscribe(socket, self.edge.token)
                self._start(socket)
                return
            except (websockets.ConnectionClosed, TimeoutError):
                continue

    async def _resume(self, old, token):
        # A server tells all of its clients at once; each takes a moment of its own.
        await asyncio.sleep(random.uniform(0, 3))
        socket = await self._connect(f"/?reconnect_token={token}")
        try:
            await edge_api.until(socket, lambda each: each["type"] == "welcome" or self._take(each))
        except (websockets.ConnectionClosed, TimeoutError):
            self.unused_tokens += 1
            await old.close()
            self.is_there.clear()
            await self._begin_anew()
            return
        self.resumed += 1
        self._start(socket)
        if not self.stays:
            await old.close()

    def _take(self, message):
        if message["type"] != "message":
            return
        number = int(message["data"]["data"]["username"][1:])
        self.twice += number in self.ids
        self.ids[number].add(message["id"])


class Crowd:
    """`count` clients from the given addresses, every tenth of which stays on its old connection to the end."""

    def __init__(self, edge, count, sources):
        self.clients = [Client(edge, sources[number % len(sources)], number % 10 == 0) for number in range(count)]

    async def come(self, publisher):
        """Lets all connect, no more than 50 at a time."""
        gate = asyncio.Semaphore(50)

        async def one(client):
            async with gate:
                await client.come(publisher)

        await asyncio.gather(*map(one, self.clients))

    async def all_there(self, seconds):
        """Waits until every client has a connection that is subscribed; returns how long that took."""
        start = time.monotonic()
        async with asyncio.timeout(seconds):
            for client in self.clients:
                await client.is_there.wait()
        return time.monotonic() - start

    async def settle(self, publisher, seconds=30):
        """Waits until all that was published is everywhere, or time is up."""
        deadline = time.monotonic() + seconds
        while any(client.missing(publisher.acknowledged) for client in self.clients) and time.monotonic() < deadline:
            await asyncio.sleep(0.5)

    def leave(self):
        """Ends all connections."""
        for client in self.clients:
            client.leave()

    def report(self, publisher):
        """What the crowd got, counted."""
        numbers = publisher.acknowledged
        return {
            "published": len(numbers),
            "refused to the publisher": publisher.refused,
            "expected deliveries": sum(len(client.expected(numbers)) for client in self.clients),
            "lost": sum(len(client.missing(numbers)) for client in self.clients),
            "twice": sum(client.twice for client in self.clients),
            "with another id": sum(len(ids) > 1 for client in self.clients for ids in client.ids.values()),
            "resumed by token": sum(client.resumed for client in self.clients),
            "tokens that did not open": sum(client.unused_tokens for client in self.clients),
            "connections lost without notice": sum(client.lost_connections for client in self.clients),
        }
