"""What stands between clients and gateways in these tests: HAProxy with TLS, and doors."""

import asyncio
import base64
import contextlib
import hashlib
import pathlib
import re

import stage as stages
from programs import Program

HAPROXY = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
NEEDS = {"openssl": "openssl", "haproxy": "haproxy"}
SUBJECT_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


class Authority:
    """A certificate authority of this run, and one certificate of it for this machine."""

    def __init__(self, folder):
        self.folder = folder
        self.certificate = folder / "authority.pem"
        self.pair = folder / "server.pem"

    async def make(self):
        """Makes both; `pair` holds the server's certificate and key, as HAProxy reads them."""
        (self.folder / "names").write_text(SUBJECT_NAMES)
        await self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Seed clients",
                            "-keyout", "authority.key", "-out", "authority.pem")
        await self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key",
                            "-out", "server.request")
        await self._openssl("x509", "-req", "-in", "server.request", "-CA", "authority.pem", "-CAkey", "authority.key",
                            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt")
        await self._openssl("rsa", "-in", "server.key", "-pubout", "-outform", "DER", "-out", "server.public")
        self.pair.write_bytes((self.folder / "server.crt").read_bytes() + (self.folder / "server.key").read_bytes())
        digest = hashlib.sha256((self.folder / "server.public").read_bytes()).digest()
        self.fingerprint = base64.b64encode(digest).decode()

    async def _openssl(self, *arguments):
        await (await Program.start("openssl", *arguments, folder=self.folder)).exits()


class HAProxy:
    """The project's HAProxy with TLS on its five ports, in front of gateways of the stage."""

    def __init__(self, folder, authority, stage, gateways):
        self.folder, self.authority, self.stage, self.gateways = folder, authority, stage, gateways

    def port(self, dialect):
        """Where it listens for a dialect."""
        return self._first + stages.DIALECTS.index(dialect)

    async def open(self):
        """Starts it and waits until it takes connections."""
        text, binds = re.subn(r"^(\s+bind \S+ name \S+).*$", rf"\1 ssl crt {self.authority.pair}", HAPROXY.read_text(),
                              flags=re.MULTILINE)
        assert binds == len(stages.DIALECTS), f"{HAPROXY} has {binds} listeners"
        (self.folder / "haproxy.cfg").write_text(text)
        (self.folder / "gateways.cfg").write_text(self._backends())
        self._first = stages.free_ports(len(stages.DIALECTS))
        environment = {"BIND_ADDRESS": "127.0.0.1", "EDGE_PROXY_KEY": pathlib.Path(self.stage.proxy_key).read_text()}
        environment |= {f"EDGE_PORT_{index}": str(self._first + index) for index in range(len(stages.DIALECTS))}
        environment |= {f"{name.upper().replace('-', '_')}_ADDRESS": f"127.0.0.1:{self.stage.service(name)}"
                        for name in stages.OFFSETS}
        self._program = await Program.start("haproxy", "-db", "-f", "haproxy.cfg", "-f", "gateways.cfg",
                                            environment=environment, folder=self.folder)
        async with asyncio.timeout(20):
            while True:
                assert not self._program.has_ended, f"HAProxy ended:\n{self._program.printed}"
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", self._first))[1].close()
                    return
                await asyncio.sleep(0.1)

    def _backends(self):
        lines = []
        for dialect in stages.DIALECTS:
            lines.append(f"backend {dialect} from gateways")
            for number, gateway in enumerate(self.gateways):
                port, operators = self.stage.port(dialect, gateway), self.stage.operators(gateway)
                lines.append(f"    server gateway-{number} 127.0.0.1:{port} check port {operators}")
        return "\n".join(lines) + "\n"

    async def close(self):
        """Ends it."""
        await self._program.stop()


class Door:
    """A port that stays while the one behind it may change. Who comes through it comes from its address."""

    def __init__(self, target, address):
        self.target, self.address = target, address
        self._passages = set()

    async def open(self):
        """Listens; returns the port."""
        self._server = await asyncio.start_server(self._let_in, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    def close(self):
        """Lets nobody in any more, and ends the connections that go through it."""
        self._server.close()
        for passage in self._passages:
            passage.cancel()

    async def _let_in(self, reader, writer):
        passage = asyncio.current_task()
        self._passages.add(passage)
        try:
            inside = await asyncio.open_connection("127.0.0.1", self.target, local_addr=(self.address, 0))
            await asyncio.gather(self._carry(reader, inside[1]), self._carry(inside[0], writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._passages.discard(passage)

    @staticmethod
    async def _carry(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
