"""Runs the printed clients against a running suite, and asks their libraries what they say of refusals and closes.

    python3 run.py [--only node,python,go,chromium] [--match TEXT]

The suite is found through CROSSPOINT_HOME, executables through CROSSPOINT_BIN_DIR, Python's packages through
CROSSPOINT_PYTHON. Exit status 1: a client did not do what it should; 2: something is not installed.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import os
import pathlib
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "Conformance"))

import play
import printed
import probing
import programs
import scenes  # It makes its scenes known to `play`.
import stage as stages
from chromium import Chromium
from draining import Drain
from fronts import NEEDS, Authority, HAProxy

GROUPS = {group.name: group for group in (programs.Node, programs.Python, programs.Go, Chromium)}
LIGHT = "node,python"


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to run. `slow` and `drains`: it mostly waits."""

    name: str
    run: object
    slow: bool
    drains: bool


class Part:
    """One case's part in a drain."""

    def __init__(self, drain, name):
        self.first, self.second, self.watch = drain.first, drain.second, drain.watch
        self._drain, self._name = drain, name

    async def leave(self):
        """Ready for the first gateway to leave; returns when it was told to."""
        await self._drain.leave(self._name)


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="The documents' own clients against Crosspoint.")
    parser.add_argument("--only", default=LIGHT, metavar="GROUPS",
                        help=f"of {', '.join(GROUPS)}, separated by commas; {LIGHT} unless given")
    parser.add_argument("--match", default="", metavar="TEXT", help="cases whose name holds it")
    parser.add_argument("--at-once", type=int, default=6, help="how many cases run beside those that wait")
    parser.add_argument("--list", action="store_true", help="print the cases and run none")
    given = parser.parse_args()
    given.groups = given.only.split(",")
    if unknown := set(given.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(unknown)}")
    return given


def scene_cases(name, hall):
    """The scenes of a group; those that only wait for real time, or for a gateway to leave, without TLS."""
    for scene in play.registry:
        if name in scene.groups:
            for way in ("ws",) if scene.slow or scene.drains else ("ws", "wss"):
                title = f"{name} {way} {scene.path}: {scene.title}"
                played = functools.partial(hall.play, title, scene, name, way)
                yield Case(title, played, scene.slow, scene.drains)


def probe_cases(name, hall):
    """What the group's library is asked."""
    for question in probing.registry:
        if name in question.languages:
            title = f"{name} tells {question.title}"
            yield Case(title, functools.partial(hall.ask, title, question, name), False, question.drains)


