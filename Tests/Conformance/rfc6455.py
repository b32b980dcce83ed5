"""What RFC 6455 asks of a server: framing, control frames, UTF-8, closing, sizes, and the handshake.

The cases follow the sections of the Autobahn TestSuite's specification; where a case of theirs is meant, the name
begins with its number. Source Saver is the echo: its `pong` has the `timestamp` of a `ping` as it was sent. Its
messages end at 64 KiB; for larger ones Airys echoes the `timestamp` likewise. Neither has an echo for binary
messages: these are counted by the errors that WAVE answers.
"""

import asyncio
import base64
import hashlib
import json
import time

import edge
from cases import case
from edge import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame_bytes

# Where libwebsockets 4.1.6 does something else than the RFC asks: the case (the beginning of its name), and what it
# does. The case asserts what it does.
DEVIATIONS = {
    "2.5": "A PING of more than 125 octets ends TCP without a CLOSE frame (1006 instead of 1002).",
    "2.10": "Of PINGs that come faster than PONGs can go, the first is answered and not the last (§5.5.3).",
    "2.11": "Of PINGs that come faster than PONGs can go, the first is answered and not the last (§5.5.3).",
    "7.3.2": "A CLOSE of one octet is answered with the same malformed CLOSE (instead of 1002).",
    "7.3.6": "A CLOSE of more than 125 octets ends TCP without a CLOSE frame (1006 instead of 1002).",
    "7.5.1": "A CLOSE whose reason is no UTF-8 ends TCP without a CLOSE frame (1006 instead of 1007).",
    "7.5.x": "A CLOSE whose reason ends within a character is answered with the same reason (instead of 1007).",
    "7.7.x 1012": "The code is registered with IANA, but answered with 1002.",
    "7.7.x 1013": "The code is registered with IANA, but answered with 1002.",
    "7.7.x 1014": "The code is registered with IANA, but answered with 1002.",
    "7.13.1": "A code beyond 4999 is answered with the same code (the RFC leaves it undefined).",
    "7.13.2": "A code beyond 4999 is answered with the same code (the RFC leaves it undefined).",
    "an unmasked text": "A frame that is not masked is taken like any other (§5.1 asks for a close, 1002).",
    "an unmasked ping": "A frame that is not masked is taken like any other (§5.1 asks for a close, 1002).",
    "a length of 16 bits where 7": "A length that could be shorter is taken (§5.2 asks for the shortest form).",
    "a length of 64 bits where 7": "A length that could be shorter is taken (§5.2 asks for the shortest form).",
    "a ping with a length of 16 bits": "It ends TCP without a CLOSE frame (1006 instead of 1002).",
    "A second head behind the first": "What breaks the protocol in the head's segment may end TCP without a CLOSE.",
    "After its CLOSE (a reserved bit)": "TCP may live on for 5 s: what is left of the frame hides the client's answer.",
    "After its CLOSE (no UTF-8)": "TCP may live on for 5 s: what is left of the frame hides the client's answer.",
    "a length with its highest bit": "It ends TCP without a CLOSE frame (1006 instead of 1002).",
}


def ping_text(text):
    """The message that Source Saver answers with the same text; bytes, so that it may be no UTF-8."""
    return b'{"action":"ping","timestamp":"%b"}' % (text if isinstance(text, bytes) else text.encode())


def sized(octets):
    """A text that makes `ping_text` so many octets long."""
    return "*" * (octets - len(ping_text("")))


def said(text):
    """The whole message as one frame."""
    return frame_bytes(TEXT, ping_text(text))


def pieces(payload, *ends, opcode=TEXT):
    """The payload in fragments, cut at these places."""
    bounds = [0, *ends, len(payload)]
    return [frame_bytes(opcode if number == 0 else CONTINUATION, payload[start:end], fin=number == len(bounds) - 2)
            for number, (start, end) in enumerate(zip(bounds, bounds[1:]))]


def octetwise(payload):
    """The payload in fragments of one octet."""
    return pieces(payload, *range(1, len(payload)))


