"""A WebSocket client on bare sockets. It keeps the protocol, and breaks it where a case asks for that."""

import asyncio
import base64
import collections
import hashlib
import json
import secrets
import socket
import time

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """An HTTP answer instead of the upgrade. Header names are in lower case."""

    def __init__(self, version, status, reason, headers, body):
        super().__init__(f"HTTP {status} {reason}: {body[:300].decode(errors='replace')}")
        self.version, self.status, self.reason, self.headers, self.body = version, status, reason, headers, body

    @property
    def json(self):
        """The body, read as JSON."""
        return json.loads(self.body)


class Closed(Exception):
    """The connection has ended. Code 1005: a CLOSE frame without a code; 1006: TCP ended without a CLOSE frame."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code, self.reason = code, reason


def anything(message):
    """Fits every message."""
    return True


def request_bytes(method, path, headers):
    """The head of a request; a header whose value is None is left out, a list is sent as several lines."""
    lines = [f"{method} {path} HTTP/1.1"]
    for name, value in headers.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                lines.append(f"{name}: {each}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def merged(defaults, headers):
    """The defaults with `headers` over them; names are compared without regard to case."""
    taken = {name.lower() for name in headers}
    return {name: value for name, value in defaults.items() if name.lower() not in taken} | dict(headers)


def parse_head(head):
    """Splits an answer's head into version, status, reason and headers."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, reason = (first.split(" ", 2) + ["", ""])[:3]
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return version.encode(), int(status), reason, headers


def coming_from(address):
    """How a client comes from an address: its connection from one of this machine, or any other's X-Forwarded-For, which
    nobody is local by."""
    is_here = address is not None and (address.startswith("127.") or address == "::1")
    return (address, None) if is_here else (None, address)


def masked(payload, key):
    """The payload under the mask; the same again takes it off."""
    length = len(payload)
    stream = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(length, "big")


