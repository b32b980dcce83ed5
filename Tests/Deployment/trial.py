"""Tries the whole deployment with docker compose, and prints what it measured. `deploy/docker/trial.sh` starts it.

Exit status 1: something did not hold, and the last lines say what.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True

import compose as composes
import crowd as crowds
import edge_api

CLIENTS, RATE = 1000, 2
SECRETS = ("auth bus-auth bus-gateway bus-peers bus-suite camera-events database edge gateway obs-bridge performance-monitor "
           "radio-playout stream-metrics")
failures = []


def check(holds, text):
    """Prints whether something holds, and remembers it if not."""
    print(f"  {'ok  ' if holds else 'FAIL'} {text}", flush=True)
    if not holds:
        failures.append(text)


def step(text):
    """Says what comes."""
    print(f"\n{text}", flush=True)


async def build(compose):
    """Builds the images and weighs them."""
    step("Images")
    start = time.monotonic()
    await compose("build", quiet=False)
    sizes, together = await composes.image_sizes()
    print(f"  built in {time.monotonic() - start:.0f} s")
    for image, size in sizes.items():
        print(f"  {image}: {size:.0f} MB")
    check(sizes["crosspoint"] < 500, f"all services are {sizes['crosspoint']:.0f} MB on disk, below 500; with Postgres and "
          f"HAProxy, shared layers counted once, {together:.0f} MB")


async def up(compose, *options, environment=None, limit=20):
    """Starts the suite and waits until each service and the edge are ready."""
    start = time.monotonic()
    await compose("up", "--detach", "--no-build", *options, environment=environment)
    started = time.monotonic()
    async with asyncio.timeout(120):
        while True:
            ready = [await all_ready(compose, service) for service in composes.SERVICES]
            if all(ready) and await asyncio.to_thread(edge_answers):
                break
            await asyncio.sleep(0.3)
    seconds = time.monotonic() - start
    check(seconds < limit, f"ready {seconds:.1f} s after `up` (`up` itself took {started - start:.1f} s), below {limit}")


async def all_ready(compose, service):
    """Whether a service runs, and each replica of it is ready."""
    replicas = await compose.containers(service)
    ready = [await asyncio.to_thread(is_ready, compose.address_of(replica), service) for replica in replicas]
    return bool(ready) and all(ready)


def is_ready(address, service):
    """Whether a service says on /readyz that it has all that it needs."""
    port = 3010 if service == "gateway" else 3020 + 10 * composes.SERVICES.index(service)
    return status(f"http://{address}:{port}/readyz") == 200


def edge_answers():
    """Whether a gateway and a service answer through HAProxy, be it that they want an upgrade or a credential."""
    urls = "http://127.0.0.1:3003/api/v1/events", "http://127.0.0.1:3000/api/health"
    return all(status(url) not in (None, 502, 503) for url in urls)


def status(url):
    """The status of an answer, or None without one."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


async def token(compose, kind="jwt"):
    """A credential, as the operator of the suite makes one."""
    return (await compose("exec", "-T", "auth", "token", kind, "7200")).strip()


async def hardened(compose):
    """Every container runs as nobody in particular and cannot write to its image."""
    step("Containers")
    for service in (*composes.SERVICES, "postgres", "haproxy"):
        [container, *_] = await compose.containers(service)
        # The processes themselves: the image's user may be overridden.
        processes = (await composes.run("docker", "top", container["Id"], "-eo", "pid,uid")).splitlines()[1:]
        users = {line.split()[1] for line in processes}
        held = [container["HostConfig"]["ReadonlyRootfs"], container["HostConfig"]["CapDrop"] == ["ALL"], "0" not in users]
        check(all(held), f"{service}: read-only root, no capabilities, not root ({held}, users {sorted(users)})")


async def idle(compose):
    """What the suite takes while nothing happens, as cgroups count it: files that are mapped count once."""
    step("Memory of the idle suite")
    await asyncio.sleep(15)
    used = await compose.memory()
    for service, size in used.items():
        print(f"  {service}: {size:.0f} MiB")
    total = sum(used.values()) - used["postgres"]
    check(total < 300, f"{total:.0f} MiB without Postgres, below 300")