def closing(code=None, reason=b""):
    """A CLOSE frame."""
    return frame_bytes(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


async def send_cut(socket, frames, cut):
    """Sends the frames in TCP segments: all in one (None), each in one ("frames"), or of so many octets;
    until the gateway closes."""
    together = b"".join(frames)
    if cut == "frames":
        segments = frames
    else:
        size = cut or len(together)
        segments = [together[start:start + size] for start in range(0, len(together), size)]
    for segment in segments:
        if not socket.is_open:
            return
        await socket.raw(segment)
        await asyncio.sleep(0.0005 if cut else 0)


async def expect(socket, wanted):
    """Takes what comes: a str is the echo of that text, None the error for what is no JSON; bytes are the payload of a
    PONG, which may overtake texts; a number is the code of the CLOSE that ends it. Without one the connection lives."""
    for each in wanted:
        await take(socket, each)
    if not any(isinstance(each, int) for each in wanted):
        await lives(socket)
    assert socket.pongs[:] == [each for each in wanted if isinstance(each, bytes)] + socket.own_pongs, socket.pongs
    assert not await socket.drained(), "something came that nobody asked for"
    assert all(fin for _, fin, _ in socket.frames), f"the gateway fragments: {socket.frames}"


async def take(socket, wanted):
    """Takes one answer, as `expect` has it; PONGs are looked at later."""
    if isinstance(wanted, str):
        answer = await socket.next()
        assert answer["event"] == "pong" and answer["data"]["clientTimestamp"] == wanted, f"not the echo: {answer}"
    elif wanted is None:
        answer = await socket.next()
        assert answer["data"].get("code") == "INVALID_JSON", f"not an error: {answer}"
    elif isinstance(wanted, int):
        code, reason = await socket.closing()
        assert code == wanted, f"closed with {code} {reason}, not {wanted}"


async def ponged(socket, payload):
    """Waits for that PONG."""
    async with asyncio.timeout(5):
        while payload not in socket.pongs:
            await asyncio.sleep(0.002)


async def lives(socket):
    """Asserts that the connection still answers, by text and by PONG."""
    await socket.raw(said("still here"))
    answer = await socket.next()
    assert answer["data"].get("clientTimestamp") == "still here", f"not the echo: {answer}"
    await socket.echo()
    socket.own_pongs = socket.pongs[-1:]


async def talk(me, frames, wanted, cut):
    """One connection on which the frames are sent and the answers taken. AWAITED among the frames: what follows is sent
    once the first answer has come."""
    socket = await me.open("source-saver", address=me.loopback)
    socket.own_pongs = []
    if AWAITED in frames:
        place = frames.index(AWAITED)
        await send_cut(socket, frames[:place], cut)
        if isinstance(wanted[0], bytes):
            await ponged(socket, wanted[0])
        else:
            await take(socket, wanted[0])
            wanted = wanted[1:]
        frames = frames[place + 1:]
    await send_cut(socket, frames, cut)
    await expect(socket, wanted)


AWAITED = object()
HELLO = "hello, crosspoint"
HALF = ping_text(HELLO)
BYTES_OF_ANY_KIND = bytes([0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF])

# Clause of the RFC, name, frames, what comes back, how it is cut into segments.
FRAMES = [
    ("5.2", "1.1.1 an empty text", [frame_bytes(TEXT)], [None], None),
    ("5.2", "1.1.2 a text of 125 octets", [said(sized(125))], [sized(125)], None),
    ("5.2", "1.1.3 a text of 126 octets", [said(sized(126))], [sized(126)], None),
    ("5.2", "1.1.4 a text of 127 octets", [said(sized(127))], [sized(127)], None),
    ("5.2", "1.1.5 a text of 128 octets", [said(sized(128))], [sized(128)], None),
    ("5.2", "1.1.6 a text of 65535 octets", [said(sized(65535))], [sized(65535)], None),
    ("5.2", "1.1.7 a text of 65536 octets", [said(sized(65536))], [sized(65536)], None),
    ("5.2", "1.1.8 a text of 65536 octets in segments of 997", [said(sized(65536))], [sized(65536)], 997),
    ("5.2", "a text of 125 octets, octet by octet", [said(sized(125))], [sized(125)], 1),
    ("5.2", "a text of 126 octets, octet by octet", [said(sized(126))], [sized(126)], 1),
    ("5.2", "50 texts in one segment", [said(f"n{number}") for number in range(49)],
     [f"n{number}" for number in range(49)], None),
    ("5.2", "a length of 16 bits where 7 would do", [frame_bytes(TEXT, ping_text("x"), width=16)], ["x"], None),
    ("5.2", "a length of 64 bits where 7 would do", [frame_bytes(TEXT, ping_text("x"), width=64)], ["x"], None),
    ("5.2", "a length with its highest bit set", [frame_bytes(TEXT, b"", length=1 << 63), b"more"], [1006], None),
    ("5.2", "a ping with a length of 16 bits", [frame_bytes(PING, b"x", width=16)], [1006], None),
    ("5.1", "an unmasked text", [frame_bytes(TEXT, ping_text("x"), mask=False)], ["x"], None),
    ("5.1", "an unmasked ping", [frame_bytes(PING, b"x", mask=False)], [b"x"], None),
    ("5.5.2", "2.1 a ping without payload", [frame_bytes(PING)], [b""], None),
    ("5.5.2", "2.2 a ping with a text", [frame_bytes(PING, b"Hello, world!")], [b"Hello, world!"], None),
    ("5.5.2", "2.3 a ping with bytes of any kind", [frame_bytes(PING, BYTES_OF_ANY_KIND)], [BYTES_OF_ANY_KIND], None),
    ("5.5.2", "2.4 a ping of 125 octets", [frame_bytes(PING, b"\xfe" * 125)], [b"\xfe" * 125], None),
    ("5.5", "2.5 a ping of 126 octets", [frame_bytes(PING, b"\xfe" * 126)], [1006], None),
    ("5.5.2", "2.6 a ping of 125 octets, octet by octet", [frame_bytes(PING, b"\xfe" * 125)], [b"\xfe" * 125], 1),
    ("5.5.3", "2.7 a pong that nobody asked for", [frame_bytes(PONG)], [], None),
    ("5.5.3", "2.8 a pong with payload that nobody asked for", [frame_bytes(PONG, b"unasked")], [], None),
    ("5.5.3", "2.9 a pong that nobody asked for, then a ping",
     [frame_bytes(PONG, b"unasked"), frame_bytes(PING, b"asked")], [b"asked"], None),
    ("5.5.3", "2.10 ten pings at once: one pong at least", [frame_bytes(PING, b"payload-%d" % n) for n in range(10)],
     [b"payload-0"], None),
    ("5.2", "3.1 a text with reserved bits 1", [frame_bytes(TEXT, HALF, rsv=1)], [1002], None),
    ("5.2", "3.2 a text, then one with reserved bits 2, then a ping",
     [said(HELLO), AWAITED, frame_bytes(TEXT, HALF, rsv=2), frame_bytes(PING)], [HELLO, 1002], None),
    ("5.2", "3.3 the same with reserved bits 3, frame by frame",
     [said(HELLO), AWAITED, frame_bytes(TEXT, HALF, rsv=3), frame_bytes(PING)], [HELLO, 1002], "frames"),
    ("5.2", "3.4 the same with reserved bits 4, octet by octet",
     [said(HELLO), AWAITED, frame_bytes(TEXT, HALF, rsv=4), frame_bytes(PING)], [HELLO, 1002], 1),
    ("5.2", "3.5 a binary message with reserved bits 5", [frame_bytes(BINARY, BYTES_OF_ANY_KIND, rsv=5)], [1002], None),
    ("5.2", "3.6 a ping with reserved bits 6", [frame_bytes(PING, b"x", rsv=6)], [1002], None),
    ("5.2", "3.7 a close with reserved bits 7", [frame_bytes(CLOSE, b"\x03\xe8", rsv=7)], [1002], None),
    ("5.2", "a continuation with a reserved bit", [frame_bytes(TEXT, HALF[:9], fin=False),
     frame_bytes(CONTINUATION, HALF[9:], rsv=4)], [1002], None),
    ("5.2", "4.1.1 opcode 3", [frame_bytes(3)], [1002], None),
    ("5.2", "4.1.2 opcode 4 with payload", [frame_bytes(4, b"reserved")], [1002], None),
    ("5.2", "4.1.3 a text, then opcode 5, then a ping",
     [said(HELLO), AWAITED, frame_bytes(5), frame_bytes(PING)], [HELLO, 1002], None),
    ("5.2", "4.1.4 a text, then opcode 6 with payload, then a ping",
     [said(HELLO), AWAITED, frame_bytes(6, b"reserved"), frame_bytes(PING)], [HELLO, 1002], None),
    ("5.2", "4.1.5 a text, then opcode 7 with payload, then a ping, octet by octet",
     [said(HELLO), AWAITED, frame_bytes(7, b"reserved"), frame_bytes(PING)], [HELLO, 1002], 1),
    ("5.2", "4.2.1 opcode 11", [frame_bytes(11)], [1002], None),
    ("5.2", "4.2.2 opcode 12 with payload", [frame_bytes(12, b"reserved")], [1002], None),
    ("5.2", "4.2.3 a text, then opcode 13, then a ping",
     [said(HELLO), AWAITED, frame_bytes(13), frame_bytes(PING)], [HELLO, 1002], None),
    ("5.2", "4.2.4 a text, then opcode 14 with payload, then a ping",
     [said(HELLO), AWAITED, frame_bytes(14, b"reserved"), frame_bytes(PING)], [HELLO, 1002], None),
    ("5.2", "4.2.5 a text, then opcode 15 with payload, then a ping, octet by octet",
     [said(HELLO), AWAITED, frame_bytes(15, b"reserved"), frame_bytes(PING)], [HELLO, 1002], 1),
]

NOTHING_TO_CONTINUE = frame_bytes(CONTINUATION, b"nothing to continue")
NOTHING_YET = frame_bytes(CONTINUATION, b"nothing to continue", fin=False)
BEGUN = frame_bytes(TEXT, HALF[:9], fin=False)
ENDED = frame_bytes(CONTINUATION, HALF[9:])
PINGED = frame_bytes(PING, b"p")
FIVE = pieces(HALF, 5, 9, 20, 25)

FRAGMENTS = [
    ("5.5", "5.1 a ping in two fragments", pieces(b"ab", 1, opcode=PING), [1002], None),
    ("5.5", "5.2 a pong in two fragments", pieces(b"ab", 1, opcode=PONG), [1002], None),
    ("5.5", "a close in two fragments", pieces(b"\x03\xe8", 1, opcode=CLOSE), [1002], None),
    ("5.4", "5.3 a text in two fragments", [BEGUN, ENDED], [HELLO], None),
    ("5.4", "5.4 a text in two fragments, frame by frame", [BEGUN, ENDED], [HELLO], "frames"),
    ("5.4", "5.5 a text in two fragments, octet by octet", [BEGUN, ENDED], [HELLO], 1),
    ("5.4", "5.6 a text in two fragments, a ping between them", [BEGUN, PINGED, ENDED], [b"p", HELLO], None),
    ("5.4", "5.7 the same, frame by frame", [BEGUN, PINGED, ENDED], [b"p", HELLO], "frames"),
    ("5.4", "5.8 the same, octet by octet", [BEGUN, PINGED, ENDED], [b"p", HELLO], 1),
    ("5.4", "5.9 an end with nothing to continue, then a text", [NOTHING_TO_CONTINUE, said(HELLO)], [1002], None),
    ("5.4", "5.10 the same, frame by frame", [NOTHING_TO_CONTINUE, said(HELLO)], [1002], "frames"),
    ("5.4", "5.11 the same, octet by octet", [NOTHING_TO_CONTINUE, said(HELLO)], [1002], 1),
    ("5.4", "5.12 a middle with nothing to continue, then a text", [NOTHING_YET, said(HELLO)], [1002], None),
    ("5.4", "5.13 the same, frame by frame", [NOTHING_YET, said(HELLO)], [1002], "frames"),
    ("5.4", "5.14 the same, octet by octet", [NOTHING_YET, said(HELLO)], [1002], 1),
    ("5.4", "5.15 a text in two fragments, a middle with nothing to continue, a text",
     [BEGUN, ENDED, AWAITED, NOTHING_YET, said("after")], [HELLO, 1002], None),
    ("5.4", "5.16 a middle with nothing to continue, a beginning, an end, twice",
     [NOTHING_YET, BEGUN, ENDED, NOTHING_YET, BEGUN, ENDED], [1002], None),
    ("5.4", "5.17 an end with nothing to continue, a beginning, an end, twice",
     [NOTHING_TO_CONTINUE, BEGUN, ENDED, NOTHING_TO_CONTINUE, BEGUN, ENDED], [1002], None),
    ("5.4", "5.18 a text begun within a text", [BEGUN, frame_bytes(TEXT, HALF[9:])], [1002], None),
    ("5.4", "a binary message begun within a text", [BEGUN, frame_bytes(BINARY, HALF[9:])], [1002], None),
    ("5.4", "5.19 a text in five fragments, pings behind the second and the fourth",
     [*FIVE[:2], frame_bytes(PING, b"1"), AWAITED, *FIVE[2:4], frame_bytes(PING, b"2"), FIVE[4]], [b"1", b"2", HELLO],
     "frames"),
    ("5.4", "5.20 the same, octet by octet",
     [*FIVE[:2], frame_bytes(PING, b"1"), AWAITED, *FIVE[2:4], frame_bytes(PING, b"2"), FIVE[4]], [b"1", b"2", HELLO],
     1),
    ("5.4", "a text in fragments of one octet", octetwise(HALF), [HELLO], None),
    ("5.4", "an empty beginning and an empty end around a text",
     pieces(HALF, 0, len(HALF)), [HELLO], None),
    ("5.4", "10.1.1 a text of 65536 octets in frames of 1300",
     pieces(ping_text(sized(65536)), *range(1300, 65536, 1300)), [sized(65536)], None),
    ("5.4", "fragments that make more than the limit together",
     pieces(ping_text(sized(65537)), *range(8192, 65537, 8192)), [1009], None),
]


@case("rfc6455", "{clause}")
@case.table(FRAMES)
async def frames(stage, me, clause, name, sent, wanted, cut):
    """{name}"""
    await talk(me, sent, wanted, cut)


@case("rfc6455", "{clause}")
@case.table(FRAGMENTS)
async def fragments(stage, me, clause, name, sent, wanted, cut):
    """{name}"""
    await talk(me, sent, wanted, cut)


@case("rfc6455", "5.5.3")
async def pings_octet_by_octet(stage, me):
    """2.11 ten pings octet by octet: pongs in their order, the first one at least"""
    socket = await me.open("source-saver", address=me.loopback)
    sent = [b"payload-%d" % number for number in range(10)]
    await send_cut(socket, [frame_bytes(PING, payload) for payload in sent], 1)
    socket.own_pongs = []
    await lives(socket)
    answered = socket.pongs[:-1]
    assert answered[:1] == sent[:1] and answered == [each for each in sent if each in answered], answered


# UTF-8: number, what it is, the bytes. Valid ones come back; invalid ones end the connection with 1007.

KOSME = bytes.fromhex("cebae1bdb9cf83cebcceb5")

VALID = [
    ("6.2.1", "letters of two bytes", "Hello-µ@ßöäüàá-UTF-8!!".encode()),
    *[("6.5.x", f"the first {octets} octets of a Greek word", KOSME[:octets]) for octets in (2, 5, 7, 9, 11)],
    ("6.7.2", "the first of two bytes", b"\xc2\x80"),
    ("6.7.3", "the first of three bytes", b"\xe0\xa0\x80"),
    ("6.7.4", "the first of four bytes", b"\xf0\x90\x80\x80"),
    ("6.9.1", "the last of one byte", b"\x7f"),
    ("6.9.2", "the last of two bytes", b"\xdf\xbf"),
    ("6.9.3", "the last of three bytes", b"\xef\xbf\xbf"),
    ("6.9.4", "the last of all", b"\xf4\x8f\xbf\xbf"),
    ("6.11.1", "the last before the surrogates", b"\xed\x9f\xbf"),
    ("6.11.2", "the first behind the surrogates", b"\xee\x80\x80"),
    ("6.11.3", "the replacement character", b"\xef\xbf\xbd"),
    *[(f"6.22.{number}", f"the noncharacter U+{point:X}", chr(point).encode())
      for number, point in enumerate((plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF)), 1)],
    *[(f"6.23.{number}", f"the special U+{point:X}", chr(point).encode())
      for number, point in enumerate((0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF), 1)],
]

