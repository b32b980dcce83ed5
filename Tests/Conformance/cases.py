"""What a case is, and what it is given."""

import dataclasses
import inspect
import pathlib
import secrets

import edge

registry = []


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One thing that is to be true, shown from outside."""

    dialect: str
    clauses: tuple
    name: str
    place: str
    test: object
    arguments: dict
    slow: bool
    alone: bool

    @property
    def seconds(self):
        """How long it may take."""
        return 120 if self.alone else 130 if self.slow else 30


def case(dialect, *clauses, slow=False, alone=False):
    """Registers `async def test(stage, me)`.

    Its docstring's first line says what is true. A clause is named as in clauses.py; one of another contract as
    `"README#3 •1"`. Under it may stand `@case.table(rows)`: then every row is a case of its own, its values are the
    parameters after `me`, and `{parameter}` in the docstring and in the clauses stands for the row's value.

    slow: it waits for real time; started first and run beside all others. alone: it disturbs others; run by itself
    after all others.
    """
    def register(test):
        rows = getattr(test, "rows", [()])
        names = list(inspect.signature(test).parameters)[2:]
        place = f"{pathlib.Path(inspect.getfile(test)).stem}.{test.__name__}"
        title = (inspect.getdoc(test) or test.__name__).splitlines()[0]
        for number, row in enumerate(rows, 1):
            arguments = dict(zip(names, row if isinstance(row, tuple) else (row,)))
            registry.append(Case(
                dialect, tuple(_filled(clause, arguments) for clause in clauses), _filled(title, arguments),
                f"{place}[{number}]" if names else place, test, arguments, slow, alone))
        return test
    return register


def _table(rows):
    """Makes one case of each row: a tuple of the values of the parameters after `me`, or one value."""
    def note(test):
        test.rows = list(rows)
        return test
    return note


case.table = _table


def _filled(text, arguments):
    for name, value in arguments.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def address(first):
    """A fresh address below `first`.0.0.0/8."""
    return f"{first}.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


class Me:
    """What belongs to one case: a tenant and addresses that nobody else has, and the sockets that it opened."""

    def __init__(self, stage):
        self.stage = stage
        self.tenant = f"case-{secrets.token_hex(6)}"
        self.address = address(10)
        self.loopback = address(127)
        self._sockets = []

    async def open(self, dialect, path="/", headers={}, gateway=0, address=None, **more):
        """Opens a Socket from this case's address (10.x; `address=me.loopback` for this machine); it is dropped at the
        case's end. `gateway`: 0, 1, 2 (which hears `stage.publish`), "haproxy", or one that `stage.gateway` started.
        Raises edge.Refused."""
        port = await self.stage.reach(dialect, gateway)
        socket = await edge.Socket.open(port, path, headers, address or self.address, **more)
        self._sockets.append(socket)
        return socket

    async def refused(self, dialect, path="/", headers={}, gateway=0, address=None):
        """The HTTP answer (edge.Refused) that `open` gets instead of a socket; fails if it gets one."""
        try:
            await self.open(dialect, path, headers, gateway, address)
        except edge.Refused as refusal:
            return refusal
        raise AssertionError(f"{dialect} {path} let in instead of refused")

    async def gone(self, socket, code, reason=None, timeout=10):
        """Asserts that the other side ends the connection with this code, and this reason if one is given."""
        told = await socket.closing(timeout)
        assert told[0] == code and reason in (None, told[1]), f"closed with {told}, not {(code, reason)}"

    async def http(self, dialect, method="GET", path="/", headers={}, body=b"", gateway=0, address=None):
        """A plain request to a dialect's port, from this case's address; its answer (edge.Refused), whatever it is."""
        port = await self.stage.reach(dialect, gateway)
        return await edge.http(port, method, path, headers, body, address or self.address)

    async def token(self, type="jwt", tenant=None, **more):
        """A credential of this case's tenant; see `stage.token`."""
        return await self.stage.token(type, tenant or self.tenant, **more)

    async def publish(self, type, data, room="", durable=True, **more):
        """Publishes an event of this case's tenant; see `stage.publish`."""
        return await self.stage.publish(type, data, self.tenant, room, durable, **more)

    async def end(self):
        """Drops what is still open."""
        for socket in self._sockets:
            await socket.drop()
