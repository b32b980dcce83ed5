#!/usr/bin/python3
"""Tests the load generator against a server that loses, doubles and swaps messages on request.

Usage: test_load_generator.py PATH-OF-BINARY [unittest's arguments]
"""

import base64
import hashlib
import json
import os
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from urllib.parse import parse_qs, urlsplit

BINARY = ""
TEXT, BINARY_FRAME, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload, final=True, mask=False):
    head = bytes([(0x80 if final else 0) | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack(">BH", bit | 126, len(payload))
    else:
        head += struct.pack(">BQ", bit | 127, len(payload))
    return head + (bytes(4) if mask else b"") + payload


class Peer:
    """A connection of the generator. The query of its URL says what is wrong with it."""

    def __init__(self, server, connection):
        self.server = server
        self.socket = connection
        self.reader = connection.makefile("rb")
        self.lock = threading.Lock()
        self.open = False
        self.messages, self.pongs, self.close_code = [], [], None
        self.held = []

    def serve(self):
        try:
            self.upgrade()
            while self.take_frame():
                pass
        except (OSError, ValueError, struct.error):
            pass
        finally:
            self.open = False
            self.reader.close()
            self.socket.close()

    def upgrade(self):
        request = self.reader.readline().decode()
        self.target = request.split(" ")[1]
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}
        self.headers = {}
        while (line := self.reader.readline().decode().strip()) != "":
            name, value = line.split(":", 1)
            self.headers[name.lower()] = value.strip()
        self.server.peers.append(self)
        if "refuse" in self.query:
            self.socket.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            raise ValueError
        key = self.headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest()).decode()
        answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.send(f"{answer}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        self.open = True
        if "early" in self.query:
            self.send(frame(CLOSE, struct.pack(">H", 1013) + b"later"))
        if "leave" in self.query:
            leave = frame(PING, b"") + frame(CLOSE, struct.pack(">H", 1001) + b"\xff\"")
            threading.Timer(float(self.query["leave"]), self.send, [leave]).start()

    def take_frame(self):
        first, second = self.reader.read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.reader.read(2))
        mask = self.reader.read(4)
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.reader.read(length)))
        opcode = first & 0x0F
        if opcode == CLOSE:
            self.close_code = struct.unpack(">H", payload[:2])[0] if payload else None
            return False
        if opcode == PONG:
            self.pongs.append(payload)
        if opcode in (TEXT, BINARY_FRAME):
            self.messages.append((opcode, payload))
            self.answer(payload)
        return True

    def answer(self, message):
        if "mute" in self.query:
            return
        if message.startswith(b"sub"):
            time.sleep(float(self.query.get("delay", 0)))
            self.send(frame(TEXT, b'{"subscribed":true}'))

    def send(self, data):
        with self.lock:
            if "dribble" in self.query:
                for at in range(0, len(data), 7):
                    self.socket.sendall(data[at:at + 7])
                    time.sleep(0.0002)
            else:
                self.socket.sendall(data)

    def deliver(self, payload):
        try:
            self.deliver_or_not(payload)
        except OSError:
            self.open = False

    def deliver_or_not(self, payload):
        number = json.loads(payload)[self.query.get("count", "seq")]
        wrong = {name: {int(word) for word in self.query[name].split(",")}
                 for name in ("lose", "double", "swap", "close", "cut", "late", "masked") if name in self.query}
        at = {name for name, numbers in wrong.items() if number in numbers}
        if "close" in at:
            self.open = False
            self.send(frame(CLOSE, struct.pack(">H", 1008) + b"too slow"))
            return
        if "cut" in at:
            self.open = False
            self.socket.shutdown(socket.SHUT_RDWR)
            return
        if "late" in at:  # after the generator has given up waiting
            threading.Timer(0.9, self.send, [frame(TEXT, payload)]).start()
            return
        if "swap" in at:
            self.held.append(payload)
            return
        if "lose" not in at:
            self.send(self.framed(payload, masked="masked" in at))
        if "double" in at:
            self.send(self.framed(payload))
        for held in self.held:
            self.send(self.framed(held))
        self.held = []

    def framed(self, payload, masked=False):
        if "fragments" in self.query:
            parts = payload[:9], payload[9:40], payload[40:]
            return (frame(TEXT, parts[0], False) + frame(PING, b"between") + frame(0, parts[1], False)
                    + frame(0, b"", False) + frame(0, parts[2]))
        if "several" in self.query:  # one message after another in one frame
            return frame(TEXT, b"".join(b"MSG " + payload + b"\r\n" for payload in self.several(payload)))
        if "large" in self.query:
            return frame(TEXT, b" " * 300_000 + payload)
        return frame(TEXT, payload, mask=masked)

    def several(self, payload):
        document = json.loads(payload)
        count = int(self.query["several"])
        return [json.dumps({"t0": document["t0"], "seq": document["seq"] * count + at}).encode()
                for at in range(count)]