INCOMPLETE = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"]

INVALID = [
    ("6.3.1", "a surrogate in the middle of a text", KOSME + b"\xed\xa0\x80edited"),
    *[("6.6.x", f"the first {octets} octets of a Greek word", KOSME[:octets]) for octets in (1, 3, 4, 6, 8, 10)],
    ("6.8.1", "five bytes, the first", b"\xf8\x88\x80\x80\x80"),
    ("6.8.2", "six bytes, the first", b"\xfc\x84\x80\x80\x80\x80"),
    ("6.10.1", "four bytes, beyond the last", b"\xf7\xbf\xbf\xbf"),
    ("6.10.2", "five bytes, the last", b"\xfb\xbf\xbf\xbf\xbf"),
    ("6.10.3", "six bytes, the last", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    ("6.11.5", "the first beyond U+10FFFF", b"\xf4\x90\x80\x80"),
    ("6.12.1", "a continuation, the first", b"\x80"),
    ("6.12.2", "a continuation, the last", b"\xbf"),
    ("6.12.3", "two continuations", b"\x80\xbf"),
    ("6.12.4", "three continuations", b"\x80\xbf\x80"),
    ("6.12.5", "four continuations", b"\x80\xbf\x80\xbf"),
    ("6.12.6", "five continuations", b"\x80\xbf\x80\xbf\x80"),
    ("6.12.7", "six continuations", b"\x80\xbf\x80\xbf\x80\xbf"),
    ("6.12.8", "all continuations", bytes(range(0x80, 0xC0))),
    ("6.13.1", "all beginnings of two bytes alone", b" ".join(bytes([first]) for first in range(0xC0, 0xE0)) + b" "),
    ("6.13.2", "all beginnings of three bytes alone", b" ".join(bytes([first]) for first in range(0xE0, 0xF0)) + b" "),
    ("6.13.3", "all beginnings of four bytes alone", b" ".join(bytes([first]) for first in range(0xF0, 0xF8)) + b" "),
    ("6.13.4", "all beginnings of five bytes alone", b" ".join(bytes([first]) for first in range(0xF8, 0xFC)) + b" "),
    ("6.13.5", "all beginnings of six bytes alone", b"\xfc \xfd "),
    *[(f"6.14.{number}", f"{text} without its last byte", bytes.fromhex(text))
      for number, text in enumerate(INCOMPLETE, 1)],
    ("6.15.1", "all of these behind one another", bytes.fromhex("".join(INCOMPLETE))),
    ("6.16.1", "the impossible byte FE", b"\xfe"),
    ("6.16.2", "the impossible byte FF", b"\xff"),
    ("6.16.3", "both impossible bytes", b"\xfe\xfe\xff\xff"),
    ("6.17.1", "a slash in two bytes", b"\xc0\xaf"),
    ("6.17.2", "a slash in three bytes", b"\xe0\x80\xaf"),
    ("6.17.3", "a slash in four bytes", b"\xf0\x80\x80\xaf"),
    ("6.17.4", "a slash in five bytes", b"\xf8\x80\x80\x80\xaf"),
    ("6.17.5", "a slash in six bytes", b"\xfc\x80\x80\x80\x80\xaf"),
    ("6.18.1", "the longest too long in two bytes", b"\xc1\xbf"),
    ("6.18.2", "the longest too long in three bytes", b"\xe0\x9f\xbf"),
    ("6.18.3", "the longest too long in four bytes", b"\xf0\x8f\xbf\xbf"),
    ("6.18.4", "the longest too long in five bytes", b"\xf8\x87\xbf\xbf\xbf"),
    ("6.18.5", "the longest too long in six bytes", b"\xfc\x83\xbf\xbf\xbf\xbf"),
    ("6.19.1", "NUL in two bytes", b"\xc0\x80"),
    ("6.19.2", "NUL in three bytes", b"\xe0\x80\x80"),
    ("6.19.3", "NUL in four bytes", b"\xf0\x80\x80\x80"),
    ("6.19.4", "NUL in five bytes", b"\xf8\x80\x80\x80\x80"),
    ("6.19.5", "NUL in six bytes", b"\xfc\x80\x80\x80\x80\x80"),
    *[(f"6.20.{number}", f"the surrogate U+{point:X}", chr(point).encode("utf-8", "surrogatepass"))
      for number, point in enumerate((0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF), 1)],
    *[(f"6.21.{number}", f"the surrogates {pair!a}", pair.encode("utf-8", "surrogatepass"))
      for number, pair in enumerate((chr(high) + chr(low) for high in (0xD800, 0xDB7F, 0xDB80, 0xDBFF)
                                     for low in (0xDC00, 0xDFFF)), 1)],
]


@case("rfc6455", "8.1")
@case.table(VALID)
async def valid_text(stage, me, number, what, octets):
    """{number} UTF-8: {what}, whole and octet by octet"""
    await talk(me, [said(octets), *octetwise(ping_text(octets))], [octets.decode()] * 2, None)


@case("rfc6455", "8.1")
@case.table(INVALID)
async def invalid_text(stage, me, number, what, octets):
    """{number} no UTF-8: {what}, whole and octet by octet"""
    await talk(me, [said(octets)], [1007], None)
    await talk(me, [said(octets)], [1007], 1)


PREFIX, BEYOND = KOSME, b"\xf4\x90\x80\x80"
LETTERS = "Hello-µ@ßöäüàá-UTF-8!!"

CAMERA = pieces(ping_text("🎥"), 31, 32, 33, 34)

UTF8_FRAGMENTS = [
    ("6.1.2 three empty fragments", pieces(b"", 0, 0), [None], None),
    ("6.1.3 a text between two empty fragments", pieces(HALF, 0, len(HALF)), [HELLO], None),
    ("6.2.2 a text in two fragments, cut between characters", pieces(ping_text(LETTERS), 38), [LETTERS], None),
    ("6.2.3 a text in fragments of one octet", octetwise(ping_text(LETTERS)), [LETTERS], None),
    ("6.2.4 a Greek word in fragments of one octet", octetwise(ping_text(KOSME)), [KOSME.decode()], None),
    ("6.3.2 a surrogate in fragments of one octet", octetwise(ping_text(KOSME + b"\xed\xa0\x80edited")), [1007], None),
    ("6.7.1 NUL, which is a character but none that JSON takes", [said(b"\x00")], [None], None),
    ("a character of four bytes in as many fragments, a ping between them",
     [CAMERA[0], frame_bytes(PING, b"1"), *CAMERA[1:]], [b"1", "🎥"], None),
    ("a character that the next message would end", [frame_bytes(TEXT, b'"\xce'), frame_bytes(TEXT, b'\xba"')], [1007],
     None),
    # The rest never comes: the gateway judges what it has.
    ("6.4.1 fails at the fragment that is no UTF-8, without waiting for the last",
     pieces(ping_text(PREFIX + BEYOND + b"edited"), 30 + 11, 30 + 15)[:2], [1007], "frames"),
    ("6.4.2 the same, cut within the character",
     pieces(ping_text(PREFIX + BEYOND + b"edited"), 30 + 12, 30 + 13)[:2], [1007], "frames"),
    ("6.4.3 fails within a frame, without waiting for its end",
     [said(PREFIX + BEYOND + b"edited")[:6 + 30 + 15]], [1007], None),
    ("6.4.4 the same, octet by octet", [said(PREFIX + BEYOND + b"edited")[:6 + 30 + 13]], [1007], 1),
]


@case("rfc6455", "8.1")
@case.table(UTF8_FRAGMENTS)
async def utf8_over_frames(stage, me, name, sent, wanted, cut):
    """{name}"""
    await talk(me, sent, wanted, cut)


# Closing. The last number is the code of the gateway's CLOSE; 1005: one without a code.

CLOSES = [
    ("5.5.1", "7.1.1 a text, then a close, in one segment: the text is answered first", [said(HELLO), closing(1000)],
     [HELLO, 1000]),
    ("5.5.1", "7.1.2 two closes: the second is nothing", [closing(1000), closing(1000)], [1000]),
    ("5.5.1", "7.1.3 a close, then a ping: no pong", [closing(1000), frame_bytes(PING, b"late")], [1000]),
    ("5.5.1", "7.1.4 a close, then a text: no echo", [closing(1000), said(HELLO)], [1000]),
    ("5.5.1", "7.1.5 a close between two fragments: no echo", [BEGUN, closing(1000), ENDED], [1000]),
    ("5.5.1", "a ping, then a close, in one segment", [frame_bytes(PING, b"late"), closing(1000)], [1000]),
    ("5.5.1", "7.3.1 a close without payload", [closing()], [1005]),
    ("5.5.1", "7.3.2 a close of one octet", [frame_bytes(CLOSE, b"a")], [1005]),
    ("5.5.1", "7.3.3 a close with a code", [closing(1000)], [1000]),
    ("5.5.1", "7.3.4 a close with a code and a reason", [closing(1000, b"thank you")], [1000]),
    ("5.5.1", "7.3.5 a close with the longest reason, 123 octets", [closing(1000, b"r" * 123)], [1000]),
    ("5.5", "7.3.6 a close with a reason of 124 octets", [closing(1000, b"r" * 124)], [1006]),
    ("5.5.1", "a close with a reason of several bytes a character", [closing(1000, "κόσμε".encode())], [1000]),
    ("8.1", "7.5.1 a close whose reason is no UTF-8", [closing(1000, KOSME + b"\xed\xa0\x80")], [1006]),
    *[("7.4.1", f"7.7.x {code} may be sent", [closing(code)], [code])
      for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)],
    *[("7.4.1", f"7.7.x {code} may be sent", [closing(code)], [1002]) for code in (1012, 1013, 1014)],
    *[("7.4.1", f"7.9.x {code} may not be sent", [closing(code)], [1002])
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999)],
    ("7.4.2", "7.13.1 a close with 5000", [closing(5000)], [5000]),
    ("7.4.2", "7.13.2 a close with 65535", [closing(65535)], [65535]),
]


