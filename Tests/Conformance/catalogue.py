"""Every event type there is, read from docs/events.md."""

import dataclasses
import pathlib
import re

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "events.md"


@dataclasses.dataclass(frozen=True)
class EventType:
    """`scope` is None where any credential of the tenant will do."""

    name: str
    durable: bool
    scope: str
    room: str

    @property
    def domain(self):
        """What its name begins with."""
        return self.name.split(".")[0]

    def event(self, tenant, data=None, room=""):
        """One of this type, as `stage.publish_all` takes it."""
        data = data or {"of": self.name}
        return {"type": self.name, "tenant": tenant, "room": room, "durable": self.durable, "data": data}


def types():
    """In the page's order. Those of auth, which no client sees, are among them."""
    row = r"^\| `([\w.]+)` \| (durable|transient) \| (?:`([\w:-]+)`|none) \| ([^|]+) \|"
    rows = re.findall(row, DOCUMENT.read_text(), re.MULTILINE)
    return [EventType(name, kind == "durable", scope or None, room) for name, kind, scope, room in rows]


def visible():
    """Those that clients may see."""
    return [each for each in types() if each.domain != "auth"]
