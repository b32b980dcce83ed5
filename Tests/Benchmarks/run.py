"""Measures a suite that `./crosspoint bench` has started, beside its peers; writes tables and a chart.

    python3 run.py --base 3000 --home .crosspoint --programs .build/release --database URL --out FOLDER [--quick] [--only a,b]
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import bus
import chart
import connections
import fanout
import writes
from figures import table
from load import MESSAGE_BYTES, Generator
from servers import Crosspoint
from suite import Suite

SCENARIOS = {"a": fanout.one_topic, "b": fanout.many, "c": fanout.rooms, "d": fanout.wildcards, "e": connections.storm,
             "f": connections.idle, "g": writes.rest, "h": fanout.dialects, "i": writes.chat, "j": writes.log,
             "loops": fanout.loops, "curve": bus.curve}


class Bench:
    """What the scenarios share: the suite, the rounds, and what they have found."""

    postgres = pathlib.Path("/usr/lib/postgresql")

    def __init__(self, given, folder):
        self.is_quick, self.rounds, self.folder = given.quick, given.rounds or (1 if given.quick else 3), folder
        self.drain = 3 if given.quick else 6
        self.programs, self.database, self.out = given.programs, given.database, given.out
        self.suite = Suite(given.base, given.home, given.programs, folder)
        self.generator = Generator(given.programs)
        self.token = self.suite.token()
        self.writer = self.suite.owner
        self.bars, self.tables, self.faults, self.sweep, self.cost = [], [], [], {}, {}
        self._data_bytes, self._started = {}, time.monotonic()

    def say(self, what):
        print(f"[{time.monotonic() - self._started:4.0f} s] {what}", file=sys.stderr, flush=True)

    def bar(self, bar):
        self.bars.append(bar)

    def table(self, scenario, title, text, *notes):
        self.tables.append((scenario, "\n\n".join([f"### {title}", text, *notes])))
        print("\n" + self.tables[-1][1], flush=True)

    def check(self, result, where, is_ours):
        """Notes what must not be; for peers only as far as it makes the comparison worthless."""
        if is_ours and result.faults:
            self.faults.append(f"{where}: {', '.join(f'{count} {name}' for name, count in result.faults.items())}")
            self.say(f"FAULT {self.faults[-1]}")

    def data_bytes(self, dialect):
        """Bytes of an event's data with which its message in that dialect is as long as everybody's."""
        if dialect not in self._data_bytes:
            self._data_bytes[dialect] = 300
            server = Crosspoint(self, dialect)
            with server.running():
                step = self.generator.run(*server.arguments(), "--clients", 2, "--rates", 10, "--seconds", 0.5,
                                          "--drain", 2, "--settle", 0.2).steps[0]
            envelope = round(step["bytes_per_message"]) - 4 - 300
            self._data_bytes[dialect] = MESSAGE_BYTES - envelope
        return self._data_bytes[dialect]

    def types(self, count):
        """Durable event types of the catalogue, as its page lists them."""
        page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "events.md"
        names = [line.split("`")[1] for line in page.read_text().splitlines() if line.startswith("| `") and "| durable |" in line]
        return [name for name in names if not name.startswith(("auth.", "performance."))][:count]

    def token_file(self, count, kind="jwt"):
        """A file of so many access tokens or, of kind apikey, of as many users' keys, made once."""
        path = self.folder / f"tokens-{kind}-{count}.txt"
        if not path.exists():
            subprocess.run(
                [self.programs / "Bench", "tokens", "--port", str(self.suite.port("auth")), "--owner-key-file",
                 self.suite.home / "owner.key", "--count", str(count), "--type", kind, path], check=True, timeout=120)
        return path


def machine():
    """What it was measured on."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores of {model}, Linux {os.uname().release.split('-')[0]}"


def report(bench, given):
    """The whole as Markdown, and the chart beside it."""
    command = "./crosspoint bench" + (" --quick" if given.quick else "") + (f" --only {given.only}" if given.only else "")
    took = time.monotonic() - bench._started
    head = (f"`{command}` on {machine()}, {time.strftime('%Y-%m-%d')}, {bench.rounds} round(s) in {took / 60:.0f} min; "
            "median (least–most).")
    bars = table(["scenario", "figure", "bar", "measured", "met"], [bar.row for bar in bench.bars])
    parts = [head, "### Bars", bars, *(text for _, text in bench.tables)]
    if bench.faults:
        parts.append("### Faults\n\n" + "\n".join(f"- {fault}" for fault in bench.faults))
    bench.out.mkdir(parents=True, exist_ok=True)
    (bench.out / "bench.md").write_text("\n\n".join(parts) + "\n")
    if bench.sweep:
        (bench.out / "bench.svg").write_text(chart.sweep(bench.sweep))
    print(f"\n### Bars\n\n{bars}\n\nWritten to {bench.out}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Crosspoint's benchmark.")
    parser.add_argument("--base", type=int, required=True, help="the suite's first port")
    parser.add_argument("--home", type=pathlib.Path, required=True, help="the suite's data directory")
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder of the executables")
    parser.add_argument("--database", required=True, help="the suite's database, as libpq takes it")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where bench.md and bench.svg go")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario")
    parser.add_argument("--only", default="", help=f"scenarios, of {','.join(SCENARIOS)}")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else list(SCENARIOS)
    if unknown := set(chosen) - set(SCENARIOS):
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    if os.cpu_count() < 2:
        parser.error("server and load generator need a core each")
    given.programs, given.home = given.programs.resolve(), given.home.resolve()
    with tempfile.TemporaryDirectory(prefix="crosspoint-bench-") as folder:
        bench = Bench(given, pathlib.Path(folder))
        try:
            for name in chosen:
                SCENARIOS[name](bench)
        finally:
            report(bench, given)
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
