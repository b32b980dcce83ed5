"""Clients as programs: what they print, and how each kind of them is started."""

import asyncio
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = "Tests/IntegrationTests/Clients/requirements.txt"


class Missing(Exception):
    """What a group runs on is not installed; says what to do."""


def check(*needs):
    """Raises Missing unless everything is there: Debian packages, each with a program or a path of it."""
    missing = [package for each in needs for package, thing in each.items()
               if not (os.path.exists(thing) if "/" in thing else shutil.which(thing))]
    if missing:
        raise Missing(f"not installed: apt-get install --no-install-recommends {' '.join(missing)}")


def squeezed(text):
    """Without white space and quotes, so that Node, Python and a browser say an object alike: {type:follow,…}."""
    return re.sub(r"[\s'\"]", "", text)


class Printer:
    """Something that prints. What was expected of it once is passed: the next expectation begins after it."""

    def __init__(self):
        self.printed = ""
        self.has_ended = False
        self._squeezed, self._passed = "", 0
        self._changed = asyncio.Event()

    def heard(self, text):
        """It printed that."""
        self.printed += text
        self._squeezed += squeezed(text)
        self._changed.set()

    def ended(self):
        """It will print nothing more."""
        self.has_ended = True
        self._changed.set()

    async def prints(self, *texts, timeout=40):
        """Waits until it has printed all of them, in any order; white space and quotes do not count."""
        wanted, missing = [squeezed(text) for text in texts], list(texts)
        try:
            async with asyncio.timeout(timeout):
                while missing := [text for text in texts if self._find(squeezed(text)) < 0]:
                    assert not self.has_ended, f"ended without printing {missing}; it printed:\n{self._shown()}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"did not print {missing} within {timeout} s; it printed:\n{self._shown()}") from None
        self._passed = max(self._find(text) + len(text) for text in wanted)

    def _find(self, text):
        return self._squeezed.find(text, self._passed)

    def never(self, *texts):
        """Asserts that it has printed none of them so far."""
        for text in texts:
            assert squeezed(text) not in self._squeezed, f"printed {text!r}:\n{self._shown()}"

    def _shown(self):
        return self.printed if len(self.printed) < 6000 else f"{self.printed[:2000]}\n…\n{self.printed[-4000:]}"


class Program(Printer):
    """A process of our own. Both of its outputs count as printed."""

    @classmethod
    async def start(cls, *command, environment={}, folder=None):
        """Starts it; its standard input takes lines."""
        self = cls()
        self._process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | environment, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, limit=1 << 22)
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self):
        while data := await self._process.stdout.readline():
            self.heard(data.decode(errors="replace"))
        await self._process.wait()
        self.ended()

    async def call(self, expression):
        """Evaluates it at the script's top level."""
        self._process.stdin.write(expression.encode() + b"\n")
        await self._process.stdin.drain()

    async def exits(self, status=0, timeout=40):
        """Waits until it ends by itself, and asserts with what status."""
        async with asyncio.timeout(timeout):
            await self._reading
        assert self._process.returncode == status, f"ended with {self._process.returncode}:\n{self._shown()}"

    async def stop(self):
        """Ends it."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not `kill()`, which would ask for the exit status that asyncio is waiting for.
                os.kill(self._process.pid, signal.SIGKILL)
        await self._reading


class Group:
    """One language. `trust` is the variable of the environment that makes it trust a CA file."""

    name, trust, probe = None, "SSL_CERT_FILE", None
    # Debian packages, each with a program or a path of it.
    needs = {}

    def __init__(self, folder):
        self.folder = folder
        self._count = 0

    async def open(self, authority):
        """Makes ready whatever all its clients need."""

    async def close(self):
        """Undoes `open`."""

    async def start(self, path, text, authority=None):
        """Starts a client."""
        file = self._saved(path, text)
        environment = {self.trust: str(authority.certificate)} if authority else {}
        return await Program.start(*await self.command(file), environment=self.environment() | environment)

    async def start_probe(self, task, authority=None):
        """Starts this language's probe with its task (JSON)."""
        environment = {self.trust: str(authority.certificate)} if authority else {}
        return await Program.start(*self.probe, task, environment=self.environment() | environment)

    def environment(self):
        """What its programs need to be told."""
        return {}

    def _saved(self, path, text):
        self._count += 1
        folder = self.folder / f"{self.name}-{self._count}"
        folder.mkdir()
        file = folder / pathlib.Path(path).name
        file.write_text(text)
        return file


class Node(Group):
    """Node with Debian's `ws`."""

    name, trust = "node", "NODE_EXTRA_CA_CERTS"
    needs = {"nodejs": "node", "node-ws": "/usr/share/nodejs/ws"}
    probe = ("node", str(HERE / "probes" / "probe.js"))

    async def command(self, file):
        return "node", str(HERE / "in_node.js"), str(file)

    def environment(self):
        # A Node that is not Debian's does not look there.
        return {"NODE_PATH": "/usr/share/nodejs"}


class Python(Group):
    """Python with `websockets`, in the tests' virtual environment."""

    name = "python"

    async def open(self, authority):
        interpreter = os.environ.get("CROSSPOINT_PYTHON")
        if not interpreter:
            raise Missing(f"CROSSPOINT_PYTHON names no interpreter that has what {REQUIREMENTS} names")
        self._command = interpreter, "-u", "-B"
        self.probe = *self._command, str(HERE / "probes" / "probe.py")
        if await (await asyncio.create_subprocess_exec(interpreter, "-c", "import websockets")).wait():
            raise Missing(f"{interpreter} has no websockets: pip install -r {REQUIREMENTS}")

    async def command(self, file):
        return *self._command, str(file)


class Go(Group):
    """Go with Debian's gorilla."""

    name = "go"
    needs = {"golang-go": "go",
             "golang-github-gorilla-websocket-dev": "/usr/share/gocode/src/github.com/gorilla/websocket",
             "golang-github-google-uuid-dev": "/usr/share/gocode/src/github.com/google/uuid"}

    async def open(self, authority):
        self.probe = await self.command(HERE / "probes" / "probe.go")

    async def command(self, file):
        program = self.folder / f"{file.stem}-{self._count}"
        building = await Program.start("go", "build", "-o", str(program), str(file), environment={
            "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
            "GOCACHE": os.environ.get("GOCACHE", str(self.folder / "go-cache"))})
        await building.exits(timeout=240)
        return (str(program),)