class Hall:
    """Everything that the cases run on."""

    def __init__(self, stage, folder):
        self.stage, self.folder = stage, folder
        self.groups, self.ways, self.drain = {}, {}, None
        self._opened = []
        self._lonely, self._starting = None, asyncio.Lock()

    async def open(self, names, drains):
        """Starts what the groups and the cases that drain need."""
        authority = Authority(self._folder("authority"))
        await authority.make()
        self.ways["ws"] = play.Plain(self.stage)
        await self.stage.third()
        proxies = {play.REAL: (0, 1), play.PUBLISHED: (play.PUBLISHED,)}
        for number, gateways in proxies.items():
            proxies[number] = HAProxy(self._folder(f"haproxy-{number}"), authority, self.stage, gateways)
            await self._open(proxies[number])
        self.ways["wss"] = play.Secure(authority, proxies)
        for name in names:
            self.groups[name] = GROUPS[name](self._folder(name))
            await self._open(self.groups[name], authority)
        if drains:
            self.drain = Drain(self.stage, self._folder("drain"), drains)
            await self._open(self.drain)

    async def play(self, title, scene, name, way):
        """Plays a scene."""
        playing = play.Play(scene, self.stage, self.groups[name], self.ways[way], self._part(title, scene))
        try:
            await scene.test(playing)
        finally:
            self._done(title)
            await playing.end()

    async def ask(self, title, question, name):
        """Asks a library."""
        part = self._part(title, question)
        probe = probing.Probe(self.stage, self.groups[name], self.ways["wss"], self.lonely, part)
        try:
            await question.ask(probe, *question.arguments)
        finally:
            self._done(title)
            await probe.end()

    async def lonely(self):
        """A gateway that has no auth; started when it is first asked for."""
        async with self._starting:
            if self._lonely is None:
                self._lonely = await self.stage.gateway(ready=False, BUS_AUTH_PORT=stages.free_ports(2))
                async with asyncio.timeout(30):
                    while not await self._listens(self._lonely.edge_port):
                        await asyncio.sleep(0.1)
            return self._lonely

    @staticmethod
    async def _listens(port):
        with contextlib.suppress(OSError):
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            return True
        return False

    async def close(self):
        """Ends what it started, the last first."""
        for part in reversed(self._opened):
            await part.close()
        await self.stage.end()

    def _part(self, title, case):
        return Part(self.drain, title) if case.drains else None

    def _done(self, title):
        if self.drain:
            self.drain.there(title)

    async def _open(self, part, *arguments):
        await part.open(*arguments)
        self._opened.append(part)

    def _folder(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder


async def run(chosen, at_once):
    """Runs the cases; returns those that failed. First those that wait, so that the others run meanwhile."""
    failed, turns, patient = [], asyncio.Semaphore(at_once), asyncio.Semaphore(1000)

    async def one(case):
        async with patient if case.slow or case.drains else turns:
            began = time.monotonic()
            try:
                await case.run()
            except Exception as failure:
                failed.append(case)
                place = traceback.extract_tb(failure.__traceback__)
                lines = [f"{pathlib.Path(frame.filename).name}:{frame.lineno}" for frame in place]
                kind = "" if isinstance(failure, AssertionError) else f"{type(failure).__name__}: "
                print(f"FAILED {case.name}\n{kind}{failure}\n({' < '.join(reversed(lines[-4:]))}, after "
                      f"{time.monotonic() - began:.1f} s)\n", flush=True)

    async with asyncio.TaskGroup() as group:
        for case in sorted(chosen, key=lambda case: not (case.slow or case.drains)):
            group.create_task(one(case))
    return failed


def the_stage():
    """The suite that runs."""
    home = pathlib.Path(os.environ.get("CROSSPOINT_HOME", HERE.parents[1] / ".crosspoint"))
    running = home / "run" / "suite"
    base, gateways = map(int, running.read_text().split()[:2]) if running.exists() else (0, 0)
    if gateways != 2:
        raise programs.Missing("needs a suite with two gateways: ./crosspoint up --detach --gateways 2")
    folder = os.environ.get("CROSSPOINT_BIN_DIR", HERE.parents[1] / ".build" / "release")
    return stages.Stage(base, (home / "owner.key").read_text().strip(), folder, proxy_key=home / "proxy.key")


async def main():
    """Runs what the command line asks for; the exit status."""
    given = arguments()
    for path in printed.changed():
        print(f"{path} is not as it was printed; see printed.sha256")
    if printed.changed():
        return 1
    with tempfile.TemporaryDirectory(prefix="seed-clients-", ignore_cleanup_errors=True) as folder:
        if not given.list:
            programs.check(NEEDS, *(GROUPS[name].needs for name in given.groups))
        hall = Hall(None if given.list else the_stage(), pathlib.Path(folder))
        chosen = [case for name in given.groups for case in (*scene_cases(name, hall), *probe_cases(name, hall))
                  if given.match in case.name]
        if given.list:
            print(*(case.name for case in chosen), sep="\n")
            return 0
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
        began = time.monotonic()
        try:
            await hall.open(given.groups, [case.name for case in chosen if case.drains])
            failed = await run(chosen, given.at_once)
        finally:
            await hall.close()
    for path, reason in printed.NOT_RUN.items():
        print(f"{path} is not run: {reason}")
    print(f"{', '.join(given.groups)}: {time.monotonic() - began:.0f} s")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return len(failed) > 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except programs.Missing as missing:
        print(missing, file=sys.stderr)
        sys.exit(2)
