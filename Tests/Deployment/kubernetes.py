"""Whether the manifests are what Kubernetes takes, and agree with one another, with compose and with the documentation."""

import re

import kubernetes_validate
import yaml

from repository import DRAIN_SECONDS, ROOT, SERVICES, check, variables

FOLDER = ROOT / "deploy" / "kubernetes"
WORKLOADS = (*SERVICES, "gateway", "edge")


def judge():
    """Checks all of it."""
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    check(set(listed["resources"]) == files, f"kustomization.yaml and the folder differ in {set(listed['resources']) ^ files}")
    manifests = [each for name in sorted(files) for each in yaml.safe_load_all((FOLDER / name).read_text())]
    for each in manifests:
        fits_schema(each)
    of = {kind: {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}
          for kind in {each["kind"] for each in manifests}}
    check(set(of["Deployment"]) == set(WORKLOADS), f"Kubernetes: there are {sorted(of['Deployment'])}")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    settings = of["ConfigMap"]["crosspoint"]["data"]
    images = {image["name"] for image in listed["images"]}
    for name, deployment in of["Deployment"].items():
        workload(name, deployment, compose["haproxy" if name == "edge" else name], settings, images)
    for name, service in of["Service"].items():
        leads_somewhere(name, service, of["Deployment"])
    for each in (*of["HorizontalPodAutoscaler"].values(),):
        check(each["spec"]["scaleTargetRef"]["name"] in of["Deployment"], "Kubernetes: the autoscaler scales nothing")
        check("cpu" in containers(of["Deployment"][each["spec"]["scaleTargetRef"]["name"]])[0]["resources"]["requests"],
              "Kubernetes: the autoscaler measures against a request that is not there")
        check("replicas" not in of["Deployment"][each["spec"]["scaleTargetRef"]["name"]]["spec"],
              "Kubernetes: applying the manifests would undo what the autoscaler did")
    for name, each in of["PodDisruptionBudget"].items():
        check(matched(each["spec"]["selector"], of["Deployment"]) == [name], f"Kubernetes: budget {name} protects others")
    policies(of["NetworkPolicy"], of["Deployment"])


def fits_schema(manifest):
    """Kubernetes' own schema, without unknown fields. Kustomize's Kustomization is none of Kubernetes'."""
    try:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.InvalidSchemaError) as problem:
        check(False, f"Kubernetes: {manifest.get('kind')} {manifest['metadata']['name']}: {str(problem).splitlines()[0]}")


def workload(name, deployment, in_compose, settings, images):
    """One Deployment: what it runs, how it is probed, what it is told, and that it is locked down as in compose."""
    spec = deployment["spec"]["template"]["spec"]
    [container] = containers(deployment)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    check(deployment["spec"]["selector"]["matchLabels"].items() <= labels.items(), f"Kubernetes: {name} does not select its pods")
    check(container["image"] in images, f"Kubernetes: the image of {name} is not in kustomization.yaml")
    check(spec["securityContext"]["runAsNonRoot"] is True and container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        f"Kubernetes: {name} is not locked down")
    check(spec["enableServiceLinks"] is False, f"Kubernetes: {name} would be given addresses as configuration")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    published = {int(str(port).split(":")[-1]) for port in in_compose["ports"]}
    if name == "edge":
        check(set(ports.values()) == published, f"Kubernetes: the edge listens on {ports}")
        check(container["readinessProbe"]["tcpSocket"]["port"] in ports, "Kubernetes: the edge is probed on no port of its own")
        key = next((each["valueFrom"]["secretKeyRef"] for each in container["env"] if each["name"] == "EDGE_PROXY_KEY"), {})
        check(settings.get("HTTP_PROXY_KEY_FILE") == f"/secrets/edge/{key.get('key')}" and key.get("name") == "crosspoint-edge",
              "Kubernetes: the edge and the services have different keys")
        check(settings.get("HTTP_ANONYMOUS") == "false", "Kubernetes: services may take others for clients on their machine")
        check("HTTP_TRUSTED_PROXIES" not in settings, "Kubernetes: services believe X-Forwarded-For of others than a proxy that is named")
        return
    check(container["command"] == [name], f"Kubernetes: {name} runs {container['command']}")
    check(published == {ports["http"]}, f"Kubernetes: {name} serves HTTP on {ports['http']}, in compose on {published}")
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = container[probe]["httpGet"]
        check(asked == {"path": path, "port": "http"}, f"Kubernetes: the {probe} of {name} asks {asked}")
    given = {each["name"]: each.get("value") for each in container["env"]} | settings
    known = variables()
    for variable in given:
        check(known.fullmatch(variable), f"Kubernetes: {name} is given {variable}, which nobody reads")
    files_are_there(name, spec, container, given)
    own_secrets(name, spec, container)
    if name == "gateway":
        check(spec["terminationGracePeriodSeconds"] > DRAIN_SECONDS, "Kubernetes: the gateway is killed while it drains")
        return
    check(deployment["spec"]["strategy"]["type"] == "Recreate", f"Kubernetes: a second {name} would never be ready")
    check((ports["events"], ports["commands"]) == (ports["http"] + 1, ports["http"] + 2), f"Kubernetes: the bus of {name}")
    check(settings[f"BUS_{name.upper().replace('-', '_')}_HOST"] == name, f"Kubernetes: nobody finds {name} on the bus")