async def dialects(edge, text, name="Trial"):
    """One client of each dialect hears of what happened; what is made for it has a name that must be new."""
    step(text)
    for each in edge_api.DIALECTS:
        try:
            await each(edge, name)
            check(True, f"{each.__name__} hears its event")
        except Exception as failure:
            check(False, f"{each.__name__}: {failure!r}")


@contextlib.asynccontextmanager
async def addresses(compose, count):
    """Addresses of this machine in the bus' network: a gateway limits how often one address may come."""
    [network] = json.loads(await composes.run("docker", "network", "inspect", f"{compose.project}_bus"))
    bridge, subnet = f"br-{network['Id'][:12]}", ipaddress.ip_network(network["IPAM"]["Config"][0]["Subnet"])
    # The highest ones: Docker gives out the lowest.
    own = [str(subnet.broadcast_address - number) for number in range(1, count + 1)]
    try:
        for address in own:
            await composes.run("ip", "address", "add", f"{address}/{subnet.prefixlen}", "dev", bridge)
        yield own
    finally:
        for address in own:
            subprocess.run(["ip", "address", "del", f"{address}/{subnet.prefixlen}", "dev", bridge],
                           stderr=subprocess.DEVNULL)


async def clients_by_replica(compose):
    """How many Astro clients each gateway has."""
    counts = {}
    for replica in await compose.containers("gateway"):
        url = f"http://{compose.address_of(replica)}:3010/metrics"
        text = await asyncio.to_thread(lambda url=url: urllib.request.urlopen(url, timeout=5).read().decode())
        counts[replica["Name"].lstrip("/")] = sum(
            int(float(line.split()[-1])) for line in text.splitlines() if line.startswith('gateway_clients{dialect="astro"'))
    return counts


async def scale(compose, count):
    """Brings the gateways to a number, and waits until HAProxy has them."""
    before = len(await compose.containers("gateway"))
    await compose("up", "--detach", "--no-build", "--no-recreate", "--scale", f"gateway={count}")
    async with asyncio.timeout(60):
        while not await all_ready(compose, "gateway"):
            await asyncio.sleep(0.3)
    # DNS is asked every second, an answer holds for five, a health check takes one.
    await asyncio.sleep(8 if count > before else 0)


async def spread(compose):
    """The replicas have about as many clients each."""
    counts = await clients_by_replica(compose)
    even = sum(counts.values()) / len(counts)
    worst = max(abs(count - even) for count in counts.values()) / even
    check(worst <= 0.2, f"spread within {worst * 100:.0f} % of even: {counts}")


async def replicas(compose, edge):
    """Scale, spread, the death of a replica, rolling restarts: 1,000 Astro clients, each message counted."""
    direct = edge_api.Edge(await compose.address("haproxy"), edge.token, edge.key)
    async with addresses(compose, 40) as sources, crowds.Publisher(edge, RATE) as publisher:
        step(f"Three gateways, {CLIENTS} Astro clients, {RATE} events a second")
        await scale(compose, 3)
        crowd = crowds.Crowd(direct, CLIENTS, sources)
        await crowd.come(publisher)
        await spread(compose)

        step("A replica is killed")
        [victim, *_] = await compose.containers("gateway")
        gone = (await clients_by_replica(compose))[victim["Name"].lstrip("/")]
        await composes.run("docker", "kill", victim["Id"])
        async with asyncio.timeout(60):
            while sum(client.lost_connections for client in crowd.clients) < gone:
                await asyncio.sleep(0.05)
        check(True, f"its {gone} clients are at the others after {await crowd.all_there(90):.1f} s")
        await scale(compose, 3)
        # All come once more, as after a cut of the network: the new replica gets its part.
        crowd.leave()

        step(f"Two rolling restarts, {CLIENTS} Astro clients with reconnect tokens")
        crowd = crowds.Crowd(direct, CLIENTS, sources)
        await crowd.come(publisher)
        await spread(compose)
        for number in (1, 2):
            start = time.monotonic()
            await restart_gateways(compose)
            print(f"  rolling restart {number} took {time.monotonic() - start:.0f} s: {await clients_by_replica(compose)}")
        judge(crowd, publisher, await settled(crowd, publisher))
        crowd.leave()

        step("From three gateways to one")
        crowd = crowds.Crowd(direct, CLIENTS, sources)
        await crowd.come(publisher)
        await spread(compose)
        await scale(compose, 1)
        judge(crowd, publisher, await settled(crowd, publisher))
        crowd.leave()