@case("rfc6455", "{clause}")
@case.table(CLOSES)
async def closes(stage, me, clause, name, sent, wanted):
    """{name}"""
    socket = await me.open("source-saver", address=me.loopback)
    socket.sent_close, socket.own_pongs = True, []
    await send_cut(socket, sent, None)
    await expect(socket, wanted)
    await socket.ended(timeout=3)


@case("rfc6455", "8.1")
async def a_reason_cut_within_a_character(stage, me):
    """7.5.x a close whose reason ends within a character"""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port("source-saver"))
    writer.write(head(me) + closing(1000, KOSME[:-1]))
    answer = await reader.read()
    writer.close()
    assert answer.endswith(b"\x88\x0c\x03\xe8" + KOSME[:-1]), answer


@case("rfc6455", "7.1.1")
@case.table([
    ("a binary message", frame_bytes(BINARY, b"x"), 1003, 1.5),
    ("a reserved bit", frame_bytes(TEXT, b"x", rsv=1), 1002, 8),
    ("no UTF-8", frame_bytes(TEXT, b"\xff" * 100), 1007, 8),
    ("too large", frame_bytes(TEXT, b"x" * 65537), 1009, 1.5),
])
async def the_gateway_ends_tcp(stage, me, what, sent, code, soon):
    """After its CLOSE ({what}) the gateway ends TCP as soon as the client has answered, and also when it never does"""
    for answers, seconds in ((True, soon), (False, 8)):
        socket = await me.open("source-saver", address=me.loopback)
        socket.answers_close = answers
        await socket.raw(sent)
        await me.gone(socket, code)
        await socket.ended(seconds)