def files_are_there(name, spec, container, given):
    """What a variable names as a file is in a secret that is mounted there, and the secret is one that make-secrets makes."""
    made = (FOLDER / "make-secrets").read_text()
    written = (ROOT / "deploy" / "docker" / "make-secrets").read_text()
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    for variable, path in given.items():
        if not variable.endswith("_FILE"):
            continue
        folder, _, file = path.rpartition("/")
        secret = mounts.get(folder, {}).get("secret", {})
        found = re.search(rf"^make {re.escape(secret.get('secretName', '?'))} (\S+)$", made, re.MULTILINE)
        check(found and f"write {found[1]}/{file}" in written, f"Kubernetes: {name} has no {path}")
    for each in container["env"]:
        if "valueFrom" in each:
            secret = each["valueFrom"]["secretKeyRef"]["name"]
            check(f"\nmake {secret} " in made, f"Kubernetes: nobody makes {secret}")


def own_secrets(name, spec, container):
    """A pod has the secret half of its own role's key of the bus, and the URL of its own role in Postgres."""
    role = name if name in ("auth", "gateway") else "suite"
    keys = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    keys = {key for key in keys if key.startswith("crosspoint-bus-")}
    check(keys == {f"crosspoint-bus-{role}", "crosspoint-bus-peers"}, f"Kubernetes: {name} has {sorted(keys)}")
    urls = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if each["name"] == "DATABASE_URL"]
    wanted = [] if name == "gateway" else [{"name": "crosspoint-databases", "key": name}]
    check(urls == wanted, f"Kubernetes: {name} signs in to Postgres with {urls}")


def leads_somewhere(name, service, deployments):
    """A Service selects one Deployment's pods and names ports of theirs."""
    check(matched({"matchLabels": service["spec"]["selector"]}, deployments) == [name], f"Kubernetes: Service {name} leads elsewhere")
    ports = {port["name"]: port["containerPort"] for port in containers(deployments[name])[0]["ports"]}
    for port in service["spec"]["ports"]:
        check(ports.get(port["targetPort"]) == port["port"], f"Kubernetes: Service {name} has no port {port['targetPort']} to lead to")


def policies(found, deployments):
    """Every pod has a policy, and the ports of a policy are ports of pods that it is for."""
    guarded = set()
    for name, policy in found.items():
        pods = matched(policy["spec"]["podSelector"], deployments)
        check(pods, f"Kubernetes: policy {name} is for nobody")
        offered = {port["containerPort"] for pod in pods for port in containers(deployments[pod])[0]["ports"]}
        for rule in policy["spec"].get("ingress", []):
            guarded |= set(pods)
            check({port["port"] for port in rule["ports"]} <= offered, f"Kubernetes: policy {name} opens ports that are not there")
            for peer in rule.get("from", []):
                check("podSelector" not in peer or matched(peer["podSelector"], deployments), f"Kubernetes: policy {name} lets nobody in")
    check(guarded == set(deployments), f"Kubernetes: nobody may connect to {sorted(set(deployments) - guarded)}")
    check(any(not policy["spec"]["podSelector"] and not policy["spec"].get("ingress") for policy in found.values()),
          "Kubernetes: what no policy names is open")


def matched(selector, deployments):
    """The Deployments whose pods a selector takes."""
    def takes(labels):
        return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
            labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))
    return [name for name, each in deployments.items() if takes(each["spec"]["template"]["metadata"]["labels"])]


def containers(deployment):
    """A Deployment's containers."""
    return deployment["spec"]["template"]["spec"]["containers"]
