"""Connections: scenarios e (a storm of them) and f (idle ones)."""

import json
import subprocess

from figures import Bar, Spread, ratios, table
from servers import Bare, Crosspoint, Floor
from suite import SERVER_CORE

STORM, WARM_UP, IDLE = 6000, 1000, 10_000
HEARTBEAT_SECONDS = 30


def verifications(bench, tokens):
    """Access tokens a second that one core verifies for the first time."""
    output = subprocess.run(
        ["taskset", "--cpu-list", SERVER_CORE, bench.programs / "Bench", "verify", "--port",
         str(bench.suite.port("auth")), tokens], capture_output=True, text=True, timeout=60, check=True).stdout
    return json.loads(output)["per_second"]


def storm(bench):
    """(e): clients that come all at once: the upgrade, who they are, and what they want to hear."""
    many = bench.token_file(STORM)
    once = bench.token_file(1)
    verified, found = [], {"distinct access tokens": [], "one access token, known": [], "bare libwebsockets, first message": []}
    cpu = {name: [] for name in found}
    for turn in range(bench.rounds):
        verified.append(verifications(bench, many))
        for name in found:
            bench.say(f"e: round {turn + 1}, {name}")
            is_bare = name.startswith("bare")
            server = Bare(bench) if is_bare else Crosspoint(bench)
            with server.running():
                # The first ones meet cold code; ours get auth's keys with them, and to know the one token.
                for tokens, clients in ((once, WARM_UP), (many if name.startswith("distinct") else once, STORM)):
                    options = server.arguments() if is_bare else server.client_with_tokens(tokens)
                    result = bench.generator.run(*options, "--clients", clients, "--settle", 0.2, "--seconds", 0.1,
                                                 pids=server.pids)
            bench.check(result, f"e, {name}", is_ours=not is_bare)
            found[name].append(result.connect["per_second"])
            cpu[name].append(result.connect["cpu_us_per_connection"])
    distinct, known, bare = found.values()
    bench.table("e", f"(e) {STORM} connections at once, on one core", table(
        ["", "connections/s", "µs CPU/connection"],
        [[name, Spread(rates).text(), Spread(cpu[name]).text()] for name, rates in found.items()]),
        f"v, access tokens verified for the first time on that core: {Spread(verified).text()}/s.")
    goals = [1 / (1 / rate + 1 / each) for rate, each in zip(bare, verified)]
    bench.bar(Bar("e", "connections/s with distinct access tokens ÷ 1/(1/c + 1/v)", "≥ 0.7", ratios(distinct, goals),
                  lambda value: value >= 0.7))
    bench.bar(Bar("e", "connections/s with a known one ÷ c", "≥ 0.7", ratios(known, bare), lambda value: value >= 0.7))


def idle(bench):
    """(f): 10,000 subscribed connections on which nothing happens but heartbeats, beside the floor that only sends PINGs."""
    seconds = 5 if bench.is_quick else 2 * HEARTBEAT_SECONDS
    rows, memory, cpu = [], [], {"ours": [], "floor": []}
    for turn in range(1 if bench.is_quick else min(2, bench.rounds)):
        bench.say(f"f: round {turn + 1}, Crosspoint")
        ours = Crosspoint(bench)
        with ours.running():
            result = bench.generator.run(*ours.client(), "--clients", IDLE, "--settle", 3, "--idle", seconds,
                                         "--seconds", 0.1, pids=ours.pids, timeout=200)
        bench.check(result, "f", is_ours=True)
        memory.append(result.idle["rss_kb_per_connection"])
        cpu["ours"].append(result.idle)
        if bench.is_quick:
            continue
        bench.say(f"f: round {turn + 1}, floor")
        floor = Floor(bench)
        with floor.running(ping=HEARTBEAT_SECONDS):
            result = bench.generator.run(*floor.client(), "--clients", IDLE, "--settle", 3, "--idle", seconds,
                                         "--seconds", 0.1, pids=floor.pids, timeout=200)
        cpu["floor"].append(result.idle)
    for name, found in cpu.items():
        if not found:
            continue
        rows.append([
            {"ours": "Crosspoint", "floor": "raw epoll, PINGs only"}[name],
            Spread([each["rss_kb_per_connection"] for each in found]).text(),
            Spread([each["cpu_percent"] for each in found]).text(lambda value: f"{value:.2f} %"),
            Spread([each["pings"] / each["seconds"] for each in found]).text(),
            Spread([each["bytes_received"] / each["seconds"] for each in found]).text()])
    bench.table("f", f"(f) {IDLE} idle connections, subscribed, {seconds} s", table(
        ["server", "RSS kB/connection", "CPU of a core", "PINGs/s", "bytes of heartbeats/s"], rows),
        "WAVE's heartbeats are a PING and a message every 30 s for each client; the floor sends the PING only.")
    bench.bar(Bar("f", "RSS kB a connection", "≤ 4", Spread(memory), lambda value: value <= 4))
    beyond = [ours["cpu_percent"] - floor["cpu_percent"] for ours, floor in zip(cpu["ours"], cpu["floor"])]
    bench.bar(Bar("f", "CPU of a core beyond the floor's, which only sends PINGs", "< 1 %", Spread(beyond),
                  lambda value: value < 1, lambda value: f"{value:.2f} %"))