class Server:
    """Passes each line that is published on to the connections of its room."""

    def __init__(self):
        self.peers = []
        self.published_first = None
        self.websockets = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.publishers = socket.create_server(("127.0.0.1", 0))
        self.port = self.websockets.getsockname()[1]
        self.publish_port = self.publishers.getsockname()[1]
        self.drops_publisher = False
        threading.Thread(target=self.accept, args=(self.websockets, self.serve), daemon=True).start()
        threading.Thread(target=self.accept, args=(self.publishers, self.take_published), daemon=True).start()

    def accept(self, listener, serve):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        Peer(self, connection).serve()

    def take_published(self, connection):
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"hello"):
                    self.published_first = line
                    connection.sendall(b"noise" * 1000)
                elif self.drops_publisher:
                    return
                else:
                    self.publish(*line.rstrip(b"\n").split(b" ", 2))

    def publish(self, room, length, payload):
        assert len(payload) == int(length)
        for peer in self.peers:
            if peer.open and peer.query.get("room", room.decode()) == room.decode():
                peer.deliver(payload)

    def close(self):
        for listener in (self.websockets, self.publishers):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def publish_as_child(port, parts):
    """What --publisher runs: this file with --publish."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        print("some noise\nready", flush=True)
        for line in sys.stdin:
            word, first, count, rate = line.split()
            assert word == "go"
            first, count, rate = int(first), int(count), float(rate)
            start, lag = time.monotonic_ns(), 0
            for event in range(first, first + count):
                due = start + int((event - first) * 1e9 / rate)
                time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
                lag = max(lag, time.monotonic_ns() - due)
                payload = json.dumps({"t0": due, "seq": event, "part": event // parts}).encode()
                connection.sendall(b"%d %d %s\n" % (event % parts, len(payload), payload))
            print(f"done {count} {start} {time.monotonic_ns()} {lag} cpu_us=12.5 batches={count} x=y", flush=True)


class Run:
    def __init__(self, arguments):
        process = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        self.status, self.error, self.output = process.returncode, process.stderr, process.stdout
        self.lines = [json.loads(line) for line in process.stdout.splitlines()]

    def kind(self, name):
        return [line for line in self.lines if line["kind"] == name]

    @property
    def connect(self):
        return self.kind("connect")[0]

    @property
    def step(self):
        return self.kind("step")[0]


CLEAN = {"lost": 0, "gaps": 0, "duplicates": 0, "disordered": 0, "late": 0, "foreign": 0, "closed": 0}
QUICK = ["--settle", 0.05, "--drain", 0.4, "--pause", 0.05]


class LoadGeneratorTest(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)

    def url(self, query=""):
        return f"ws://127.0.0.1:{self.server.port}/events?{query}"

    def publish_to(self, rates="100", seconds=0.3):
        return ["--publish-to", f"localhost:{self.server.publish_port}", "--prefix", "{part} {len} ", "--suffix", r"\n",
                "--rates", rates, "--seconds", seconds, "--size", 200]

    def child(self, parts=1, rates="100", seconds=0.3):
        words = [sys.executable, os.path.abspath(__file__), "--publish", str(self.server.publish_port), str(parts)]
        return ["--publisher", shlex.join(words), "--rates", rates, "--seconds", seconds]

    def run_faulty(self, query, *more, clients=2):
        """The first step of a run of which one connection is served as the query says."""
        return Run(["--group", clients, "--url", self.url(), "--group", 1, "--url", self.url(query),
                    *QUICK, *self.publish_to(), *more])

    def assert_fields(self, line, **expected):
        self.assertEqual({name: line[name] for name in expected}, expected, line)

    def assert_clean(self, run, **expected):
        self.assertEqual(run.status, 0, run.error or run.output)
        for step in run.kind("step"):
            self.assert_fields(step, **CLEAN)
            self.assertEqual(step["delivered"], step["expected"])
        self.assert_fields(run.step, **expected)

    # Clean runs

    def test_clean_run_with_built_in_publisher(self):
        run = Run(["--url", self.url(), "--clients", 5, "--send", "sub", "--label", "a \"b\"", *QUICK,
                   "--publish-first", r"hello\x20you\n", *self.publish_to("100,200")])
        self.assert_clean(run, rate=100, published=30, expected=150, parts=1, label="a \"b\"")
        second = run.kind("step")[1]
        self.assert_fields(second, rate=200, published=60, expected=300, offered_per_second=1000)
        self.assert_fields(run.connect, clients=5, ready=5, failed=0, failures={})
        self.assertEqual(self.server.published_first, b"hello you\n")
        self.assertEqual(second["closings"], {})
        self.assertGreater(second["in_time"], 0.8)
        self.assertAlmostEqual(second["delivered_per_second"], 1000, delta=120)
        self.assertEqual(second["bytes_per_message"], 204)
        latency = second["latency_ms"]
        self.assertTrue(0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"])
        self.assertLess(latency["p50"], 50)

    def test_clean_run_with_child(self):
        run = Run(["--url", self.url(), "--clients", 3, *QUICK, *self.child(rates="50,100")])
        self.assert_clean(run, published=15, expected=45, publisher={"cpu_us": 12.5, "batches": 15})
        self.assert_fields(run.kind("step")[1], published=30, expected=90)

    def test_reports_latency(self):
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write("import sys,time,socket\n"
                         f"s=socket.create_connection(('127.0.0.1',{self.server.publish_port}))\n"
                         "print('ready',flush=True)\n"
                         "for l in sys.stdin:\n"
                         "  t=time.monotonic_ns()\n"
                         "  p='{\"t0\":%d,\"seq\":0}'%(t-70000000)\n"
                         "  s.sendall(b'0 %d %s\\n'%(len(p),p.encode()))\n"
                         "  print('done 1',t,t,0,flush=True)\n")
            script.flush()
            run = Run(["--url", self.url(), *QUICK, "--rates", 1, "--seconds", 0.1,
                       "--publisher", f"{sys.executable} {script.name}"])
        self.assert_clean(run)
        self.assertAlmostEqual(run.step["latency_ms"]["p50"], 75, delta=10)

    def test_frames_in_odd_pieces(self):
        run = self.run_faulty("fragments=1&dribble=1")
        self.assert_clean(run, published=30, expected=90, pings=30)
        peer = next(peer for peer in self.server.peers if "fragments" in peer.query)
        self.assertEqual(peer.pongs, [b"between"] * 30)

    def test_frames_larger_than_the_buffer(self):
        run = Run(["--url", self.url("large=1"), *QUICK, *self.publish_to(rates="30")])
        self.assert_clean(run, published=9)

    def test_several_messages_in_a_frame(self):
        # The publisher says 10 events, the server makes 3 of each.
        run = Run(["--url", self.url("several=3"), "--multi", "--no-seq", *QUICK, *self.publish_to()])
        self.assert_fields(run.step, delivered=90, expected=30)
        run = Run(["--url", self.url("several=1"), "--multi", *QUICK, *self.publish_to()])
        self.assert_clean(run, delivered=30)
        run = Run(["--url", self.url("several=3"), *QUICK, *self.publish_to()])
        self.assert_fields(run.step, delivered=10, gaps=18)  # 0, 3, …, 27; the rest has not been published
        run = Run(["--url", self.url("several=3"), "--multi", *QUICK, *self.publish_to()])
        self.assert_fields(run.step, delivered=30, duplicates=0, disordered=0, foreign=60)

    def test_receives_without_publisher(self):
        timer = threading.Thread(target=self.publish_for, args=(1.0,))
        timer.start()
        run = Run(["--url", self.url("lose=5,6"), "--clients", 2, "--settle", 0, "--seconds", 0.6])
        timer.join()
        step = run.step
        self.assertGreater(step["delivered"], 20)
        self.assertEqual(step["lost"], step["gaps"])
        self.assertEqual(step["lost"], run.status * 4)

    def publish_for(self, seconds):
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            if any(peer.open for peer in self.server.peers):
                payload = json.dumps({"t0": time.monotonic_ns(), "seq": number}).encode()
                self.server.publish(b"0", b"%d" % len(payload), payload)
                number += 1
            time.sleep(0.01)

    # What goes wrong

    def test_loss(self):
        run = self.run_faulty("lose=7,8,20")
        self.assertEqual(run.status, 1)
        self.assert_fields(run.step, **CLEAN | {"lost": 3, "gaps": 3}, expected=90, delivered=87)

    def test_loss_at_the_end_and_the_beginning(self):
        run = self.run_faulty("lose=0,29")
        self.assertEqual(run.status, 1)
        self.assert_fields(run.step, **CLEAN | {"lost": 2, "gaps": 1})

    def test_loss_is_counted_in_its_own_step(self):
        run = self.run_faulty("lose=28,29,30", "--rates", "100,100")
        first, second = run.kind("step")
        self.assertEqual(run.status, 1)
        self.assert_fields(first, **CLEAN | {"lost": 2, "gaps": 0})
        self.assert_fields(second, **CLEAN | {"lost": 1, "gaps": 1})

    def test_loss_without_numbers(self):
        run = self.run_faulty("lose=7,8", "--no-seq")
        self.assertEqual(run.status, 1)
        self.assert_fields(run.step, **CLEAN | {"lost": 2})

    def test_duplicates(self):
        run = self.run_faulty("double=3,4,29")
        self.assertEqual(run.status, 1)
        self.assert_fields(run.step, **CLEAN | {"duplicates": 3}, expected=90, delivered=90)

    def test_disorder(self):
        run = self.run_faulty("swap=3,10,11")
        self.assertEqual(run.status, 1)
        # 3 behind 4; 10 and 11 behind 12
        self.assert_fields(run.step, **CLEAN | {"disordered": 3}, expected=90, delivered=90)

    def test_all_at_once(self):
        run = self.run_faulty("swap=3&lose=5,6,7&double=9")
        self.assert_fields(run.step, **CLEAN | {"lost": 3, "gaps": 3, "duplicates": 1, "disordered": 1})

    def test_late_messages_are_no_disorder(self):
        run = self.run_faulty("late=29", "--rates", "100,50", "--seconds", 0.3, "--pause", 0.6)
        first, second = run.kind("step")
        self.assertEqual(run.status, 1)
        self.assert_fields(first, **CLEAN | {"lost": 1})
        self.assert_fields(second, **CLEAN | {"late": 1}, delivered=45)

    def test_late_messages_without_numbers(self):
        run = self.run_faulty("late=29", "--rates", "100,50", "--seconds", 0.3, "--no-seq")
        self.assert_fields(run.kind("step")[1], **CLEAN | {"late": 1}, delivered=45)

    def test_closing_with_a_code(self):
        run = self.run_faulty("close=10")
        self.assertEqual(run.status, 1)
        self.assert_fields(run.step, **CLEAN | {"closed": 1, "lost": 20}, closings={"1008 too slow": 1}, expected=90)
        self.assertEqual([peer.close_code for peer in self.server.peers if "close" in peer.query], [1008])

    def test_closing_without_a_word(self):
        run = self.run_faulty("cut=10")
        self.assertEqual(run.status, 1)
        self.assert_fields(run.step, closed=1, lost=20, closings={"end of stream": 1})

    def test_masked_frames_are_failures(self):
        run = self.run_faulty("masked=10")
        self.assertEqual(run.status, 1)
        self.assert_fields(run.step, closed=1, closings={"protocol: a masked frame": 1})

    def test_all_closed(self):
        run = Run(["--url", self.url("cut=0"), "--clients", 2, *QUICK, *self.publish_to("10,20")])
        self.assertEqual(run.status, 1)
        self.assertEqual(len(run.kind("step")), 1)

    def test_stop_ratio_and_half(self):
        run = self.run_faulty("lose=" + ",".join(map(str, range(30))), "--rates", "100,50,50", "--stop-ratio", "0.9",
                              "--half", "0.5", clients=1)
        self.assertEqual([step["rate"] for step in run.kind("step")], [100, 25])

    # Connections

    def test_placeholders_groups_and_tokens(self):
        with tempfile.NamedTemporaryFile("w") as tokens:
            tokens.write("alpha\nbeta\n")
            tokens.flush()
            run = Run(["--url", self.url("a={i}&b={i%2}&c={i/2}"), "--header", "X-Token: {token}",
                       "--send", r"{x}{i}\n", "--send-hex", "00 {i%2} ff", "--send-binary", r"\xfe{token}\0",
                       "--tokens", tokens.name, "--subprotocol", "one", "--group", 3,
                       "--group", 1, "--url", self.url("other={i}"), "--header", "X-Own: {i}", "--send", "own",
                       "--subprotocol", "two", "--settle", 0.2, "--seconds", 0])
        self.assertEqual(run.status, 0, run.error)
        self.assert_fields(run.connect, ready=4, clients=4)
        peers = {peer.target: peer for peer in self.server.peers}
        self.assertEqual(len(peers), 4)
        for index, token in enumerate(["alpha", "beta", "alpha"]):
            peer = peers[f"/events?a={index}&b={index % 2}&c={index // 2}"]
            self.assertEqual(peer.headers["x-token"], token)
            self.assertEqual(peer.headers["sec-websocket-protocol"], "one")
            self.assertEqual(peer.messages, [
                (TEXT, b"{x}%d\n" % index), (BINARY_FRAME, b"\0%d\xff" % (index % 2)),
                (BINARY_FRAME, b"\xfe" + token.encode() + b"\0")])
        own = peers["/events?other=0"]
        self.assertEqual((own.headers.get("x-token"), own.headers["x-own"]), (None, "0"))
        self.assertEqual((own.messages, own.headers["sec-websocket-protocol"]), ([(TEXT, b"own")], "two"))

    def test_parts(self):
        run = Run(["--url", self.url("room={i%3}"), "--parts", 3, "--part", "{i%3}", "--seq-mark", '"part":',
                   "--group", 6, "--group", 1, "--url", self.url(), "--parts", 1, "--part", "0", "--seq-mark", '"seq":',
                   *QUICK, *self.publish_to()])
        self.assertEqual(run.status, 2, "--part without --parts")
        groups = ["--group", 6, "--url", self.url("room={i%3}"), "--parts", 3, "--part", "{i%3}",
                  "--seq-mark", '"part":', "--group", 1, "--url", self.url()]
        run = Run([*groups, *QUICK, *self.publish_to(rates="100,100", seconds=0.31)])
        self.assert_clean(run, parts=3, published=31, expected=3 * 31)
        self.assert_fields(run.kind("step")[1], expected=3 * 31)
        run = Run([*groups, *QUICK, *self.child(parts=3, seconds=0.31)])
        self.assert_clean(run, parts=3, published=31, expected=3 * 31)

    def test_loss_within_a_part(self):
        run = Run(["--group", 3, "--url", self.url("room={i}&count=part&lose=4&double=5&swap=7"), "--parts", 3,
                   "--part", "{i}", "--seq-mark", '"part":', *QUICK, *self.publish_to()])
        self.assert_fields(run.step, **CLEAN | {"lost": 3, "gaps": 3, "duplicates": 3, "disordered": 3}, expected=30)

    def test_foreign_part(self):
        run = Run(["--group", 1, "--url", self.url("room=0"), "--parts", 2, "--part", "1", "--seq-mark", '"seq":',
                   *QUICK, *self.publish_to()])
        self.assertEqual(run.status, 1)
        self.assertGreater(run.step["foreign"], 0)

    def test_ready(self):
        run = Run(["--url", self.url("delay=0.2"), "--clients", 2, "--send", "sub", "--ready", '"subscribed"',
                   "--settle", 0, "--seconds", 0])
        self.assertEqual(run.status, 0, run.error)
        self.assertGreater(run.connect["ms"]["p50"], 190)
        self.assertEqual(run.connect["first_bytes"], 2 * (2 + len('{"subscribed":true}')))

    def test_never_ready(self):
        run = Run(["--group", 1, "--url", self.url("mute=1"), "--group", 1, "--url", self.url(), "--send", "sub",
                   "--ready", "subscribed", "--connect-timeout", 0.3, "--settle", 0, "--seconds", 0])
        self.assert_fields(run.connect, ready=2, failed=0)
        run = Run(["--group", 1, "--url", self.url("mute=1"), "--send", "sub", "--ready", "subscribed", "--group", 1,
                   "--url", self.url(), "--connect-timeout", 0.3, "--settle", 0, "--seconds", 0])
        self.assertEqual(run.status, 1)
        self.assert_fields(run.connect, ready=1, failed=1, failures={"not ready in time": 1})

    def test_refused_and_closed_while_connecting(self):
        run = Run(["--group", 2, "--url", self.url("refuse=1"), "--group", 1, "--url", self.url("early=1"), "--ready",
                   "x", "--group", 1, "--url", "ws://127.0.0.1:1/", "--settle", 0, "--seconds", 0])
        self.assertEqual(run.status, 1)
        self.assert_fields(run.connect, ready=0, failed=4, failures={
            "HTTP/1.1 401 Unauthorized": 2, "1013 later": 1, "Connection refused": 1})

    def test_connect_rate_and_sources(self):
        run = Run(["--url", self.url(), "--clients", 20, "--connect-rate", 50, "--sources", 3, "--settle", 0,
                   "--seconds", 0])
        self.assertEqual(run.status, 0)
        self.assertAlmostEqual(run.connect["per_second"], 52, delta=6)

    def test_slow_connections(self):
        run = Run(["--url", self.url(), "--clients", 2, "--slow", 0.5, "--receive-buffer", 4096, *QUICK,
                   *self.publish_to()])
        self.assert_clean(run, expected=30, slow_closed=0)
        run = Run(["--url", self.url("close=10"), "--clients", 1, "--slow", 1, *QUICK, *self.publish_to()])
        self.assertEqual(run.status, 0)
        self.assert_fields(run.step, expected=0, closed=0)

    def test_idle_and_usage(self):
        run = Run(["--url", self.url(), "--clients", 3, "--send", "sub", "--pid", os.getpid(), "--settle", 0.1,
                   "--idle", 0.3, "--drain", 0.4, *self.publish_to()])
        self.assertEqual(run.status, 0, run.error)
        (idle,) = run.kind("idle")
        self.assert_fields(idle, pings=0, bytes_received=0, closed=0)
        self.assertAlmostEqual(idle["seconds"], 0.3, delta=0.1)
        self.assertGreater(idle["rss_kb_before"], 5000)
        self.assertGreaterEqual(idle["cpu_ms"], 0)
        self.assertGreater(run.connect["cpu_us_per_connection"], 10)
        step = run.step
        self.assertGreater(step["cpu_us_per_delivery"], 5)
        self.assertGreater(step["cpu_percent"], 0.5)
        self.assertGreater(step["rss_kb"], 5000)

    def test_closed_while_idle(self):
        run = Run(["--url", self.url("leave=0.2"), "--clients", 2, "--settle", 0.05, "--idle", 0.4, "--seconds", 0])
        self.assertEqual(run.status, 1)
        self.assert_fields(run.kind("idle")[0], closed=2, closings={'1001 ?"': 2}, pings=2)

    def test_closed_after_all_has_come(self):
        run = Run(["--group", 1, "--url", self.url("leave=0.9"), "--group", 1, "--url", self.url(), "--settle", 0.05,
                   "--pause", 0.6, *self.publish_to("100,100")])
        self.assertEqual(run.status, 1)
        first, second = run.kind("step")
        self.assert_fields(first, closed=0, lost=0, expected=60)
        self.assert_fields(second, closed=1, lost=0, expected=30, closings={'1001 ?"': 1})

    def test_usage_of_threads_that_end(self):
        code = ("import threading,time\n"
                "def burn():\n"
                "  end=time.time()+.04\n"
                "  while time.time()<end: pass\n"
                "while True: threading.Thread(target=burn).start(); time.sleep(.08)\n")
        with subprocess.Popen([sys.executable, "-c", code]) as burner:
            run = Run(["--url", self.url(), "--pid", burner.pid, "--settle", 0.1, "--idle", 0.6, "--seconds", 0.6])
            burner.kill()
        for line in run.kind("idle") + run.kind("step"):
            self.assertGreater(line["cpu_percent"], 10)
            self.assertLess(line["cpu_percent"], 90)

    # Publishers that fail

    def test_publisher_that_fails(self):
        for command in ("false", "echo ready", "echo ready; read line; exit 3", "echo ready; read line; echo nonsense"):
            run = Run(["--url", self.url(), *QUICK, "--rates", 10, "--seconds", 0.1, "--publisher",
                       f"sh -c '{command}'"])
            self.assertEqual(run.status, 1, command)
            self.assertIn("publisher", run.error)

    def test_publisher_whose_connection_ends(self):
        self.server.drops_publisher = True
        run = Run(["--url", self.url(), *QUICK, *self.publish_to()])
        self.assertEqual(run.status, 1)
        self.assertEqual(run.step["error"], "the publisher failed")

    def test_publisher_is_held_up(self):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            start = time.monotonic()
            run = Run(["--url", self.url(), *QUICK, *self.publish_to(rates="2000", seconds=0.2), "--size", 100_000,
                       "--publish-to", f"127.0.0.1:{deaf.getsockname()[1]}"])
        self.assertLess(time.monotonic() - start, 6)
        self.assertLess(run.step["published"], 400)

    # Misuse

    def test_misuse(self):
        url = ["--url", self.url()]
        for arguments in (
            [], ["--nonsense"], ["--url"], ["--url", "http://127.0.0.1/"], ["--url", "ws://example.org/"],
            ["--url", "ws://127.0.0.1:99999/"], [*url, "stray"], [*url, "--clients", "0"], [*url, "--clients", "x"],
            [*url, "--clients", "9999999"], [*url, "--clients", "1", "--group", "1"], [*url, "--rates", "10"],
            [*url, "--publish-to", "127.0.0.1:1"], [*url, "--rates", "1,,2", "--publish-to", "127.0.0.1:1"],
            [*url, "--rates", "0", "--publish-to", "127.0.0.1:1"], [*url, "--send", r"\q"], [*url, "--send", r"\x1"],
            [*url, "--send", "{token}"], [*url, "--send", "{i%0}"], [*url, "--send-hex", "123"],
            [*url, "--header", "no colon"], [*url, "--tokens", "/nowhere"], [*url, "--slow", "2"],
            [*url, "--parts", "2", "--part", "2"], [*url, "--parts", "2", "--part", "x"], [*url, "--pid", "a"],
            [*url, "--parts", "2", "--group", "1", "--group", "1", "--parts", "3"], [*url, "--seconds", "nan"],
            [*url, "--rates", "1", "--publish-to", "127.0.0.1:1", "--publisher", "true"], [*url, "--seq-mark", ""],
        ):
            run = Run(arguments)
            self.assertEqual(run.status, 2, arguments)
            self.assertEqual(run.error.count("\n"), 1, (arguments, run.error))
            self.assertEqual(run.output, "")

    def test_help_names_every_option(self):
        process = subprocess.run([BINARY, "--help"], capture_output=True, text=True)
        self.assertEqual(process.returncode, 0)
        for option in ("url", "clients", "group", "publisher", "pid", "receive-buffer", "stop-ratio"):
            self.assertIn(f"--{option}", process.stdout)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--publish"]:
        publish_as_child(int(sys.argv[2]), int(sys.argv[3]))
    elif len(sys.argv) < 2:
        sys.exit(__doc__)
    else:
        BINARY = os.path.abspath(sys.argv.pop(1))
        unittest.main()
