"""The servers that the gateway is compared with: three peers from Debian's packages, and two programs of our own.

    server = Nchan().start(folder, cpu=0)
    arguments = server.arguments(message_bytes=512)     # for the load generator
    ... server.pids ...
    server.stop()

`message_bytes` is the payload of a WebSocket frame per message: JSON and envelope, without the frame's header.
"""

import os
import pathlib
import resource
import socket
import subprocess
import time

from suite import free_ports

HOST = "127.0.0.1"

PATIENCE = 15
"""Seconds that a server may take to start, or to end."""


class DidNotStart(Exception):
    """What the server said instead of listening."""


def serves(port):
    """Whether somebody answers there, or hangs up: nginx listens long before its worker serves."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as probe:
            probe.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            probe.recv(1)
            return True
    except ConnectionResetError:
        return True
    except OSError:
        return False


def processes():
    """Parent by process id, of all processes."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name, in brackets, may hold anything.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
    return parents


def url(port, path="/"):
    """Where the load generator subscribes."""
    return ["--url", f"ws://{HOST}:{port}{path}"]


def first(protocol, message_bytes, sizes):
    """Lengths written with a variable number of digits leave gaps: 130 bytes with MQTT, for example."""
    for size in sizes:
        return size
    raise ValueError(f"no message of {protocol} is {message_bytes} bytes long")


