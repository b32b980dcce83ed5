"""What is measured beside each other: ways to start a server, and how the load generator speaks with it."""

import contextlib

import peers
from load import MESSAGE_BYTES
from suite import SERVER_CORE, free_ports

TYPE = "radio.now_playing"
# Addresses that clients come from: some dialects admit so many connections a minute from each.
SOURCES = {"astro": 60, "grimnir": 120}


def client(dialect, port, token, room="room-0", types=(TYPE,)):
    """The load generator's options for clients of a dialect that listen to those types in that room."""
    names = ",".join(f'"{name}"' for name in types)
    first = types[0]
    if dialect == "source-saver":
        events = names.replace(".", ":", 1) if len(types) == 1 else names
        options = ["--url", f"ws://127.0.0.1:{port}/source-saver?token={token}",
                   "--send", f'{{"action":"subscribe","events":[{events}]}}', "--ready", "subscription:confirmed"]
    elif dialect == "astro":
        options = ["--url", f"ws://127.0.0.1:{port}/ws", "--send",
                   f'{{"type":"subscribe","nonce":"n","data":{{"topic":"{first}","room":"{room}","token":"{token}",'
                   '"token_type":"jwt"}}', "--ready", '"nonce":"n"']
    elif dialect == "wave":
        options = ["--url", f"ws://127.0.0.1:{port}/v1/streams?api_key={token}",
                   "--send", f'{{"type":"subscribe","stream_id":"{room}","events":[{names}]}}',
                   "--ready", '"subscribed"']
    elif dialect == "grimnir":
        options = ["--url", f"ws://127.0.0.1:{port}/api/v1/events?types={first.removeprefix('radio.')}&token={token}"]
    else:
        options = ["--url", f"ws://127.0.0.1:{port}/v1/stream?token={token}",
                   "--send", f'{{"type":"subscribe","events":[{names}],"request_id":"r"}}', "--ready", '"r"']
    return options + (["--sources", SOURCES[dialect]] if dialect in SOURCES else [])


class Crosspoint:
    """Our gateway, clients of one dialect, and the stand-in that publishes over the bus."""

    def __init__(self, bench, dialect="wave", loops=1, cores=SERVER_CORE):
        self.bench, self.dialect, self.loops, self.cores = bench, dialect, loops, cores
        self.name = "Crosspoint"

    @contextlib.contextmanager
    def running(self):
        self.gateway = self.bench.suite.gateway(loops=self.loops, cores=self.cores)
        try:
            yield self
        finally:
            self.gateway.stop()

    @property
    def pids(self):
        return self.gateway.pids

    def client(self, **options):
        return client(self.dialect, self.gateway.port(self.dialect), self.bench.token, **options)

    def client_with_tokens(self, file):
        """As `client`, each with a token of the file."""
        return client(self.dialect, self.gateway.port(self.dialect), "{token}") + ["--tokens", file]

    def publisher(self, *options):
        data = self.bench.data_bytes(self.dialect)
        words = [self.bench.programs / "Bench", "events", "--port", self.gateway.bus_port, "--bytes", data, *options]
        return ["--publisher", " ".join(map(str, words))]

    def arguments(self):
        return self.client() + self.publisher()


class Floor:
    """One coalesced send() a subscriber and turn, and nothing else; fed by the same publisher."""

    name = "raw epoll, coalescing (floor)"

    def __init__(self, bench):
        self.bench = bench

    @contextlib.contextmanager
    def running(self, **options):
        # The server is the next to ask for a free port, and gets the one before these.
        self.bus_port = free_ports(3) + 1
        server = peers.Floor(self.bench.programs / "Floor").start(
            self.bench.folder, SERVER_CORE, f"tcp://127.0.0.1:{self.bus_port}", MESSAGE_BYTES, **options)
        self.pids, self.server = server.pids, server
        try:
            yield self
        finally:
            server.stop()

    def client(self):
        return self.server.arguments(MESSAGE_BYTES)

    def arguments(self):
        words = [self.bench.programs / "Bench", "events", "--port", self.bus_port, "--bytes", MESSAGE_BYTES]
        return self.client() + ["--publisher", " ".join(map(str, words))]


class Bare:
    """libwebsockets in C and nothing else: it answers a client's first message."""

    def __init__(self, bench):
        self.bench = bench

    @contextlib.contextmanager
    def running(self):
        server = peers.BareLibwebsockets(self.bench.programs / "BareLibwebsockets").start(
            self.bench.folder, SERVER_CORE, answer="subscribed")
        self.pids, self.server = server.pids, server
        try:
            yield self
        finally:
            server.stop()

    def arguments(self):
        return self.server.arguments(0) + ["--ready", "subscribed"]


class Peer:
    """A server of somebody else's, which the load generator publishes to in its own way."""

    def __init__(self, bench, kind):
        self.bench, self.kind, self.name = bench, kind(), kind.name

    @contextlib.contextmanager
    def running(self):
        server = self.kind.start(self.bench.folder, SERVER_CORE)
        self.pids, self.server = server.pids, server
        try:
            yield self
        finally:
            server.stop()

    def arguments(self):
        return self.server.arguments(MESSAGE_BYTES)
