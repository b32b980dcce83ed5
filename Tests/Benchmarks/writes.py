"""From a write to a client: scenarios g (REST), i (chat) and j (the log)."""

import json
import re
import subprocess

from figures import Bar, Spread, number, table
from servers import client
from suite import free_ports

CHAT_RATES = (100, 300, 1000)


def fsyncs(bench):
    """What a write that reaches the disk costs here, in microseconds, as Postgres measures it."""
    if bench.is_quick:
        return "pg_test_fsync takes its time, and is left out."
    program = next(iter(sorted(bench.postgres.glob("*/bin/pg_test_fsync"))), None)
    if program is None:
        return "pg_test_fsync is not there."
    path = bench.suite.home / "fsync-test"
    output = subprocess.run([program, "--secs-per-test=1", f"--filename={path}"], capture_output=True, text=True).stdout
    found = re.findall(r"^\s+(fdatasync|fsync)\s+[\d.]+ ops/sec\s+(\d+) usecs/op", output, re.MULTILINE)
    return "pg_test_fsync, one 8 kB write: " + ", ".join(f"{name} {cost} µs" for name, cost in found[:2]) + "."


def commit_seconds(bench, service):
    """How many batches a service's writer has committed, and how long that took in all."""
    metrics = bench.suite.metrics(bench.suite.port(service))
    return tuple(metrics.get(f"event_writer_commit_seconds_{what}", 0) for what in ("count", "sum"))


def rest(bench):
    """(g): one REST write, committed, over the bus, to subscribers."""
    rows, latency = [], {}
    # One after the other, and now and then: a process that has slept for 50 ms begins with cold caches, on each of its threads.
    for subscribers, how in ((1, "one after the other"), (1000, "one after the other"), (1, "20/s")):
        of, shares = [], []
        for turn in range(bench.rounds):
            bench.say(f"g: round {turn + 1}, {subscribers} subscribers, {how}")
            step, commit = write_sources(bench, subscribers, how)
            total, on_bus = step["latency_ms"]["p50"], step["publisher"]["bus_p50"]
            of.append(step)
            shares.append((on_bus - commit, commit, total - on_bus))
        latency[subscribers, how] = of
        rows.append([
            f"{number(subscribers)}, {how}",
            *(Spread([step["latency_ms"][place] for step in of]).text() for place in ("p50", "p99")),
            *(Spread(column).text() for column in zip(*shares)),
            Spread([step["publisher"]["answer_p50"] for step in of]).text()])
    bench.table("g", "(g) A REST write to subscribers, fsync on", table(
        ["subscribers, writes", "p50 ms", "p99 ms", "of it request and checks", "transaction and publishing",
         "bus, edge and client", "REST answer, p50 ms"], rows), fsyncs(bench))
    for place, target in (("p50", 2), ("p99", 10)):
        for how in ("one after the other", "20/s"):
            bench.bar(Bar("g", f"{place}, 1 subscriber, {how}, ms", f"≤ {target}", Spread(
                [step["latency_ms"][place] for step in latency[1, how]]), lambda value, t=target: value <= t))


def write_sources(bench, subscribers, how):
    """One round: the load generator's step, and the mean of what a transaction took, in milliseconds."""
    suite = bench.suite
    gateway = suite.gateway(stands_in=False)
    before = commit_seconds(bench, "obs-bridge")
    rate, seconds = (20, 3 if bench.is_quick else 8) if how == "20/s" else (200, 1 if bench.is_quick else 3)
    command = f"{bench.programs}/Bench sources --port {suite.port('obs-bridge')} --token {bench.writer}"
    result = bench.generator.run(
        *client("source-saver", gateway.port("source-saver"), bench.token, types=("sources.create",)),
        "--clients", subscribers, "--rates", rate, "--seconds", seconds, "--settle", 1, "--t0-mark", '"name":"bench ',
        "--seq-mark", " number ", "--publisher", command + ("" if how == "20/s" else " --back-to-back"),
        pids=gateway.pids)
    after = commit_seconds(bench, "obs-bridge")
    gateway.stop()
    bench.check(result, "g", is_ours=True)
    return result.steps[0], 1000 * (after[1] - before[1]) / max(1, after[0] - before[0])


def chat(bench):
    """(i): 100 senders and 1,000 readers of one stream; each line is stored before it is shown."""
    suite, steps = bench.suite, []
    status, answer = suite.rest("POST", "stream-metrics", "/v1/streams", {"title": "Bench", "protocol": "rtmp"})
    if status != 201:
        raise RuntimeError(f"stream-metrics made no stream: {status} {answer}")
    stream = answer.get("id") or answer["data"]["id"]
    for turn in range(bench.rounds):
        bench.say(f"i: round {turn + 1}")
        gateway = suite.gateway(stands_in=False)
        port = gateway.port("wave")
        result = bench.generator.run(
            *client("wave", port, bench.token, room=stream, types=("chat.message",)), "--clients", 1000,
            "--rates", ",".join(map(str, CHAT_RATES[:2] if bench.is_quick else CHAT_RATES)), "--seconds", 2,
            "--drain", 6, "--settle", 1, "--no-seq", "--t0-mark", '"message":"bench ',
            "--publisher", f"{bench.programs}/Bench chat --port {port} --tokens {bench.token_file(100, 'apikey')} --stream {stream}",
            pids=gateway.pids)
        gateway.stop()
        bench.check(result, "i", is_ours=True)
        steps.append(result.steps)
    rows = []
    for place, step in enumerate(steps[0]):
        of = [each[place] for each in steps if len(each) > place]
        rows.append([number(step["rate"]), Spread([each["delivered_per_second"] for each in of]).text(),
                     *(Spread([each["latency_ms"][name] for each in of]).text() for name in ("p50", "p99")),
                     Spread([each["lost"] for each in of]).text(),
                     Spread([each["cpu_us_per_delivery"] for each in of]).text()])
    bench.table("i", "(i) Chat: 100 senders, 1,000 readers, stored before it is shown", table(
        ["lines/s", "deliveries/s", "p50 ms", "p99 ms", "lost", "gateway's µs CPU/delivery"], rows))


def log(bench):
    """(j): durable events a second that one service commits and publishes."""
    output = subprocess.run(
        [bench.programs / "Bench", "writes", "--database", bench.database, "--port", str(free_ports(1)),
         "--seconds", "1" if bench.is_quick else "3", "--rounds", str(bench.rounds)],
        capture_output=True, text=True, timeout=120, check=True).stdout
    rounds = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    together = Spread([each["together"] for each in rounds])
    bench.table("j", "(j) Durable events of one service, committed and published", table(
        ["", "events/s"], [["one at a time", Spread([each["alone"] for each in rounds]).text()],
                           ["1,000 at once, through the writer's batches", together.text()]]))
    bench.bar(Bar("j", "durable events/s through the writer's batches", "≥ 10,000", together, lambda value: value >= 10_000))