class Server:
    """A server of `count` processes. `options` tells the load generator's options for the bytes of a message."""

    def __init__(self, command, cpu, ports, options, count=1):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # In memory, without bound: neither the disk nor a full pipe holds the server up.
        self.output = os.memfd_create("output")
        self.ports, self.options, self.count = ports, options, count
        self.process = subprocess.Popen(
            ["prlimit", f"--nofile={limit}:{limit}", "taskset", "-c", str(cpu), *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise

    def said(self):
        """All that it has written so far."""
        return os.pread(self.output, 1 << 20, 0).decode(errors="replace")

    def wait(self):
        """Returns as soon as it serves at all ports, and all its processes run."""
        end = time.monotonic() + PATIENCE
        while not all(map(serves, self.ports)) or len(self.pids) < self.count:
            if self.process.poll() is not None or time.monotonic() > end:
                raise DidNotStart(f"{self.process.args}: {self.said()}")
            time.sleep(0.01)

    @property
    def pids(self):
        """The process and all below it."""
        parents, found = processes(), [self.process.pid]
        for each in found:
            found += [child for child, parent in parents.items() if parent == each]
        return found

    def arguments(self, message_bytes, publisher=()):
        """For the load generator. `publisher`: options of the caller, where the server has no publisher of its own."""
        return [*self.options(message_bytes), *map(str, publisher)]

    def stop(self):
        """Ends it, in the end by force, with its workers."""
        pids = self.pids if self.process.poll() is None else []
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
            self.process.wait()
        if self.output is not None:
            os.close(self.output)
            self.output = None


class Nchan:
    """nginx with nchan, one worker. Publishing is a POST per message, on one connection."""

    name = "nchan"

    def start(self, folder, cpu):
        """Serves /subscribe and /publish."""
        folder = pathlib.Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        port = free_ports(1)
        configuration = folder / "nginx.conf"
        configuration.write_text(self.configuration(folder, port))
        command = ["/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c", configuration]
        return Server(command, cpu, [port], lambda message_bytes: self.options(port, message_bytes), count=2)

    @staticmethod
    def configuration(folder, port):
        """Messages are kept long enough that a slow subscriber finds each one; nobody is ever timed out."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        temporary = "\n".join(
            f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
{"user root;" if os.getuid() == 0 else ""}
daemon off;
worker_processes 1;
worker_rlimit_nofile {limit};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{
    use epoll;
    multi_accept on;
    worker_connections {min(limit, 20000)};
}}
http {{
    access_log off;
{temporary}
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    keepalive_time 24h;
    client_body_buffer_size 64k;
    nchan_shared_memory_size 1g;
    server {{
        listen {HOST}:{port} backlog=4096;
        location = /subscribe {{
            nchan_subscriber websocket;
            nchan_channel_id events;
            nchan_subscriber_first_message newest;
            nchan_subscriber_timeout 0;
            nchan_websocket_ping_interval 0;
        }}
        location = /publish {{
            nchan_publisher http;
            nchan_channel_id events;
            nchan_message_buffer_length 100000;
            nchan_message_timeout 5m;
        }}
    }}
}}
"""

    @staticmethod
    def options(port, message_bytes):
        """There is no envelope: the body goes out as it is."""
        head = rf"POST /publish HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        return url(port, "/subscribe") + [
            "--publish-to", f"{HOST}:{port}", "--prefix", head + r"Content-Length: {len}\r\n\r\n",
            "--size", str(message_bytes)]


class Mosquitto:
    """MQTT 3.1.1 over WebSocket, QoS 0; publishing over plain MQTT. The topic is `t`."""

    name = "mosquitto"

    CONNECT = "100c00044d515454040200000000"
    SUBSCRIBE = "8206000100017400"
    """CONNECT: clean session, no keep-alive, no client id."""

    TOPIC_BYTES = 3

    def start(self, folder, cpu):
        """One listener for subscribers, one for the publisher."""
        folder = pathlib.Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        web = free_ports(2)
        plain = web + 1
        configuration = folder / "mosquitto.conf"
        configuration.write_text(self.configuration(web, plain))
        command = ["/usr/sbin/mosquitto", "-c", configuration]
        return Server(command, cpu, [web, plain], lambda message_bytes: self.options(web, plain, message_bytes))

    @staticmethod
    def configuration(web, plain):
        """No limit of a queue: 0 stands for none, so a burst is kept."""
        return f"""per_listener_settings false
{"user root" if os.getuid() == 0 else ""}
allow_anonymous true
persistence false
log_dest none
log_type none
sys_interval 0
set_tcp_nodelay true
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
max_inflight_bytes 0
listener {web} {HOST}
protocol websockets
listener {plain} {HOST}
"""

    @classmethod
    def options(cls, web, plain, message_bytes):
        """A packet is type, remaining length (1 to 4 bytes), topic and payload."""
        remaining = first("MQTT", message_bytes, (
            message_bytes - 1 - width for width in range(1, 5)
            if len(cls.variable(max(message_bytes - 1 - width, 0))) == width))
        prefix = r"\x30" + "".join(rf"\x{byte:02x}" for byte in cls.variable(remaining)) + r"\x00\x01t"
        return url(web) + [
            "--subprotocol", "mqtt", "--multi", "--send-hex", cls.CONNECT, "--send-hex", cls.SUBSCRIBE,
            "--publish-to", f"{HOST}:{plain}", "--publish-first-hex", cls.CONNECT,
            "--prefix", prefix, "--size", str(remaining - cls.TOPIC_BYTES)]

    @staticmethod
    def variable(length):
        """MQTT's variable length: seven bits a byte, the lowest first."""
        digits = bytearray()
        while True:
            length, digit = divmod(length, 128)
            digits.append(digit | (0x80 if length else 0))
            if not length:
                return bytes(digits)


class Nats:
    """NATS over WebSocket; publishing over its plain protocol. The subject is `t`."""

    name = "nats"

    def start(self, folder, cpu):
        """One port for subscribers, one for the publisher."""
        folder = pathlib.Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        web = free_ports(2)
        plain = web + 1
        configuration = folder / "nats.conf"
        configuration.write_text(self.configuration(web, plain))
        command = ["/usr/sbin/nats-server", "-c", configuration]
        return Server(command, cpu, [web, plain], lambda message_bytes: self.options(web, plain, message_bytes))

    @staticmethod
    def configuration(web, plain):
        """Nobody is a slow consumer, and nobody has to answer a PING: the load generator does not speak NATS."""
        return f"""host: "{HOST}"
port: {plain}
max_connections: 65536
max_pending: 1GB
write_deadline: "60s"
ping_interval: "1h"
ping_max: 1000
websocket {{
    host: "{HOST}"
    port: {web}
    no_tls: true
    compression: false
    handshake_timeout: "60s"
}}
"""

    @staticmethod
    def options(web, plain, message_bytes):
        r"""What arrives is `MSG t 1 LENGTH\r\nPAYLOAD\r\n`."""
        size = first("NATS", message_bytes, (
            size for size in range(message_bytes, 0, -1)
            if len(f"MSG t 1 {size}\r\n\r\n") + size == message_bytes))
        connect = r'CONNECT {"verbose":false}\r\n'
        return url(web) + [
            "--multi", "--send-binary", connect + r"SUB t 1\r\n",
            "--publish-to", f"{HOST}:{plain}", "--publish-first", connect,
            "--prefix", r"PUB t {len}\r\n", "--suffix", r"\r\n", "--size", str(size)]


class Floor:
    """Our raw epoll broadcaster, fed by a ZeroMQ bus. The caller publishes there."""

    name = "floor"

    def __init__(self, binary):
        self.binary = pathlib.Path(binary).absolute()

    def start(self, folder, cpu, bus, message_bytes=512, answer=None, ping=None):
        """Connects to `bus`; pads every message to `message_bytes`."""
        port = free_ports(1)
        command = [self.binary, "--port", port, "--bus", bus, "--bytes", message_bytes]
        command += ["--answer", answer] if answer is not None else []
        command += ["--ping", ping] if ping is not None else []

        def options(wanted_bytes):
            if wanted_bytes != message_bytes:
                raise ValueError(f"this floor pads to {message_bytes} bytes, not to {wanted_bytes}")
            return url(port) + ["--send", "subscribe"]

        return Server(command, cpu, [port], options)


class BareLibwebsockets:
    """Our plain libwebsockets server: answers the first message, delivers nothing."""

    name = "libwebsockets"

    def __init__(self, binary):
        self.binary = pathlib.Path(binary).absolute()

    def start(self, folder, cpu, answer=None):
        """For connect rates."""
        port = free_ports(1)
        command = [self.binary, "--port", port] + (["--answer", answer] if answer is not None else [])
        return Server(command, cpu, [port], lambda message_bytes: url(port) + ["--send", "subscribe"])


PEERS = {"nchan": Nchan, "mosquitto": Mosquitto, "nats": Nats}
