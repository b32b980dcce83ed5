"""One gateway that leaves while clients are on it, and another one that they go to."""

import asyncio
import secrets

import edge

PATIENCE = 240


class Drain:
    """Waits until all who take part are on the first gateway; then it has to leave, and their doors lead to the second.

    One Astro client stays on it to the end, so that it drains for as long as it may."""

    def __init__(self, stage, folder, parts):
        self.stage, self.folder = stage, folder
        self._missing = set(parts)
        self._doors = []
        self._all_there, self.began = asyncio.Event(), asyncio.Event()

    async def open(self):
        """Starts both gateways and the client that stays."""
        key = self.folder / "reconnect.key"
        key.write_text(secrets.token_hex(32))
        self.first, self.second = [await self.stage.gateway(GATEWAY_RECONNECT_KEY_FILE=key) for _ in range(2)]
        self.stayer = await edge.Socket.open(self.first.port("astro"))
        self._leaving = asyncio.create_task(self._leave())

    def watch(self, door, dialect):
        """Lets a door to the first gateway lead to the second when the first has to leave."""
        self._doors.append((door, dialect))

    def there(self, part):
        """Somebody is ready for the first gateway to leave, or will never be."""
        self._missing.discard(part)
        if not self._missing:
            self._all_there.set()

    async def leave(self, part):
        """Ready for it; returns when the first gateway has been told to leave."""
        self.there(part)
        await self.began.wait()

    async def _leave(self):
        try:
            async with asyncio.timeout(PATIENCE):
                await self._all_there.wait()
        except TimeoutError:
            print(f"not there after {PATIENCE} s: {sorted(self._missing)}", flush=True)
        for door, dialect in self._doors:
            door.target = self.second.port(dialect)
        self.first.signal()
        self.began.set()

    async def close(self):
        """Lets the client go that stayed. The gateways end with the stage."""
        self._leaving.cancel()
        await self.stayer.drop()
