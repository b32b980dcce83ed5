"""Clients as scripts of a page in a real browser, watched through its DevTools port."""

import asyncio
import contextlib
import itertools

import edge
from programs import Group, Printer, Program

PAGE = "<!doctype html><link rel=icon href=data:,><script src=client.js></script>"


class Page(Printer):
    """A page with one client. What goes to the console counts as printed, an object as JSON."""

    def __init__(self, browser, session, target):
        super().__init__()
        self._browser, self._session, self._target = browser, session, target
        self._events = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())
        # What came on its WebSockets, by URL.
        self.frames = {}
        self._urls = {}

    def tell(self, method, event):
        """The browser says that something happened in the page."""
        self._events.put_nowait((method, event))

    async def call(self, expression):
        """Evaluates it at the script's top level."""
        await self.ask("Runtime.evaluate", expression=expression, userGesture=True)

    async def ask(self, method, **parameters):
        """One DevTools command to the page."""
        return await self._browser.ask(method, self._session, **parameters)

    async def stop(self):
        """Closes the page."""
        self._reading.cancel()
        with contextlib.suppress(edge.Closed, AssertionError):
            await self._browser.ask("Target.closeTarget", targetId=self._target)
        self.ended()

    async def _read(self):
        while True:
            method, event = await self._events.get()
            if method == "Runtime.consoleAPICalled":
                self.heard(" ".join([await self._text(argument) for argument in event["args"]]) + "\n")
            elif method == "Runtime.exceptionThrown":
                details = event["exceptionDetails"]
                self.heard(f"{details['text']} {details.get('exception', {}).get('description', '')}\n")
            elif method == "Log.entryAdded":
                self.heard(event["entry"]["text"] + "\n")
            elif method == "Network.webSocketCreated":
                self._urls[event["requestId"]] = event["url"]
            elif method == "Network.webSocketFrameReceived":
                url = self._urls.get(event["requestId"], "")
                self.frames.setdefault(url, []).append(event["response"]["payloadData"])

    async def _text(self, argument):
        if "objectId" not in argument:
            return str(argument.get("value", argument.get("description", argument["type"])))
        answer = await self.ask("Runtime.callFunctionOn", objectId=argument["objectId"], returnByValue=True,
                                functionDeclaration="function() { return JSON.stringify(this); }")
        return str(answer["result"].get("value"))


class Chromium(Group):
    """Debian's Chromium without a window; each client has a page of its own, served from loopback."""

    name = "chromium"
    needs = {"chromium": "chromium"}

    async def open(self, authority):
        self._sources, self._answers, self._pages = {}, {}, {}
        self._numbers = itertools.count(1)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        profile = self.folder / "profile"
        self._program = await Program.start(
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--no-proxy-server",
            "--remote-debugging-port=0", f"--user-data-dir={profile}",
            f"--ignore-certificate-errors-spki-list={authority.fingerprint if authority else ''}",
            environment={"HOME": str(self.folder)})
        try:
            port, path = await self._devtools(profile / "DevToolsActivePort")
            self._socket = await edge.Socket.open(port, path)
        except BaseException:
            await self._program.stop()
            raise
        self._reading = asyncio.create_task(self._read())

    async def _devtools(self, file):
        """Waits for the file in which it says where DevTools are."""
        async with asyncio.timeout(90):
            while not file.exists() or file.read_text().count("\n") < 1:
                assert not self._program.has_ended, f"Chromium ended:\n{self._program.printed}"
                await asyncio.sleep(0.1)
        port, path = file.read_text().split("\n")[:2]
        return int(port), path

    async def close(self):
        with contextlib.suppress(edge.Closed, AssertionError, TimeoutError):
            await self.ask("Browser.close")
        with contextlib.suppress(TimeoutError, AssertionError):
            await self._program.exits(timeout=10)
        await self._program.stop()
        self._reading.cancel()
        self._server.close()

    async def start(self, path, text, authority=None):
        number = next(self._numbers)
        self._sources[f"/{number}/client.js"] = text
        target = (await self.ask("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Runtime", "Log", "Network", "Page"):
            await page.ask(f"{domain}.enable")
        await page.ask("Page.navigate", url=f"http://127.0.0.1:{self._port}/{number}/")
        return page

    async def ask(self, method, session=None, **parameters):
        """One DevTools command; returns its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": parameters}
        await self._socket.send(command | ({"sessionId": session} if session else {}))
        async with asyncio.timeout(60):
            message = await answer
        assert "error" not in message, f"{method}: {message.get('error')}"
        return message["result"]

    async def _read(self):
        try:
            while True:
                message = await self._socket.next(timeout=3600)
                if "id" in message:
                    answer = self._answers.pop(message["id"])
                    # Who asked may have given up.
                    if not answer.done():
                        answer.set_result(message)
                elif message.get("sessionId") in self._pages:
                    self._pages[message["sessionId"]].tell(message["method"], message["params"])
        except edge.Closed as closed:
            for answer in self._answers.values():
                answer.cancel()
            for page in self._pages.values():
                page.heard(f"the browser has gone: {closed}\n")
                page.ended()

    async def _serve(self, reader, writer):
        """Pages and their scripts."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            script = self._sources.get(path)
            body = (PAGE if script is None else script).encode()
            kind = "text/html" if script is None else "text/javascript"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
                         "Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()