async def settled(crowd, publisher):
    """What the crowd got, once it has had time to get it."""
    await crowd.all_there(120)
    await asyncio.sleep(5)
    await crowd.settle(publisher)
    return crowd.report(publisher)


def judge(crowd, publisher, counted):
    """Nothing lost, and nothing twice but in the overlap and with the same id."""
    for name, number in counted.items():
        print(f"  {name}: {number}")
    check(counted["expected deliveries"] > 0 and counted["lost"] == 0, "no durable event lost")
    check(counted["with another id"] == 0, "what came twice has the same id")
    check(counted["tokens that did not open"] == 0 and counted["connections lost without notice"] == 0,
          "everybody went on with a token")
    alone = sum(client.twice for client in crowd.clients if not client.stays)
    print(f"  of {counted['twice']} that came twice, {alone} at clients that leave the old connection at the new welcome")


async def restart_gateways(compose):
    """The script that the documentation names."""
    await composes.run("deploy/docker/restart-gateways", "--project-name", compose.project)


async def data(edge):
    """What is in the database, as the APIs show it."""
    answers = {}
    for path in ("/api/sources", "/v1/streams", "/api/v1/stations", "/v1/cameras", "/kappa/v2/activities/default?limit=100"):
        answers[path] = await edge.rest("GET", path)
    return answers


async def down_and_up(compose, edge):
    """All that was there is there again, and old credentials open it."""
    step("`down`, and `up` again")
    before = await data(edge)
    await compose("down")
    await up(compose)
    after = await data(edge)
    for path in before:
        check(before[path] == after[path] and before[path], f"{path} is as it was")


async def backup(compose, edge, folder):
    """A dump and the secrets bring everything back, on empty volumes; as docs/operations.md has it."""
    step("Backup, and restore on empty volumes")
    call = " ".join(compose.command)
    before = await data(edge)
    await shell(f"{call} exec -T postgres pg_dump --host=/tmp --username=postgres --format=custom crosspoint >{folder}/dump")
    await shell(f"{call} run --rm --no-deps -T secrets tar --create --directory=/secrets {SECRETS} "
                f">{folder}/secrets.tar")
    await compose("down", "--volumes")
    await shell(f"{call} run --rm --no-deps -T secrets tar --extract --directory=/secrets <{folder}/secrets.tar")
    await compose("up", "--detach", "--no-build", "postgres")
    async with asyncio.timeout(60):
        while (await compose.containers("postgres"))[0]["State"]["Health"]["Status"] != "healthy":
            await asyncio.sleep(0.5)
    await shell(f"{call} exec -T postgres pg_restore --host=/tmp --username=postgres --clean --if-exists "
                f"--dbname=crosspoint <{folder}/dump")
    await up(compose)
    after = await data(edge)
    for path in before:
        check(before[path] == after[path] and before[path], f"{path} is as it was")
    await dialects(edge, "Five dialects on what was restored", name="Again")


async def secret(compose, edge):
    """Other keys of the bus, as docs/operations.md has it."""
    step("Other keys of the bus")
    before = await compose("exec", "-T", "auth", "cat", "/secrets/bus/bus.key", "/secrets/bus-peers/peers")
    await compose("run", "--rm", "--no-deps", "secrets", "rm", "-f", "/secrets/bus-suite/bus.key", "/secrets/bus-auth/bus.key",
                  "/secrets/bus-gateway/bus.key")
    await up(compose, "--force-recreate", limit=30)
    after = await compose("exec", "-T", "auth", "cat", "/secrets/bus/bus.key", "/secrets/bus-peers/peers")
    check(not set(before.split()) & set(after.split()) - {"suite", "auth", "gateway"}, "there are other keys")
    await dialects(edge, "Five dialects with them", name="Rotated")