@case("rfc6455", "7.1.5")
async def tcp_ends_within_a_frame(stage, me):
    """A client that goes in the middle of a frame disturbs nobody"""
    other = await me.open("source-saver", address=me.loopback)
    for octets in (1, 3, 7, 20):
        socket = await me.open("source-saver", address=me.loopback)
        await socket.raw(said(HELLO)[:octets])
        await socket.drop()
    await lives(other)


# Binary, and what is large.

async def wave(me):
    """A WAVE connection whose key is good."""
    return await me.open("wave", f"/v1/streams?api_key={await me.token()}")


@case("rfc6455", "5.6")
@case.table([("1.2.1", 0, None), ("1.2.2", 125, None), ("1.2.3", 126, None), ("1.2.4", 127, None), ("1.2.5", 128, None),
             ("1.2.6", 65535, None), ("1.2.7", 65536, None), ("1.2.8", 65536, 997)])
async def binary(stage, me, number, octets, cut):
    """{number} a binary message of {octets} octets arrives as one (segments of {cut}), and its bytes are not judged"""
    socket = await wave(me)
    await send_cut(socket, [frame_bytes(BINARY, b"\xfe" * octets)], cut)
    error = await socket.next()
    assert error["type"] == "error" and error["payload"]["code"] == "VALIDATION_ERROR", error
    await socket.send({"type": "ping", "timestamp": octets})
    assert (await socket.next())["payload"] == {"timestamp": octets}


