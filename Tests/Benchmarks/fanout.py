"""Events to many subscribers: scenarios a, b, c, d, h and two loops."""

import peers
from figures import Bar, Spread, number, ratios, table
from load import SUSTAINED
from servers import Crosspoint, Floor, Peer, client

SUBSCRIBERS, MANY, ROOMS = 1000, 10_000, 1000
# Messages a second.
RATES = (50, 100, 200, 400, 800, 1600, 3200, 4800, 6400, 9600)
QUICK_RATES = (50, 100, 400, 3200, 4800)


def everybody(bench):
    return [Crosspoint(bench), Floor(bench)] + [Peer(bench, kind) for kind in peers.PEERS.values()]


def at(steps, rate):
    return next((step for step in steps if step["rate"] == rate), None)


def figure(steps, rate, name):
    """A step's figure; nothing if the rate was not reached or not sustained."""
    step = at(steps, rate)
    if step is None or step["in_time"] < SUSTAINED:
        return None
    return step["latency_ms"][name] if name in ("p50", "p99") else step[name]


def one_topic(bench):
    """(a): one publisher, 1,000 subscribers of one topic, the rate rising to saturation and beyond."""
    rates = QUICK_RATES if bench.is_quick else RATES
    servers = everybody(bench)
    rounds = {server.name: [] for server in servers}
    for turn in range(bench.rounds):
        for server in servers:
            bench.say(f"a: round {turn + 1}, {server.name}")
            # Those that write each message by itself are far beyond saturation there, and would only drain.
            stop = ["--stop-ratio", 0.5] if isinstance(server, Peer) else []
            tried = rates[:3] if bench.is_quick and stop else rates
            with server.running():
                result = bench.generator.run(
                    *server.arguments(), "--clients", SUBSCRIBERS, "--rates", ",".join(map(str, tried)),
                    "--seconds", 1, "--drain", bench.drain, "--settle", 0.5, *stop, pids=server.pids)
            bench.check(result, f"a, {server.name}", is_ours=isinstance(server, Crosspoint))
            rounds[server.name].append(result.steps)
    report_one_topic(bench, servers, rounds, rates)


def best(steps):
    """The highest rate of deliveries, whether sustained or not."""
    return max((step["delivered_per_second"] for step in steps), default=None)


def report_one_topic(bench, servers, rounds, rates):
    ours, floor = rounds["Crosspoint"], rounds[servers[1].name]
    names = [server.name for server in servers]
    common = [rate for rate in rates
              if Spread([figure(steps, rate, "in_time") for steps in floor]).values.__len__() * 2 > len(floor)]
    top = max(common, default=rates[0])
    rows = []
    for name in names:
        steps = rounds[name]
        rows.append([
            name, Spread([best(each) for each in steps]).text(),
            *(Spread([figure(each, rate, "cpu_us_per_delivery") for each in steps]).text() for rate in (50, 100, 400)),
            *(f"{Spread([figure(each, rate, 'p50') for each in steps]).text()} / "
              f"{Spread([figure(each, rate, 'p99') for each in steps]).text()}" for rate in (50, 100)),
            Spread([max((s["messages_per_read"] for s in each), default=None) for each in steps]).text()])
    bench.table("a", "(a) One publisher, 1,000 subscribers of one topic", table(
        ["server", "most deliveries/s", "µs CPU/delivery at 50k/s", "at 100k/s", "at 400k/s", "p50 / p99 ms at 50k/s",
         "at 100k/s", "messages per read, most"], rows),
        f"The highest rate that the generator and the floor sustain: {top} messages/s, {number(top * SUBSCRIBERS)} deliveries/s.")
    bench.sweep = {name: [(step["rate"] * SUBSCRIBERS, Spread([
        at(each, step["rate"])["delivered_per_second"] for each in steps if at(each, step["rate"])]).median)
        for step in max(steps, key=len)] for name, steps in rounds.items() if steps}
    delivered = [(at(each, top) or {}).get("delivered_per_second") for each in ours]
    reached = [(at(each, top) or {}).get("delivered_per_second") for each in floor]
    bench.bar(Bar("a", f"deliveries/s ÷ floor, at {number(top * SUBSCRIBERS)}/s offered", "≥ 0.9",
                  ratios(delivered, reached), lambda value: value >= 0.9))
    theirs = [max(best(rounds[name][turn]) or 0 for name in names[2:]) for turn in range(bench.rounds)]
    bench.bar(Bar("a", "deliveries/s ÷ best peer", "≥ 1.7", ratios([best(each) for each in ours], theirs),
                  lambda value: value >= 1.7))
    last = [(each[-1]["delivered_per_second"] if each else None) for each in ours]
    bench.bar(Bar("a", f"deliveries/s at {number(rates[-1] * SUBSCRIBERS)}/s offered ÷ own best", "no collapse (≥ 0.8)",
                  ratios(last, [best(each) for each in ours]), lambda value: value >= 0.8))
    for rate in (50, 100):
        bench.bar(Bar("a", f"p99 at {rate}k deliveries/s ÷ floor", "≤ 1.3", ratios(
            [figure(each, rate, "p99") for each in ours], [figure(each, rate, "p99") for each in floor]),
            lambda value: value <= 1.3))
    bench.cost = {rate: [figure(each, rate, "cpu_us_per_delivery") for each in ours] for rate in (50, 100)}


