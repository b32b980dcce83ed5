"""The running suite that the cases play on, and what is started beside it."""

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import edge

DIALECTS = ("source-saver", "astro", "wave", "grimnir", "airys")
OFFSETS = {"auth": 20, "obs-bridge": 30, "stream-metrics": 40, "radio-playout": 50, "camera-events": 60,
           "performance-monitor": 70}


@dataclasses.dataclass
class Answer:
    """What a REST API answered; `json` is None where there was none."""

    status: int
    headers: dict
    json: object
    body: bytes


class Gateway:
    """A gateway that the stage started, with ports of its own."""

    def __init__(self, edge_port, operators, process):
        self.edge_port, self.operators, self.process = edge_port, operators, process

    def port(self, dialect):
        """Where it listens for a dialect."""
        return self.edge_port + DIALECTS.index(dialect)

    def signal(self, number=signal.SIGTERM):
        """Sends the process a signal; SIGTERM makes it drain."""
        self.process.send_signal(number)

    async def ended(self, timeout=40):
        """Waits for the process to end; returns its exit status."""
        async with asyncio.timeout(timeout):
            return await self.process.wait()


class Stage:
    """The suite on `base`, with `gateways` replicas behind HAProxy; `reconnect_key` and `proxy_key` are the files with the key
    of their reconnect tokens, and the one by which they know HAProxy."""

    def __init__(self, base, owner_key, programs, gateways=2, reconnect_key=None, proxy_key=None):
        self.base, self.owner, self.gateways = base, owner_key, gateways
        self.reconnect_key, self.proxy_key = reconnect_key, proxy_key
        self.programs = pathlib.Path(programs).resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="conformance-"))
        self._processes = []
        self._publisher = None
        self._publishing = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._third = None

    # Where things are

    def port(self, dialect, gateway=0):
        """The port of a dialect on a gateway: 0 or 1 (the replicas), "haproxy", 2 once `third` has started it, or a
        Gateway."""
        if isinstance(gateway, Gateway):
            return gateway.port(dialect)
        if gateway == "haproxy":
            return self.base + DIALECTS.index(dialect)
        if gateway == self.gateways:
            return self._third.port(dialect)
        return self.base + 100 * (gateway + 1) + DIALECTS.index(dialect)

    async def reach(self, dialect, gateway=0):
        """As `port`; starts the third gateway if it is meant."""
        if gateway == self.gateways:
            await self.third()
        return self.port(dialect, gateway)

    def operators(self, gateway=0):
        """The port of a gateway's operators' API."""
        if isinstance(gateway, Gateway):
            return gateway.operators
        if gateway == self.gateways:
            return self._third.operators
        return self.base + 100 * (gateway + 1) + 10

    def service(self, name):
        """The port of a service's REST API."""
        return self.base + OFFSETS[name]

    # REST

    async def rest(self, method, service, path, body=None, token=None, headers={}, address=None):
        """Asks a service (a name, or a port); `body` goes as JSON, bytes as they are; no token unless one is given."""
        port = service if isinstance(service, int) else self.service(service)
        head, data = {}, b""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            head["Content-Type"] = "application/json"
        if token is not None:
            head["Authorization"] = f"Bearer {token}"
        answer = await edge.http(port, method, path, edge.merged(head, headers), data, address)
        is_json = "json" in answer.headers.get("content-type", "")
        return Answer(answer.status, answer.headers, answer.json if is_json and answer.body else None, answer.body)

    async def credential(self, type="jwt", tenant=None, scope=None, ttl=600, tier="enterprise", **more):
        """Makes a credential with the owner's key: all that auth says of it (`id`, `token`, …)."""
        wanted = {"type": type, "tenant": tenant, "scope": scope, "ttl_seconds": ttl, "tier": tier} | more
        answer = await self.rest("POST", "auth", "/v1/tokens",
                                 {name: value for name, value in wanted.items() if value is not None}, self.owner)
        assert answer.status == 201, f"no token: {answer.status} {answer.body!r}"
        return answer.json

    async def token(self, type="jwt", tenant=None, scope=None, ttl=600, tier="enterprise", **more):
        """The credential itself: type jwt, oauth2 or apikey; scopes separated by spaces; ttl in seconds."""
        return (await self.credential(type, tenant, scope, ttl, tier, **more))["token"]

    async def connections(self, gateway=0):
        """What a gateway tells its operators of its connections."""
        told = (await self.rest("GET", self.operators(gateway), "/connections?limit=5000", token=self.owner)).json
        while told.get("next") is not None:
            path = f"/connections?limit=5000&after={told.pop('next')}"
            more = (await self.rest("GET", self.operators(gateway), path, token=self.owner)).json
            told["connections"] += more["connections"]
            told["next"] = more.get("next")
        return told

    # Events that no service publishes, or that only this run should hear

    async def publish(self, type, data, tenant="default", room="", durable=True, time=None):
        """Publishes an event of the catalogue in obs-bridge's place; only gateway 2 hears it. Returns {"id", "seq"}.

        `data` is an object, `time` an ISO 8601 moment (default: now)."""
        event = {"type": type, "tenant": tenant, "room": room, "durable": durable, "data": data}
        return (await self.publish_all([event if time is None else event | {"time": time}]))[0]

    async def publish_all(self, events):
        """Publishes one after the other, without waiting between them: dicts of `type`, `tenant`, `room`, `durable`,
        `data` and perhaps `time`. Returns what `publish` returns of each."""
        await self.third()
        answers = []
        async with self._publishing:
            for first in range(0, len(events), 100):
                batch = events[first:first + 100]
                self._publisher.stdin.write(b"".join(json.dumps(event).encode() + b"\n" for event in batch))
                await self._publisher.stdin.drain()
                answers += [json.loads(await self._publisher.stdout.readline() or b"{}") for _ in batch]
        for event, answer in zip(events, answers):
            assert "id" in answer, f"{event['type']} was not published: {answer}"
        return answers

    async def slow_clients(self):
        """How many clients the third gateway has closed since they were too slow."""
        answer = await self.rest("GET", self.operators(2), "/metrics")
        found = re.search(rb"^gateway_slow_clients_total (\d+)", answer.body, re.MULTILINE)
        return int(found[1]) if found else 0

    async def publish_until_one_is_too_slow(self, make):
        """Publishes events, `make(number)` each, until the third gateway closes a client; returns how many."""
        before, count = await self.slow_clients(), 0
        while await self.slow_clients() == before:
            assert count < 10_000, f"no client closed after {count} events"
            await self.publish_all([make(number) for number in range(count, count + 100)])
            count += 100
            await asyncio.sleep(0.1)
        return count

    # Processes of our own

    async def third(self):
        """The third gateway, which hears `publish` instead of obs-bridge; started when it is first asked for."""
        async with self._starting:
            if self._third is None:
                port = free_ports(2)
                self._publisher = await self._start_publisher(port)
                self._third = await self.gateway(name="conformance-3", BUS_OBS_BRIDGE_PORT=port)
            return self._third

    async def settle(self):
        """Starts the third gateway, and waits until its coming no longer changes the suite's health: clients of the
        default tenant are told of that."""
        await self.third()
        before, calm = None, 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while calm < 3:
                    health = (await self.rest("GET", "performance-monitor", "/api/health")).json
                    now = health.get("status"), health.get("reason")
                    before, calm = now, calm + 1 if now == before else 0
                    await asyncio.sleep(1)

    async def gateway(self, name=None, ready=True, **environment):
        """Starts one more gateway and waits until it is ready; ended with the stage unless before."""
        edge_port = free_ports(11)
        name = name or f"conformance-{edge_port}"
        settings = {
            "PORTS_BASE": self.base, "HTTP_HOST": "127.0.0.1", "HTTP_TRUSTED_PROXIES": "127.0.0.1", "HTTP_ANONYMOUS": "true",
            "GATEWAY_INSTANCE": name, "GATEWAY_EDGE_PORT": edge_port, "GATEWAY_HTTP_PORT": edge_port + 10,
            "AUTH_CACHE_DIR": self._cache(name),
        } | bus_keys("gateway")
        if self.reconnect_key is not None:
            settings["GATEWAY_RECONNECT_KEY_FILE"] = self.reconnect_key
        if self.proxy_key is not None:
            settings["HTTP_PROXY_KEY_FILE"] = self.proxy_key
        settings |= environment
        process = await self._start("gateway", name, settings)
        started = Gateway(edge_port, edge_port + 10, process)
        if ready:
            await self._await_ready(started, name)
        return started

    def _cache(self, name):
        folder = self.folder / f"cache-{name}"
        folder.mkdir(exist_ok=True)
        return folder

    async def _start_publisher(self, port):
        process = await self._start("Bench", "publisher", bus_keys("suite"), "publish", "--port", str(port),
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        assert json.loads(line or b"{}").get("ready"), f"Bench publish did not start: {line!r}; see {self.folder}"
        return process

    async def _start(self, program, name, settings, *arguments, **pipes):
        environment = os.environ | {key: str(value) for key, value in settings.items()}
        with open(self.folder / f"{name}.log", "ab") as log:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log} | pipes
            process = await asyncio.create_subprocess_exec(
                self.programs / program, *arguments, cwd=self.folder, env=environment, **pipes)
        self._processes.append(process)
        return process

    async def _await_ready(self, started, name):
        answer = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                while started.process.returncode is None:
                    with contextlib.suppress(OSError, edge.Closed):
                        answer = await self.rest("GET", started.operators, "/readyz")
                        if answer.status == 200 and not json.loads(answer.body)["degraded"]:
                            return
                    await asyncio.sleep(0.2)
        log = (self.folder / f"{name}.log").read_text(errors="replace")
        raise RuntimeError(f"gateway {name} is not ready: {answer}\n{log[-2000:]}")

    async def end(self):
        """Ends what it started, and keeps no files."""
        running = [process for process in self._processes if process.returncode is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                async with asyncio.timeout(35):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


_given = set()


def free_ports(count):
    """The first of `count` ports in a row that nobody has; below those that outgoing connections take."""
    for _ in range(200):
        first = random.randrange(20000, 32000)
        wanted = set(range(first, first + count))
        # Whoever was given them may not have bound them yet.
        if not wanted & _given and all(_is_free(port) for port in wanted):
            _given.update(wanted)
            return first
    raise RuntimeError("no free ports")


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def home():
    """The suite's data directory."""
    return pathlib.Path(os.environ.get("CROSSPOINT_HOME", pathlib.Path(__file__).parents[2] / ".crosspoint")).resolve()


def bus_keys(role):
    """The settings of a process that has that role's key on the bus."""
    return {"BUS_KEY_FILE": home() / "bus" / f"{role}.key", "BUS_PEERS_FILE": home() / "bus" / "peers"}


def process_of(name):
    """The pid of one of the suite's processes."""
    return int((home() / "run" / f"{name}.pid").read_text().split()[0])


def stands_still(pid):
    """Whether every thread of a process has been stopped."""
    states = pathlib.Path(f"/proc/{pid}/task").glob("*/stat")
    return all(state.read_text().rpartition(")")[2].split()[0] == "T" for state in states)


@contextlib.contextmanager
def halted(name):
    """A process of the suite stands still meanwhile."""
    pid = process_of(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        while not stands_still(pid):
            time.sleep(0.01)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