@case("rfc6455", "5.4")
async def binary_in_fragments(stage, me):
    """A binary message in fragments with a PING between them arrives as one"""
    socket = await wave(me)
    first, middle, last = pieces(b"\xff\xfe\x00\xc0", 1, 2, opcode=BINARY)
    await socket.raw(first + frame_bytes(PING, b"p") + middle + last)
    assert (await socket.next())["payload"]["code"] == "VALIDATION_ERROR"
    await socket.send({"type": "ping", "timestamp": 1})
    assert (await socket.next())["payload"] == {"timestamp": 1}
    assert socket.pongs == [b"p"], socket.pongs


async def airys(me):
    """An Airys connection that is logged in, with nothing under way."""
    socket = await me.open("airys", f"/v1/stream?token={await me.token()}")
    await socket.send({"type": "ping"})
    await socket.until(lambda message: message["type"] == "pong")
    return socket


def large(octets):
    """An Airys `ping` so many octets long, beyond 64 KiB in a chunk of that length, and the timestamp in it."""
    if octets <= 64 << 10:
        frame = '{"type":"ping","timestamp":"%s"}'
        text = "*" * (octets - len(frame % ""))
        return (frame % text).encode(), text
    chunk = '{"type":"chunk","id":"large","seq":0,"total":1,"pad":"%s","data":"%s"}'
    text = "*" * ((octets - 200) * 3 // 4)
    data = base64.b64encode(json.dumps({"type": "ping", "timestamp": text}).encode()).decode()
    pad = "*" * (octets - len(chunk % ("", data)))
    return (chunk % (pad, data)).encode(), text


async def echoed(socket, frames, text, cut=None):
    """Sends an Airys `ping` and asserts that its timestamp comes back."""
    await send_cut(socket, frames, cut)
    answer = await socket.next(timeout=60)
    assert answer["type"] == "pong", answer
    assert answer["data"]["client_timestamp"] == text, "another timestamp came back"


SIZES = [("9.1.1", 64 << 10), ("9.1.2", 256 << 10), ("9.1.3", 1 << 20)]
FRAGMENT_SIZES = [("9.3.1", 64), ("9.3.2", 256), ("9.3.3", 1 << 10), ("9.3.4", 4 << 10), ("9.3.5", 16 << 10),
                  ("9.3.6", 64 << 10), ("9.3.7", 256 << 10)]
CHOPS = [("9.5.1", 64), ("9.5.2", 128), ("9.5.3", 256), ("9.5.4", 512), ("9.5.5", 1024), ("9.5.6", 2048)]


@case("rfc6455", "5.2", alone=True)
@case.table(SIZES)
async def sizes(stage, me, number, octets):
    """{number} a text of {octets} octets"""
    payload, text = large(octets)
    await echoed(await airys(me), [frame_bytes(TEXT, payload)], text)


@case("rfc6455", "5.4", alone=True)
@case.table(FRAGMENT_SIZES)
async def fragment_sizes(stage, me, number, octets):
    """{number} a text of 256 KiB in fragments of {octets} octets"""
    payload, text = large(256 << 10)
    await echoed(await airys(me), pieces(payload, *range(octets, len(payload), octets)), text)


@case("rfc6455", "5.2", alone=True)
@case.table(CHOPS)
async def chops(stage, me, number, octets):
    """{number} a text of 64 KiB in segments of {octets} octets"""
    payload, text = large(64 << 10)
    await echoed(await airys(me), [frame_bytes(TEXT, payload)], text, octets)


@case("rfc6455", "5.2")
@case.table([("9.7.1", 50), ("9.7.2", 64), ("9.7.3", 256), ("9.7.4", 1024), ("9.7.5", 4096), ("9.7.6", 16384)])
async def round_trips(stage, me, number, octets):
    """{number} 90 texts of {octets} octets, each sent when the one before came back"""
    payload, text = large(octets)
    socket = await airys(me)
    for _ in range(90):
        await echoed(socket, [frame_bytes(TEXT, payload)], text)


@case("rfc6455", "5.5.1", alone=True)
async def a_large_text_then_a_close(stage, me):
    """7.1.6 a text of 256 KiB, a close and a ping in one go: the text is answered, then the close, and no ping"""
    socket = await airys(me)
    payload, text = large(256 << 10)
    socket.sent_close = True
    await echoed(socket, [frame_bytes(TEXT, payload), closing(1000), frame_bytes(PING, b"late")], text)
    await me.gone(socket, 1000)
    assert not socket.pongs, socket.pongs


@case("rfc6455", "5.2")
async def a_length_beyond_all_bounds(stage, me):
    """A frame that claims 2^62 octets is ended with 1009 once it is over the limit, and reserves nothing before"""
    socket = await me.open("source-saver", address=me.loopback)
    header_with_a_mask_of_zeros = bytes([0x81, 0xFF]) + (1 << 62).to_bytes(8, "big") + bytes(4)
    await socket.raw(header_with_a_mask_of_zeros + b"a" * 65536)
    await asyncio.sleep(0.2)
    assert socket.is_open, "ended before the limit"
    await socket.raw(b"a")
    await me.gone(socket, 1009)


# The handshake (RFC 6455 §4.2, RFC 9112).

KEY = base64.b64encode(b"sixteen octets!!").decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + edge.GUID).encode()).digest()).decode()
FIELDS = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
          "Sec-WebSocket-Version": "13"}