def many(bench):
    """(b): 10,000 subscribers, 10 events a second."""
    servers = everybody(bench)
    rounds = {server.name: [] for server in servers}
    for turn in range(bench.rounds):
        for server in servers:
            bench.say(f"b: round {turn + 1}, {server.name}")
            with server.running():
                result = bench.generator.run(
                    *server.arguments(), "--clients", MANY, "--rates", 10, "--seconds", 2 if bench.is_quick else 4,
                    "--drain", bench.drain, "--settle", 1, pids=server.pids)
            bench.check(result, f"b, {server.name}", is_ours=isinstance(server, Crosspoint))
            rounds[server.name].append(result)
    rows, steps = [], {name: [each.steps[-1] if each.steps else None for each in of] for name, of in rounds.items()}

    def spread(name, get):
        return Spread([get(step) for step in steps[name] if step])

    for name, of in rounds.items():
        rows.append([
            name, Spread([each.connect.get("per_second") for each in of]).text(),
            Spread([each.idle.get("rss_kb_per_connection") for each in of]).text(),
            spread(name, lambda step: step["delivered_per_second"]).text(),
            *(spread(name, lambda step, place=place: step["latency_ms"][place]).text() for place in ("p50", "p99")),
            spread(name, lambda step: step["lost"]).text(), spread(name, lambda step: step["cpu_us_per_delivery"]).text()])
    bench.table("b", "(b) 10,000 subscribers, 10 events/s", table(
        ["server", "connects/s", "RSS kB/connection", "delivered/s of 100k", "p50 ms", "p99 ms", f"not delivered after {bench.drain} s",
         "µs CPU/delivery"], rows))
    for place in ("p50", "p99"):
        theirs = [min((steps[server.name][turn]["latency_ms"][place] for server in servers[2:]
                       if steps[server.name][turn]), default=None) for turn in range(bench.rounds)]
        ours = [step["latency_ms"][place] if step else None for step in steps["Crosspoint"]]
        bench.bar(Bar("b", f"{place} ÷ best peer's", "≤ 1", ratios(ours, theirs), lambda value: value <= 1))
    bench.bar(Bar("b", "lost", "0", spread("Crosspoint", lambda step: step["lost"]), lambda value: value == 0))


def cost_bars(bench, scenario, steps, rates):
    """CPU per delivery beside that of (a) at the same number of deliveries a second offered."""
    for rate, base in zip(rates, (50, 100)):
        found = [at(each, rate) or {} for each in steps]
        sustained = all(step.get("in_time", 0) >= SUSTAINED for step in found)
        bench.bar(Bar(scenario, f"µs CPU/delivery at {base}k deliveries/s ÷ (a)'s" + ("" if sustained else ", not sustained"),
                      "≤ 1.5", ratios([step.get("cpu_us_per_delivery") for step in found], bench.cost.get(base, [])),
                      lambda value: value <= 1.5))


def cost_rows(steps, rates, per_event):
    rows = []
    for rate in rates:
        found = [at(each, rate) for each in steps if at(each, rate)]
        rows.append([number(rate * per_event), Spread([step["delivered_per_second"] for step in found]).text(),
                     Spread([step["cpu_us_per_delivery"] for step in found]).text(),
                     Spread([step["cpu_percent"] for step in found]).text(lambda value: f"{value:.0f} %"),
                     Spread([step["latency_ms"]["p50"] for step in found]).text(),
                     Spread([step["latency_ms"]["p99"] for step in found]).text(),
                     Spread([step["lost"] for step in found]).text()])
    return table(["deliveries/s offered", "delivered/s", "µs CPU/delivery", "CPU of a core", "p50 ms", "p99 ms", "lost"], rows)


