"""What the keys of the bus cost: scenario curve."""

import json
import os
import subprocess

from figures import Bar, Spread, table
from suite import CLIENT_CORE, SERVER_CORE, free_ports

COUNT, RATE, BYTES = 10_000, 4_000, 512
KEYS = ("BUS_KEY_FILE", "BUS_PEERS_FILE")


def curve(bench):
    """One publisher, one subscriber, each on its core, with keys and without."""
    costs = {"with keys": [], "open": []}
    for turn in range(min(2, bench.rounds)):
        for how, of in costs.items():
            bench.say(f"curve: round {turn + 1}, {how}")
            of.append(once(bench, how == "with keys"))
    rows = [[how, *(Spread([each[side] for each in of]).text() for side in (0, 1)), Spread([sum(each) for each in of]).text()]
            for how, of in costs.items()]
    difference = Spread([sum(keyed) - sum(bare) for keyed, bare in zip(*costs.values())])
    rows.append(["difference", "", "", difference.text()])
    bench.table("curve", f"(curve) Keys of the bus: {RATE:,} events/s of {BYTES} bytes to one subscriber", table(
        ["µs CPU an event", "publisher", "subscriber", "both"], rows))
    bench.bar(Bar("curve", "keys, µs CPU an event and subscriber", "≤ 5", difference, lambda value: value <= 5))


def once(bench, has_keys):
    """Microseconds of processor time an event, of the publisher and of the subscriber."""
    environment = {name: value for name, value in os.environ.items() if has_keys or name not in KEYS}
    port = free_ports(2)

    def start(core, side):
        return subprocess.Popen(
            ["taskset", "--cpu-list", core, bench.programs / "Bench", "bus", side, "--port", str(port), "--count", str(COUNT),
             "--rate", str(RATE), "--bytes", str(BYTES)], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    processes = [start(SERVER_CORE, "publish"), start(CLIENT_CORE, "subscribe")]
    try:
        answers = [json.loads(process.communicate(timeout=60)[0] or b"{}") for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(answer.get("events") != COUNT for answer in answers):
        raise RuntimeError(f"the bus lost events: {answers}")
    return tuple(answer["cpu_us"] for answer in answers)