def head(me, line="GET / HTTP/1.1", **fields):
    """An upgrade request; underscores in names stand for hyphens, a field of None is left out."""
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    every = edge.merged(FIELDS, given)
    return line.encode() + b"\r\n" + edge.request_bytes("", "", every).split(b"\r\n", 1)[1]


async def asked(stage, request):
    """What a Source Saver listener answers to the bytes of a request; complete, if it is no 101."""
    answer = await edge.exchange(stage.port("source-saver"), request)
    if answer.status != 101:
        assert answer.version == b"HTTP/1.1", answer.version
        assert int(answer.headers["content-length"]) == len(answer.body) > 0, (answer.headers, answer.body)
        assert answer.reason, "no reason phrase"
    return answer


GOOD_HEADS = [
    ("4.2.1", "names in lower case", {name.lower(): value for name, value in FIELDS.items()}, "GET / HTTP/1.1"),
    ("4.2.1", "names in upper case", {name.upper(): value for name, value in FIELDS.items()}, "GET / HTTP/1.1"),
    ("4.2.1", "Upgrade: WebSocket", {"Upgrade": "WebSocket"}, "GET / HTTP/1.1"),
    ("4.2.1", "Upgrade: WEBSOCKET", {"Upgrade": "WEBSOCKET"}, "GET / HTTP/1.1"),
    ("4.2.1", "Connection: keep-alive, Upgrade", {"Connection": "keep-alive, Upgrade"}, "GET / HTTP/1.1"),
    ("4.2.1", "Connection: upgrade", {"Connection": "upgrade"}, "GET / HTTP/1.1"),
    ("4.2.1", "Connection in two fields", {"Connection": ["keep-alive", "Upgrade"]}, "GET / HTTP/1.1"),
    ("4.2.1", "no space behind the colons", {name: None for name in FIELDS}, "GET / HTTP/1.1" + "".join(
        f"\r\n{name}:{value}" for name, value in FIELDS.items())),
    ("4.2.1", "blanks and tabs around the values", {"Upgrade": " \t websocket \t ", "Sec-WebSocket-Key": f"\t{KEY}  "},
     "GET / HTTP/1.1"),
    ("4.2.1", "a query that nobody knows", {}, "GET /?a=b&c HTTP/1.1"),
    ("4.2.1", "an absolute target", {}, "GET http://crosspoint.example/ HTTP/1.1"),
    ("4.2.1", "an empty line before the request", {}, "\r\nGET / HTTP/1.1"),
    ("4.2.1", "an Origin", {"Origin": "http://localhost:8080"}, "GET / HTTP/1.1"),
    ("4.2.1", "a field that is no ASCII", {"User-Agent": "José"}, "GET / HTTP/1.1"),
    ("4.2.1", "an empty field", {"X-Empty": ""}, "GET / HTTP/1.1"),
    ("4.2.1", "200 more fields", {f"X-{number}": "value" for number in range(200)}, "GET / HTTP/1.1"),
]