def rooms(bench):
    """(c): 10,000 connections over 1,000 rooms, 10 in each; events go to the rooms in turn."""
    steps, rates = [], (50_000 * ROOMS // MANY, 100_000 * ROOMS // MANY)
    for turn in range(bench.rounds):
        bench.say(f"c: round {turn + 1}")
        server = Crosspoint(bench)
        with server.running():
            result = bench.generator.run(
                *server.client(room=f"room-{{i%{ROOMS}}}"), *server.publisher("--rooms", ROOMS), "--clients", MANY,
                "--parts", ROOMS, "--part", f"{{i%{ROOMS}}}", "--seq-mark", '"part":',
                "--rates", ",".join(map(str, rates)), "--seconds", 1 if bench.is_quick else 2, "--drain", 6,
                "--settle", 1, pids=server.pids)
        bench.check(result, "c", is_ours=True)
        steps.append(result.steps)
    bench.table("c", "(c) 10,000 connections over 1,000 rooms, 10 in each", cost_rows(steps, rates, MANY // ROOMS))
    cost_bars(bench, "c", steps, rates)


def wildcards(bench):
    """(d): 100 wildcard subscribers among 900 exact ones, of whose types one event in 20 is."""
    types = bench.types(60)
    exact = types[:3]
    each = 900 // len(exact)
    per_event = 100 + each * len(exact) / len(types)
    rates = tuple(round(deliveries / per_event) for deliveries in (50_000, 100_000))
    steps = []
    for turn in range(bench.rounds):
        bench.say(f"d: round {turn + 1}")
        server = Crosspoint(bench, "source-saver")
        with server.running():
            port, token = server.gateway.port("source-saver"), bench.token
            groups = ["--group", 100, *client("source-saver", port, token, types=("*",))]
            for place, name in enumerate(exact):
                groups += ["--group", each, *client("source-saver", port, token, types=(name,)), "--parts", len(types),
                           "--part", place, "--seq-mark", '"part":']
            result = bench.generator.run(
                *server.publisher("--types", ",".join(types)), "--rates", ",".join(map(str, rates)),
                "--seconds", 1 if bench.is_quick else 2, "--drain", 6, "--settle", 1, *groups, pids=server.pids)
        bench.check(result, "d", is_ours=True)
        steps.append(result.steps)
    bench.table("d", f"(d) 100 wildcard and 900 exact subscribers over {len(types)} event types",
                cost_rows(steps, rates, per_event),
                f"One event in {len(types) // len(exact)} matches exact subscribers, {each} of them.")
    cost_bars(bench, "d", steps, rates)


def dialects(bench):
    """(h): what a delivery costs in each dialect, 1,000 subscribers of one type."""
    rates, names = (50,) if bench.is_quick else (50, 200, 800), ("source-saver", "astro", "wave", "grimnir", "airys")
    found = {name: [] for name in names}
    for turn in range(bench.rounds):
        for name in names:
            bench.say(f"h: round {turn + 1}, {name}")
            server = Crosspoint(bench, name)
            with server.running():
                result = bench.generator.run(
                    *server.arguments(), "--clients", SUBSCRIBERS, "--rates", ",".join(map(str, rates)), "--seconds", 1,
                    "--drain", 6, "--settle", 0.5, pids=server.pids)
            bench.check(result, f"h, {name}", is_ours=True)
            found[name].append(result.steps)
    bench.table("h", "(h) Each dialect, 1,000 subscribers", table(
        ["dialect", *(f"µs CPU/delivery at {rate}k/s" for rate in rates), "p50 ms at 50k/s", "p99 ms at 50k/s"],
        [[name, *(Spread([figure(each, rate, "cpu_us_per_delivery") for each in of]).text() for rate in rates),
          *(Spread([figure(each, 50, place) for each in of]).text() for place in ("p50", "p99"))]
         for name, of in found.items()]))


def loops(bench):
    """Two loops beside one, at the same load, both on both cores."""
    rates, found = (50, 100), {1: [], 2: []}
    for turn in range(bench.rounds):
        for count in found:
            bench.say(f"loops: round {turn + 1}, {count}")
            server = Crosspoint(bench, loops=count, cores="0,1")
            with server.running():
                result = bench.generator.run(
                    *server.arguments(), "--clients", SUBSCRIBERS, "--rates", ",".join(map(str, rates)),
                    "--seconds", 1 if bench.is_quick else 3, "--drain", 6, "--settle", 0.5, pids=server.pids)
            bench.check(result, f"{count} loops", is_ours=True)
            found[count].append(result.steps)
    bench.table("loops", "One loop and two", table(
        ["loops", *(f"µs CPU/delivery at {rate}k/s" for rate in rates)],
        [[count, *(Spread([figure(each, rate, "cpu_us_per_delivery") for each in of]).text() for rate in rates)]
         for count, of in found.items()]))
    for rate in rates:
        bench.bar(Bar("loops", f"µs CPU/delivery, two loops ÷ one, at {rate}k/s", "≤ 1.18", ratios(
            [figure(each, rate, "cpu_us_per_delivery") for each in found[2]],
            [figure(each, rate, "cpu_us_per_delivery") for each in found[1]]), lambda value: value <= 1.18))