async def roles(compose):
    """A service's role in Postgres sees no schema but its own."""
    step("Roles in Postgres")
    for own, other in (("auth", "stream_metrics"), ("stream_metrics", "auth")):
        answer = await compose(
            "exec", "-T", "postgres", "psql", "--host=/tmp", "--username=postgres", "--dbname=crosspoint", "--tuples-only", "--no-align",
            "--command", f"SELECT has_schema_privilege('crosspoint_{own}', '{own}', 'USAGE'), "
            f"has_schema_privilege('crosspoint_{own}', '{other}', 'USAGE')")
        check(answer.strip() == "t|f", f"crosspoint_{own} uses {own} and not {other}: {answer.strip()}")


async def shell(line):
    """Runs a line of a shell."""
    await composes.run("bash", "-c", line)


async def tls(compose, edge, folder):
    """The edge with a certificate."""
    step("TLS at HAProxy")
    await composes.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                       "-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem")
    await composes.run("sh", "-c", f"cat {folder}/certificate.pem {folder}/key.pem >{folder}/edge.pem && "
                       f"chmod 755 {folder} && chmod 644 {folder}/edge.pem")
    settings = {"EDGE_TLS_FILES": folder, "EDGE_TLS": "ssl crt /tls/edge.pem alpn http/1.1"}
    await compose("up", "--detach", "--no-build", environment=settings)
    answer, deadline = "", time.monotonic() + 30
    while "200" not in answer and time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):
            answer = await composes.run("curl", "--silent", "--cacert", f"{folder}/certificate.pem", "--include", "--header",
                                        f"Authorization: Bearer {edge.token}", "https://localhost:3000/api/sources")
        await asyncio.sleep(0.5)
    check(answer.startswith("HTTP/1.1 200"), "https://localhost:3000 answers with the certificate")
    check("strict-transport-security: max-age=" in answer.lower(), "and tells browsers to stay with TLS")


async def trial(given):
    """Everything, one after the other."""
    compose = composes.Compose(given.compose.split(), given.project)
    await compose("down", "--volumes", "--timeout", "35")
    try:
        if not given.no_build:
            await build(compose)
        step("First `up`, on empty volumes")
        await up(compose)
        edge = edge_api.Edge("127.0.0.1", await token(compose), await token(compose, "apikey"))
        await hardened(compose)
        await idle(compose)
        await dialects(edge, "Five dialects through HAProxy")
        given.quick or await replicas(compose, edge)
        await down_and_up(compose, edge)
        await backup(compose, edge, given.folder)
        await roles(compose)
        await secret(compose, edge)
        await tls(compose, edge, given.folder)
    finally:
        if failures or sys.exc_info()[0]:
            print(await compose("logs", "--no-color", "--tail", "8"))
        if not given.keep:
            await compose("down", "--volumes", "--timeout", "35")


def main():
    """Tries it; says what failed."""
    parser = argparse.ArgumentParser(description="The trial of Crosspoint's containers.")
    parser.add_argument("--compose", default="docker-compose", help="how compose is called")
    parser.add_argument("--project", default="crosspoint-trial", help="the project of compose, whose volumes are removed")
    parser.add_argument("--folder", required=True, help="a folder for a certificate")
    parser.add_argument("--no-build", action="store_true", help="takes the images that are there")
    parser.add_argument("--quick", action="store_true", help="without replicas and their clients")
    parser.add_argument("--keep", action="store_true", help="leaves the suite running")
    asyncio.run(trial(parser.parse_args()))
    print(f"\n{len(failures)} failed" if failures else "\nAll of it holds.")
    for failure in failures:
        print(f"  {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
