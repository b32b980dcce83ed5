"""Whether the files of the deployment are right, without starting any of it: compose, images, alerts, dashboard, manifests.

Needs docker-compose, promtool (Debian's `prometheus`) and the packages of requirements.txt. Exit status 1: a line on each that is wrong.
"""

import json
import re
import sys
import tempfile

import yaml

import kubernetes
from repository import DRAIN_SECONDS, ROOT, SERVICES, check, documented, failures, run, variables

OBSERVE = ROOT / "deploy" / "observe"
OURS = (*SERVICES, "gateway", "postgres", "haproxy")
HARDENED = (*OURS, "prometheus", "grafana")


def compose():
    """docker-compose.yml, as compose understands it."""
    services = yaml.safe_load(run("docker-compose", "--file", "docker-compose.yml", "--profile", "observe", "config"))["services"]
    known = variables()
    for name in HARDENED:
        service = services[name]
        check(service.get("read_only") is True and service.get("cap_drop") == ["ALL"], f"compose: {name} is not hardened")
        check("no-new-privileges:true" in service.get("security_opt", []), f"compose: {name} may gain privileges")
        check(service.get("restart") == "unless-stopped", f"compose: {name} is not started again")
        for port in map(str, service.get("ports", [])):
            check(port.startswith("127.0.0.1:"), f"compose: {name} publishes {port} to everybody")
        for key, value in service.get("environment", {}).items():
            check(name in ("postgres", "haproxy", "prometheus", "grafana") or known.fullmatch(key), f"compose: {name} is given {key}, which nobody reads")
            check(not re.search(r"[0-9a-f]{32}", str(value)), f"compose: {name} has a secret in {key}")
    secrets(services)
    for name in (*SERVICES, "gateway"):
        given = services[name]["environment"]
        check(given.get("HTTP_ANONYMOUS") == "false", f"compose: {name} may take others for clients on its machine")
        check(not given.get("HTTP_TRUSTED_PROXIES"), f"compose: {name} believes X-Forwarded-For of others than a proxy that is named")
        check(given.get("HTTP_PROXY_KEY_FILE") == services["haproxy"]["environment"].get("EDGE_PROXY_KEY_FILE"),
              f"compose: {name} and HAProxy have different keys")
    for name in SERVICES:
        check(services[name]["command"] in (name, [name]), f"compose: {name} runs {services[name]['command']}")
        check(services["gateway"]["environment"].get(f"BUS_{name.upper().replace('-', '_')}_HOST") == name,
              f"compose: the gateway does not find {name} on the bus")
    for name in ("gateway", "haproxy"):
        grace = re.fullmatch(r"(\d+)s", services[name]["stop_grace_period"])
        check(grace and int(grace[1]) > DRAIN_SECONDS, f"compose: {name} is killed while it drains")
    for name in ("prometheus", "grafana"):
        check(services[name].get("profiles") == ["observe"], f"compose: {name} is not in the profile `observe`")
    for name, service in services.items():
        check(service.get("mem_limit") and service.get("pids_limit"), f"compose: {name} may use all of the machine's memory or processes")
        check(service.get("logging", {}).get("options", {}).get("max-size"), f"compose: the log of {name} grows without limit")
    grafana = services["grafana"]
    check(list(grafana["networks"]) == ["observe"], "compose: Grafana reaches the services' network")
    for key in ("GF_AUTH_DISABLE_LOGIN_FORM", "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"):
        check(grafana["environment"].get(key) == "true", f"compose: Grafana has a first password that everybody knows ({key})")


def secrets(services):
    """Each container has its own secrets only: those of its role on the bus, of its role in Postgres, and of its own."""
    made = set(map(str, services["secrets"]["volumes"]))
    for name in (*SERVICES, "gateway", "postgres", "haproxy"):
        mounted = {volume for volume in map(str, services[name].get("volumes", [])) if volume.startswith("secrets-")}
        role = name if name in ("auth", "gateway") else "suite"
        wanted = {f"secrets-{name}:/secrets/{name}:ro", f"secrets-bus-{role}:/secrets/bus:ro", "secrets-bus-peers:/secrets/bus-peers:ro"}
        if name in ("postgres", "haproxy"):
            wanted = {"secrets-database:/secrets/database:ro"} if name == "postgres" else set()
        if name != "postgres":
            wanted.add("secrets-edge:/secrets/edge:ro")
        check(mounted == wanted, f"compose: {name} has {sorted(mounted ^ wanted)} too much or too little")
        for volume in mounted:
            source = volume.split(":")[0]
            check(f"{source}:/secrets/{source.removeprefix('secrets-')}:rw" in made or
                  f"{source}:/secrets/{source.removeprefix('secrets-')}" in made, f"compose: nobody makes {source}")
        if name in SERVICES:
            url = services[name]["environment"]["DATABASE_URL"]
            check(f"//crosspoint_{name.replace('-', '_')}@" in url and f"passfile=/secrets/{name}/pgpass" in url,
                  f"compose: {name} signs in to Postgres at {url}")


