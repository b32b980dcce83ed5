"""WebSockets with TLS at the gateway, in every dialect: OpenSSL as Python has it, and the websockets library."""

import asyncio
import os
import ssl

import websockets

from crosspoint import EDGE, api, check, did, run, secret
from dialects import works

DIALECTS = {
    "source-saver": (0, "/?token="), "astro": (1, "/#"), "wave": (2, "/v1/streams?api_key="),
    "grimnir": (3, "/api/v1/events?token="), "airys": (4, "/v1/stream?token="),
}


def trust(**settings):
    """A client's context that trusts the authority and nobody else."""
    context = ssl.create_default_context(cafile=os.environ["CROSSPOINT_CA"])
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def connect(dialect, token, context=None):
    port, path = DIALECTS[dialect]
    place = path.removesuffix("#") if path.endswith("#") else path + token
    return websockets.connect(f"wss://localhost:{EDGE + port}{place}", ssl=context or trust(), open_timeout=20)


async def ending(socket):
    """The code with which the gateway closes; 1006: TLS ended without a CLOSE frame."""
    try:
        async with asyncio.timeout(20):
            while True:
                await socket.recv()
    except websockets.ConnectionClosed as exception:
        return exception.rcvd.code if exception.rcvd else 1006


async def sockets():
    token = secret(api("POST", "/v1/tokens", {"type": "apikey", "scope": "*"}, status=201).json()["token"])
    for dialect in DIALECTS:
        async with connect(dialect, token) as socket:
            await works(dialect, socket, token, "apikey")
        check(socket.close_code == 1000, dialect, "answered our CLOSE with", socket.close_code)
        did(dialect)

    async with connect("source-saver", token) as socket:
        await socket.send(b"binary")
        check(await ending(socket) == 1003, "no text")
    async with connect("wave", "wrong") as socket:
        check(await ending(socket) == 4401, "wrong key")
    did("close codes")

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trust(minimum_version=version, maximum_version=version)
        async with connect("grimnir", token, context) as socket:
            await (await socket.ping())
    did("versions 1.2 and 1.3")

    for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
        context = trust()
        context.set_alpn_protocols(offered)
        async with connect("grimnir", token, context) as socket:
            selected = socket.transport.get_extra_info("ssl_object").selected_alpn_protocol()
            check(selected == chosen, "of", offered, "it chose", selected)
    did("HTTP/1.1 or no protocol")

    try:
        async with connect("grimnir", token, ssl.create_default_context()):
            raise AssertionError("trusted an authority that nobody knows")
    except ssl.SSLCertVerificationError:
        did("a certificate that is not trusted")


run(lambda: asyncio.run(sockets()))