BAD_HEADS = [
    ("4.2.1", "no key", 400, {"Sec-WebSocket-Key": None}, "GET / HTTP/1.1"),
    ("4.2.1", "an empty key", 400, {"Sec-WebSocket-Key": ""}, "GET / HTTP/1.1"),
    ("4.2.1", "a key of 15 octets", 400, {"Sec-WebSocket-Key": "ZmlmdGVlbiBvY3RldHMh"}, "GET / HTTP/1.1"),
    ("4.2.1", "a key of 17 octets", 400, {"Sec-WebSocket-Key": "c2V2ZW50ZWVuIG9jdGV0cyE="}, "GET / HTTP/1.1"),
    ("4.2.1", "a key that is no base 64", 400, {"Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!=="}, "GET / HTTP/1.1"),
    ("4.2.1", "a key with an equals sign within", 400, {"Sec-WebSocket-Key": "AAAA=AAAAAAAAAAAAAAAAA=="},
     "GET / HTTP/1.1"),
    ("4.2.1", "a key with three equals signs", 400, {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAA==="},
     "GET / HTTP/1.1"),
    ("4.2.1", "two keys", 400, {"Sec-WebSocket-Key": [KEY, KEY]}, "GET / HTTP/1.1"),
    ("4.2.2", "version 8", 426, {"Sec-WebSocket-Version": "8"}, "GET / HTTP/1.1"),
    ("4.2.2", "version 12", 426, {"Sec-WebSocket-Version": "12"}, "GET / HTTP/1.1"),
    ("4.2.2", "version 99", 426, {"Sec-WebSocket-Version": "99"}, "GET / HTTP/1.1"),
    ("4.2.2", "no version", 426, {"Sec-WebSocket-Version": None}, "GET / HTTP/1.1"),
    ("4.2.2", "a version that is no number", 426, {"Sec-WebSocket-Version": "thirteen"}, "GET / HTTP/1.1"),
    ("4.2.1", "no Upgrade", 426, {"Upgrade": None}, "GET / HTTP/1.1"),
    ("4.2.1", "an upgrade to something else", 426, {"Upgrade": "h2c"}, "GET / HTTP/1.1"),
    ("4.2.1", "an upgrade to what only begins like it", 426, {"Upgrade": "websockets"}, "GET / HTTP/1.1"),
    ("4.2.1", "no Connection", 426, {"Connection": None}, "GET / HTTP/1.1"),
    ("4.2.1", "Connection: close", 426, {"Connection": "close"}, "GET / HTTP/1.1"),
    ("4.2.1", "POST", 405, {}, "POST / HTTP/1.1"),
    ("4.2.1", "HEAD", 405, {}, "HEAD / HTTP/1.1"),
    ("4.2.1", "OPTIONS", 405, {}, "OPTIONS / HTTP/1.1"),
    ("4.2.1", "a method in lower case", 405, {}, "get / HTTP/1.1"),
    ("4.2.1", "HTTP/1.0", 400, {}, "GET / HTTP/1.0"),
    ("4.2.1", "HTTP/0.9", 400, {}, "GET /"),
    ("4.2.1", "HTTP/2.0", 400, {}, "GET / HTTP/2.0"),
    ("4.2.1", "no Host", 400, {"Host": None}, "GET / HTTP/1.1"),
    ("4.2.1", "two Hosts", 400, {"Host": ["crosspoint.example", "elsewhere.example"]}, "GET / HTTP/1.1"),
]


@case("rfc6455", "{clause}")
@case.table(GOOD_HEADS)
async def good_head(stage, me, clause, name, fields, line):
    """Handshake: {name}: 101, and the right Sec-WebSocket-Accept"""
    answer = await asked(stage, head(me, line, **fields))
    assert answer.status == 101, answer
    assert answer.headers["sec-websocket-accept"] == ACCEPT, answer.headers
    assert answer.headers["upgrade"].lower() == "websocket" and answer.headers["connection"].lower() == "upgrade"


@case("rfc6455", "{clause}")
@case.table(BAD_HEADS)
async def bad_head(stage, me, clause, name, status, fields, line):
    """Handshake: {name}: a complete {status}"""
    answer = await asked(stage, head(me, line, **fields))
    assert answer.status == status, answer
    if status == 426:
        # RFC 9110 §7.8: whoever sends Upgrade names it in Connection.
        assert answer.headers["upgrade"] == "websocket", answer.headers
        assert "upgrade" in answer.headers["connection"].lower(), f"Connection does not name it: {answer.headers}"
    if clause == "4.2.2":
        assert answer.headers["sec-websocket-version"] == "13", answer.headers
    if status == 405:
        assert answer.headers["allow"] == "GET", answer.headers


@case("rfc6455", "4.2.1")
async def an_http2_preface(stage, me):
    """Handshake: the preface of HTTP/2: a complete 400"""
    answer = await asked(stage, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.status == 400, answer


@case("rfc6455", "9.1")
@case.table([
    ("permessage-deflate", "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ("permessage-deflate with all its parameters", "Sec-WebSocket-Extensions",
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10"),
    ("an older compression", "Sec-WebSocket-Extensions", "x-webkit-deflate-frame"),
    ("a malformed extension", "Sec-WebSocket-Extensions", ";;=,"),
    ("a sub-protocol", "Sec-WebSocket-Protocol", "chat, superchat"),
])
async def offers(stage, me, what, name, offer):
    """12, 13 offered {what}: none is granted, and the connection works"""
    socket = await me.open("source-saver", headers={name: offer}, address=me.loopback)
    assert name.lower() not in socket.headers, socket.headers
    await lives(socket)


async def opened_by_hand(stage):
    """A TCP connection to Source Saver's listener."""
    return await edge.Socket.connect(stage.port("source-saver"))


@case("rfc6455", "4.2.1")
async def frames_behind_the_head(stage, me):
    """Frames in the segment of the head are answered"""
    socket = await opened_by_hand(stage)
    second = said("second")
    await socket.raw(head(me) + said("first") + frame_bytes(PING, b"p") + second[:10])
    await socket.answer()
    await take(socket, "first")
    await ponged(socket, b"p")
    await socket.raw(second[10:])
    await take(socket, "second")
    await socket.drop()


@case("rfc6455", "4.2.1")
async def many_frames_behind_the_head(stage, me):
    """A head with 40 texts behind it, cut in the middle of one: all are answered, in order"""
    socket = await opened_by_hand(stage)
    sent = b"".join(said(f"text {number} {'*' * 300}") for number in range(40))
    await socket.raw(head(me) + sent[:5000])
    await socket.answer()
    await socket.raw(sent[5000:])
    for number in range(40):
        assert (await socket.next())["data"]["clientTimestamp"].startswith(f"text {number} ")
    await socket.drop()


@case("rfc6455", "4.2.1")
async def a_second_head_behind_the_first(stage, me):
    """A second head behind the first is read as frames, which it is not, and ends the connection"""
    socket = await opened_by_hand(stage)
    await socket.raw(head(me) + head(me))
    await socket.answer()
    assert (await socket.closing())[0] in (1002, 1006)
    await socket.drop()


@case("rfc6455", "4.2.1")
async def a_head_octet_by_octet(stage, me):
    """A head that comes octet by octet is taken"""
    socket = await opened_by_hand(stage)
    await send_cut(socket, [head(me)], 1)
    await socket.answer()
    socket.own_pongs = []
    await lives(socket)
    await socket.drop()


@case("rfc6455", "4.2.1")
@case.table([(16384, 101), (16385, 431), (20000, 431)])
async def the_longest_head(stage, me, octets, status):
    """A head of {octets} octets: {status}"""
    short = head(me, X_Fill="")
    answer = await asked(stage, head(me, X_Fill="*" * (octets - len(short))))
    assert answer.status == status, answer


@case("rfc6455", "4.2.1")
async def a_head_without_end(stage, me):
    """A head that never ends is refused with 431 once it is too long"""
    answer = await asked(stage, head(me)[:-2] + b"X-Fill: " + b"*" * 20000)
    assert answer.status == 431, answer


@case("rfc6455", "4.2.1", slow=True)
@case.table([
    ("nothing at all", b"", 0),
    ("half a head", b"GET / HTTP/1.1\r\nHost: x\r\n", 0),
    ("a head whose lines end with LF alone", None, 0),
    ("an octet every 50 ms", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"*" * 200, 0.05),
    ("TLS", b"\x16\x03\x01\x02\x00\x01", 0),
])
async def a_slow_head(stage, me, what, sent, pause):
    """A connection on which {what} comes is refused with 408 after 5 s"""
    socket = await opened_by_hand(stage)
    sent, began = head(me).replace(b"\r\n", b"\n") if sent is None else sent, time.monotonic()
    for start in range(0, len(sent), 1 if pause else max(len(sent), 1)):
        if not socket.is_open or time.monotonic() - began > 6:
            break
        await socket.raw(sent[start:start + 1] if pause else sent)
        await asyncio.sleep(pause)
    try:
        await socket.answer()
        raise AssertionError("let in")
    except edge.Refused as refusal:
        assert refusal.status == 408 and int(refusal.headers["content-length"]) == len(refusal.body), refusal
    assert pause or 4.5 < time.monotonic() - began < 8, f"after {time.monotonic() - began:.1f} s"
    await socket.drop()


@case("rfc6455", "4.2.1")
async def half_a_head_then_gone(stage, me):
    """Connections that end within the head disturb nobody"""
    other = await me.open("source-saver", address=me.loopback)
    for octets in (0, 1, 20, len(head(me)) - 1):
        socket = await opened_by_hand(stage)
        await socket.raw(head(me)[:octets])
        await socket.drop()
    await lives(other)


@case("rfc6455", "5.5.1")
async def every_deviation_has_its_case(stage, me):
    """What is listed as a deviation is the name of a case"""
    import cases
    names = [each.name for each in cases.registry if each.dialect == "rfc6455"]
    for begin in DEVIATIONS:
        assert any(name.startswith(begin) for name in names), begin