def frame_bytes(opcode, payload=b"", fin=True, rsv=0, mask=True, length=None, width=None):
    """One frame. `length` is what the header claims (default: the truth), `width` the bits that it claims it in."""
    claimed = len(payload) if length is None else length
    width = width or (7 if claimed < 126 else 16 if claimed < 65536 else 64)
    flag = 0x80 if mask else 0
    head = bytearray([(0x80 if fin else 0) | rsv << 4 | opcode])
    if width == 7:
        head.append(flag | claimed)
    else:
        head.append(flag | (126 if width == 16 else 127))
        head += claimed.to_bytes(width // 8, "big")
    if not mask:
        return bytes(head) + payload
    key = secrets.token_bytes(4)
    return bytes(head) + key + masked(payload, key)


class Socket(asyncio.Protocol):
    """A WebSocket, as its client sees it."""

    def __init__(self, read):
        self.headers = {}
        self.pings, self.pongs, self.frames = [], [], []
        self.answers_pings = self.answers_close = True
        self.last_heard = time.monotonic()
        self.sent_close = False
        self._read_from_start = read
        self._bytes = bytearray()
        self._messages = collections.deque()
        self._parts = None
        self._closed = None
        self._lost = False
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._greeting = asyncio.get_running_loop().create_future()
        self._head = None

    # Opening

    @classmethod
    async def open(cls, port, path="/", headers={}, address=None, read=True, receive_buffer=None, timeout=20):
        """Connects and upgrades, from `address` as `coming_from` has it; a header of None is left out. Without `read`
        nothing is read after the answer until `resume`. Raises Refused."""
        source, forwarded = coming_from(address)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        head = merged({
            "Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13", "X-Forwarded-For": forwarded,
        }, headers)
        self = await cls.connect(port, read=read, receive_buffer=receive_buffer, source=source)
        try:
            self._transport.write(request_bytes("GET", path, head))
            async with asyncio.timeout(timeout):
                await self._greeting
        except BaseException:
            await self.drop()
            raise
        given = {name.lower(): value for name, value in head.items()}["sec-websocket-key"]
        expected = base64.b64encode(hashlib.sha1(f"{given}{GUID}".encode()).digest()).decode()
        assert self.headers.get("sec-websocket-accept") == expected, f"wrong Sec-WebSocket-Accept: {self.headers}"
        return self

    @classmethod
    async def connect(cls, port, read=True, receive_buffer=None, source=None):
        """A TCP connection on which nothing has been sent yet; `raw` sends, `answer` waits for the HTTP answer. `source`
        is the loopback address that it comes from."""
        own = source or "127.0.0.1"
        bare = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET)
        bare.setblocking(False)
        if receive_buffer:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            bare.bind((source, 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(bare, ("::1" if ":" in own else "127.0.0.1", port))
        _, self = await loop.create_connection(lambda: cls(read), sock=bare)
        return self

    async def answer(self, timeout=10):
        """Waits for the answer to a request that `raw` sent. Raises Refused unless it is 101."""
        async with asyncio.timeout(timeout):
            await asyncio.shield(self._greeting)

    # Sending

    async def send(self, message):
        """Sends a dict or list as JSON, a str as text, bytes as a binary message."""
        if isinstance(message, (dict, list)):
            message = json.dumps(message)
        if isinstance(message, str):
            await self.frame(TEXT, message.encode())
        else:
            await self.frame(BINARY, bytes(message))

    async def frame(self, opcode, payload=b"", fin=True, rsv=0, mask=True, length=None, width=None):
        """Sends one frame as it is told, right or wrong."""
        if opcode == CLOSE:
            self.sent_close = True
        await self.raw(frame_bytes(opcode, payload, fin, rsv, mask, length, width))

    async def raw(self, data):
        """Sends bytes as they are; waits while the system takes no more."""
        self._transport.write(data)
        await self._writable.wait()

    async def close(self, code=1000, reason=""):
        """Sends CLOSE. `closing` waits for the answer."""
        await self.frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())

    async def drop(self):
        """Ends TCP without a word."""
        self._transport.abort()

    # Receiving

    async def next(self, timeout=10):
        """The next message: JSON text read, a binary one as bytes. Raises Closed and TimeoutError."""
        await self._wait(lambda: self._messages or self._closed, timeout, "no message")
        if not self._messages:
            raise self._closed
        message = self._messages.popleft()
        return json.loads(message) if isinstance(message, str) else message

    async def until(self, fits, timeout=10):
        """The first message for which `fits(message)` is true; those before it are passed over."""
        deadline, passed = time.monotonic() + timeout, []
        while True:
            try:
                message = await self.next(deadline - time.monotonic())
            except TimeoutError:
                raise TimeoutError(f"nothing that fits within {timeout} s, only {_short(passed)}") from None
            except Closed as closed:
                raise Closed(closed.code, f"{closed.reason} (before that {_short(passed)})") from None
            if fits(message):
                return message
            passed.append(message)

    async def silence(self, seconds, fits=anything):
        """Asserts that for so long nothing comes for which `fits(message)` is true. What does not fit is dropped."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = await self.next(left)
            except TimeoutError:
                return
            assert not fits(message), f"came although nothing should: {_short(message)}"

    async def drained(self):
        """Everything that has come and was not taken, without waiting."""
        messages = []
        while self._messages:
            messages.append(await self.next())
        return messages

    async def echo(self, timeout=10, payload=None):
        """Returns once a PING sent now is answered: what the gateway sent before it has come then."""
        payload = secrets.token_hex(8).encode() if payload is None else payload
        await self.frame(PING, payload)
        await self._wait(lambda: payload in self.pongs or self._closed, timeout, "no PONG")
        if payload not in self.pongs:
            raise self._closed

    async def closing(self, timeout=10):
        """Waits until the other side closes, whatever comes before; returns (code, reason)."""
        await self._wait(lambda: self._closed, timeout, "not closed")
        return self._closed.code, self._closed.reason

    async def pinged(self, count, timeout=40):
        """Waits until so many PINGs have come in all."""
        await self._wait(lambda: len(self.pings) >= count or self._closed, timeout, f"no PING number {count}")
        if len(self.pings) < count:
            raise self._closed

    async def ended(self, timeout=10):
        """Waits until TCP has ended."""
        await self._wait(lambda: self._lost, timeout, "TCP not ended")

    @property
    def is_open(self):
        """Whether neither CLOSE nor the end of TCP has come."""
        return self._closed is None

    def pause(self):
        """Reads nothing more from the system, so that the gateway's side fills up."""
        self._transport.pause_reading()

    def resume(self):
        """Reads again."""
        self._transport.resume_reading()

    async def _wait(self, condition, timeout, otherwise):
        try:
            async with asyncio.timeout(max(timeout, 0)):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{otherwise} within {timeout:.1f} s") from None

    # What asyncio calls

    def connection_made(self, transport):
        self._transport = transport

    def pause_writing(self):
        self._writable.clear()

    def resume_writing(self):
        self._writable.set()

    def eof_received(self):
        return False

    def connection_lost(self, error):
        self._lost = True
        self._writable.set()
        self._closed = self._closed or Closed(1006, str(error or ""))
        if not self._greeting.done():
            self._end_of_answer()
        self._changed.set()

    def data_received(self, data):
        self.last_heard = time.monotonic()
        self._bytes += data
        if not self._greeting.done() and not self._read_answer():
            return
        while self._read_frame():
            pass
        self._changed.set()

    # The HTTP answer

    def _read_answer(self):
        """True once the upgrade is done and frames follow."""
        if self._head is None:
            head, separator, _ = self._bytes.partition(b"\r\n\r\n")
            if not separator:
                return False
            del self._bytes[:len(head) + 4]
            try:
                self._head = parse_head(head)
            except ValueError:
                self._greeting.set_exception(ValueError(f"no HTTP answer: {bytes(head[:200])!r}"))
                return False
        _, status, _, headers = self._head
        if status == 101:
            self.headers = headers
            self._greeting.set_result(None)
            if not self._read_from_start:
                self.pause()
            return True
        if len(self._bytes) >= int(headers.get("content-length", 1 << 60)):
            self._end_of_answer()
        return False

    def _end_of_answer(self):
        if self._head is None:
            self._greeting.set_exception(Closed(1006, "before the HTTP answer"))
        else:
            version, status, reason, headers = self._head
            self._greeting.set_exception(Refused(version, status, reason, headers, _body(headers, bytes(self._bytes))))
        self._greeting.exception()  # Whoever does not wait for it need not hear of it.

    # Frames

    def _read_frame(self):
        """Takes one frame off the bytes, if there is a whole one."""
        data = self._bytes
        if len(data) < 2:
            return False
        start, length = 2, data[1] & 0x7F
        if length > 125:
            start = 4 if length == 126 else 10
            if len(data) < start:
                return False
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return False
        first, is_masked = data[0], data[1] & 0x80
        payload = bytes(data[start:start + length])
        del data[:start + length]
        assert not is_masked, "the gateway masks its frames"
        self.frames.append((first & 0x0F, bool(first & 0x80), length))
        self._take_frame(first & 0x0F, bool(first & 0x80), payload)
        return True

    def _take_frame(self, opcode, fin, payload):
        if opcode == PING:
            self.pings.append(payload)
            if self.answers_pings and not self._lost:
                self._transport.write(frame_bytes(PONG, payload))
        elif opcode == PONG:
            self.pongs.append(payload)
        elif opcode == CLOSE:
            self._take_close(payload)
        else:
            self._take_part(opcode, fin, payload)

    def _take_part(self, opcode, fin, payload):
        if opcode != CONTINUATION:
            self._parts = (opcode, bytearray())
        kind, parts = self._parts
        parts += payload
        if fin:
            self._messages.append(parts.decode() if kind == TEXT else bytes(parts))
            self._parts = None

    def _take_close(self, payload):
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        self._closed = self._closed or Closed(code, payload[2:].decode())
        if self.answers_close and not self.sent_close and not self._lost:
            self.sent_close = True
            self._transport.write(frame_bytes(CLOSE, payload[:2]))


async def http(port, method="GET", path="/", headers={}, body=b"", address=None, timeout=20):
    """One plain request, from `address` as `coming_from` has it; returns its answer as a Refused, whatever the status."""
    source, forwarded = coming_from(address)
    head = merged({
        "Host": f"127.0.0.1:{port}", "Connection": "close", "Content-Length": len(body) if body else None,
        "X-Forwarded-For": forwarded,
    }, headers)
    return await exchange(port, request_bytes(method, path, head) + body, timeout, source)


async def exchange(port, request, timeout=20, source=None):
    """Sends the bytes of a request on a new connection; returns the answer as a Refused, raises Closed without one."""
    connection = await Socket.connect(port, source=source)
    try:
        await connection.raw(request)
        await connection.answer(timeout)
        return Refused(b"HTTP/1.1", 101, "", connection.headers, b"")
    except Refused as answer:
        return answer
    finally:
        await connection.drop()


def _body(headers, data):
    """The body of a whole answer."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return data[:int(headers.get("content-length", len(data)))]
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        body, data = body + data[:length], data[length + 2:]
        if length == 0:
            break
    return body


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 600 else f"{text[:600]}…"
