"""The suite that is measured: its tokens, and gateways of our own beside it, each on one core."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

DIALECTS = ("source-saver", "astro", "wave", "grimnir", "airys")
OFFSETS = {"gateway": 10, "auth": 20, "obs-bridge": 30, "stream-metrics": 40, "radio-playout": 50, "camera-events": 60,
           "performance-monitor": 70}
SERVER_CORE, CLIENT_CORE = "0", "1"


def free_ports(count):
    """The first of so many adjacent free ports, below those that outgoing connections take."""
    for first in range(20000, 32768 - count, count):
        sockets = []
        try:
            for port in range(first, first + count):
                taken = socket.socket()
                sockets.append(taken)
                taken.bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for taken in sockets:
                taken.close()
        return first
    raise RuntimeError("no free ports")


class Gateway:
    """A gateway that hears a stand-in instead of radio-playout."""

    def __init__(self, process, edge_port, bus_port):
        self.process, self.edge_port, self.bus_port = process, edge_port, bus_port
        self.pids = [process.pid]

    def port(self, dialect):
        return self.edge_port + DIALECTS.index(dialect)

    @property
    def operators(self):
        return self.edge_port + 10

    def stop(self):
        """At once: what a gateway does for clients that stay is not measured here."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Suite:
    """The processes that `./crosspoint bench` has started, on ports from `base`."""

    def __init__(self, base, home, programs, folder):
        self.base, self.home, self.programs, self.folder = base, home, programs, folder
        self.owner = (home / "owner.key").read_text()
        # For everything on the bus that we start: publishers, and what is compared with the gateway.
        os.environ |= self.bus_keys("suite")
        self.number = 0

    def port(self, service):
        return self.base + OFFSETS[service]

    def bus_keys(self, role):
        """The settings of a process that has that role's key on the bus."""
        return {"BUS_KEY_FILE": str(self.home / "bus" / f"{role}.key"), "BUS_PEERS_FILE": str(self.home / "bus" / "peers")}

    def rest(self, method, service, path, body=None, token=None):
        """A request's status and JSON answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port(service)}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token or self.owner}"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def token(self):
        """An access token that sees everything and opens any number of connections."""
        status, answer = self.rest("POST", "auth", "/v1/tokens", {
            "type": "jwt", "tier": "enterprise", "ttl_seconds": 7200, "scope": "*"})
        if status != 201:
            raise RuntimeError(f"auth made no token: {status} {answer}")
        return answer["token"]

    def metrics(self, port):
        """A process's metrics, by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{[^}]*\})?) ([-+.\deE]+)$", text, re.MULTILINE)}

    def gateway(self, loops=1, cores=SERVER_CORE, stands_in=True):
        """Starts a gateway on those cores and waits until it is ready for clients."""
        self.number += 1
        edge_port, bus_port = free_ports(20), None
        environment = os.environ | {
            "PORTS_BASE": str(self.base), "HTTP_HOST": "127.0.0.1", "GATEWAY_INSTANCE": f"bench-{self.number}",
            "GATEWAY_EDGE_PORT": str(edge_port), "GATEWAY_HTTP_PORT": str(edge_port + 10),
            "AUTH_CACHE_DIR": str(self.folder), "LOG_LEVEL": "warning"} | self.bus_keys("gateway")
        if stands_in:
            bus_port = edge_port + 12
            environment["BUS_RADIO_PLAYOUT_PORT"] = str(bus_port)
        log = open(self.folder / f"gateway-{self.number}.log", "wb")
        process = subprocess.Popen(
            ["taskset", "--cpu-list", cores, self.programs / "gateway", "--loops", str(loops)], env=environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        gateway = Gateway(process, edge_port, bus_port)
        self._await(gateway, ready=not stands_in)
        return gateway

    @staticmethod
    def _missing(answer):
        return [name for name, fine in json.loads(answer.read())["dependencies"].items() if not fine]

    def _await(self, gateway, ready):
        """Until it is ready and lacks nothing; one with a stand-in, which comes later, until it lacks nothing else."""
        deadline, missing = time.monotonic() + 30, None
        while time.monotonic() < deadline and gateway.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{gateway.operators}/readyz", timeout=2) as answer:
                    missing = self._missing(answer)
            except urllib.error.HTTPError as error:
                missing = self._missing(error)
            except OSError:
                time.sleep(0.05)
                continue
            if not missing or not ready and missing == ["bus.radio-playout"]:
                return
            time.sleep(0.05)
        raise RuntimeError(f"a gateway is not ready: {missing}; see {self.folder}")