def images():
    """What is promised of every Dockerfile, and that its files are there."""
    for path in sorted((ROOT / "deploy" / "docker").glob("*Dockerfile")):
        last = path.read_text().rpartition("\nFROM ")[2] or path.read_text()
        for wanted in ("USER", "HEALTHCHECK", "CMD"):
            check(re.search(rf"^{wanted} ", last, re.MULTILINE), f"{path.name} has no {wanted}")
        check(not re.search(r"^USER (root|0)\b", last, re.MULTILINE), f"{path.name} runs as root")
        for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE):
            for source in line.split()[:-1]:
                check((ROOT / source).exists(), f"{path.name} copies {source}, which is not there")
    for path in (ROOT / "deploy").rglob("*"):
        if path.is_file() and path.open("rb").readline().rstrip().endswith(b"bash"):
            run("bash", "-n", path)
            check(path.stat().st_mode & 0o111, f"{path.relative_to(ROOT)} cannot be executed")


def alerts():
    """Prometheus takes its configuration, the alerts do what their tests say, and each is documented."""
    run("promtool", "check", "config", OBSERVE / "prometheus.yml")
    run("promtool", "test", "rules", OBSERVE / "alerts-test.yml")
    rules = [rule for group in yaml.safe_load((OBSERVE / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    names = {rule["alert"] for rule in rules}
    tested = {test["alertname"] for group in yaml.safe_load((OBSERVE / "alerts-test.yml").read_text())["tests"]
              for test in group["alert_rule_test"]}
    check(names == tested, f"alerts without a test, or tests without an alert: {sorted(names ^ tested)}")
    explained = documented("docs/operations.md", "Alerts")
    check(names == explained, f"operations.md and alerts.yml differ in {sorted(names ^ explained)}")
    for rule in rules:
        metrics_are_documented(rule["alert"], rule["expr"])
    scraped = {job["job_name"] for job in yaml.safe_load((OBSERVE / "prometheus.yml").read_text())["scrape_configs"]}
    check(scraped == {*SERVICES, "gateway"}, f"prometheus.yml asks {sorted(scraped)}")


def dashboard():
    """Every panel asks for metrics that are documented, in PromQL that Prometheus understands."""
    board = json.loads((OBSERVE / "grafana" / "dashboards" / "crosspoint.json").read_text())
    queries = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
    check(len(queries) > 10, f"the dashboard has {len(queries)} queries")
    for title, expression in queries:
        metrics_are_documented(title, expression)
    identities = [panel["id"] for panel in board["panels"]]
    check(len(set(identities)) == len(identities), "two panels of the dashboard share an id")
    sources = yaml.safe_load((OBSERVE / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    used = {panel["datasource"]["uid"] for panel in board["panels"] if "datasource" in panel}
    check(used <= {source["uid"] for source in sources}, f"the dashboard asks {sorted(used)}")
    # As rules, since promtool judges expressions in rules only.
    rules = [{"record": f"panel:{number}", "expr": expression} for number, (_, expression) in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        run("promtool", "check", "rules", file.name)


def metrics_are_documented(where, expression):
    """Every metric of an expression is a row of operations.md."""
    known = documented("docs/operations.md", "Metrics") | {"up"}
    known |= {name + suffix for name in known for suffix in ("_bucket", "_sum", "_count")}
    # Names with `_` that are neither functions, labels in braces nor modifiers' lists.
    bare = re.sub(r"\{[^}]*\}|\bby \([^)]*\)|\w+\(", " ", expression)
    for name in re.findall(r"[a-z]\w*_\w+|\bup\b", bare):
        check(name in known, f"{where} asks for {name}, which operations.md does not know")


def dependencies():
    """The Swift packages that we name have one exact version; of all, those that were reviewed are in dependencies.txt.

    What our own dependencies bring along is resolved at each build, so a difference there is printed, and no failure.
    """
    manifest = (ROOT / "Package.swift").read_text()
    check(not re.search(r"\.package\(url: [^)]*\b(from|branch|revision):", manifest), "Package.swift: a dependency has no `exact:` version")
    resolved = ROOT / "Package.resolved"
    if not resolved.exists():
        return
    built = {pin["identity"]: pin["state"].get("version", "no version") for pin in json.loads(resolved.read_text())["pins"]}
    reviewed = dict(line.split() for line in (ROOT / "Tests" / "Deployment" / "dependencies.txt").read_text().splitlines())
    for name in sorted(built.keys() | reviewed.keys()):
        if built.get(name) != reviewed.get(name):
            print(f"dependencies.txt has {name} {reviewed.get(name, 'not at all')}, this build {built.get(name, 'not at all')}")


def examples():
    """No command of the documents shows a credential to everybody who lists the machine's processes."""
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "Services").glob("*/README.md"), *(ROOT / "deploy").rglob("*.md")):
        for command in re.findall(r"^[ \t]*(?!.*(?:echo|printf) ).*(?:-H|--header)[ =]\S?Authorization: .*$", path.read_text(), re.MULTILINE):
            check(False, f"{path.relative_to(ROOT)} has a credential among the arguments of a command: {command.strip()}")


def main():
    """Checks everything; says what is wrong."""
    for judge in (compose, images, alerts, dashboard, dependencies, examples, kubernetes.judge):
        judge()
    for failure in failures:
        print(failure)
    print(f"{len(failures)} failures" if failures else "Compose, images, alerts, dashboard and manifests are right.")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
