"""What a scene is: one printed client, started, given the events it waits for, and asked what it printed."""

import asyncio
import contextlib
import dataclasses
import inspect
import secrets

import cases
import edge
import printed
from fronts import Door

registry = []
# The third gateway, which hears what the tests publish in obs-bridge's place; 0 hears obs-bridge.
PUBLISHED, REAL = 2, 0


@dataclasses.dataclass(frozen=True)
class Scene:
    """A client, and what is to be true of it: the first line of the test's docstring."""

    path: str
    title: str
    test: object
    gateway: int
    groups: tuple
    slow: bool
    drains: bool


def scene(*paths, gateway=PUBLISHED, only=None, slow=False, drains=False):
    """Registers `async def test(play)` for clients; `only` for some of their groups.

    slow: waits for real time. drains: its gateway leaves (`play.drain`)."""
    def register(test):
        for path in paths:
            groups = tuple(group for group in printed.groups(path) if only is None or group in only)
            registry.append(Scene(path, inspect.getdoc(test).splitlines()[0], test, gateway, groups, slow, drains))
        return test
    return register


class Play:
    """One scene, played by one group over one kind of connection."""

    def __init__(self, scene, stage, group, way, drain=None):
        self.scene, self.stage, self.group, self.way, self.drain = scene, stage, group, way, drain
        self.dialect = scene.path.split("/")[0]
        self.tenant = f"seed-{secrets.token_hex(6)}"
        self.word = f"word{secrets.token_hex(6)}"
        # Limits are counted by address, and printed clients cannot tell another one.
        self.address = cases.address(127)
        self._clients, self._sockets, self._doors = [], [], []

    async def start(self, **credentials):
        """Starts the client; keywords are placeholders. If the scene drains, on the gateway that will leave."""
        gateway = self.drain.first if self.drain else self.scene.gateway
        door = Door(await self.way.port(self.dialect, gateway), self.address)
        self._doors.append(door)
        if self.drain:
            self.drain.watch(door, self.dialect)
        origin = f"{self.way.name}://127.0.0.1:{await door.open()}"
        text = printed.filled(self.scene.path, origin, credentials)
        client = await self.group.start(self.scene.path, text, self.way.authority)
        self._clients.append(client)
        return client

    async def token(self, type="jwt", tenant=None, **more):
        """A credential of this play's own tenant."""
        return await self.stage.token(type, tenant or self.tenant, **more)

    async def owner(self):
        """A token that may do anything in this play's tenant."""
        return await self.token("jwt", scope="*")

    async def did(self, method, service, path, body=None, token=None):
        """A REST call that must succeed; returns its JSON."""
        answer = await self.stage.rest(method, service, path, body, token)
        assert answer.status in (200, 201, 202, 204), f"{method} {path}: {answer.status} {answer.body!r}"
        return answer.json

    async def publish(self, type, data, tenant=None, **more):
        """Publishes an event that no service makes yet."""
        return await self.stage.publish(type, data, tenant or self.tenant, **more)

    async def socket(self, dialect, path, gateway=PUBLISHED):
        """Another client, to see or do what the printed one cannot."""
        port = await self.stage.reach(dialect, gateway)
        socket = await edge.Socket.open(port, path, address=cases.address(10))
        self._sockets.append(socket)
        return socket

    async def connected(self, count=1, gateway=None, timeout=40):
        """Waits until the gateway has so many connections of this play's tenant; returns them."""
        gateway = self.scene.gateway if gateway is None else gateway
        ours = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    told = await self.did("GET", self.stage.operators(gateway), "/connections", token=self.stage.owner)
                    ours = [each for each in told["connections"] if each.get("tenant") == self.tenant]
                    if len(ours) >= count:
                        return ours
                    await asyncio.sleep(0.1)
        raise AssertionError(f"the gateway has not {count} connections of the tenant but {ours}")

    async def end(self):
        """Ends everything that it started."""
        for client in self._clients:
            await client.stop()
        for socket in self._sockets:
            await socket.drop()
        for door in self._doors:
            door.close()


class Way:
    """How clients reach a gateway."""

    name = authority = None

    async def origin(self, dialect, gateway):
        """Where a client would connect."""
        return f"{self.name}://127.0.0.1:{await self.port(dialect, gateway)}"


class Plain(Way):
    """Straight to a gateway, without TLS."""

    name = "ws"

    def __init__(self, stage):
        self.stage = stage

    async def port(self, dialect, gateway):
        """The gateway's own."""
        return await self.stage.reach(dialect, gateway)


class Secure(Way):
    """Through HAProxy, with TLS."""

    name = "wss"

    def __init__(self, authority, proxies):
        self.authority, self.proxies = authority, proxies

    async def port(self, dialect, gateway):
        """HAProxy's."""
        return self.proxies[gateway].port(dialect)
