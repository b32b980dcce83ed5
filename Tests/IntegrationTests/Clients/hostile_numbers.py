"""Puts numbers that no computer likes into every query, body and hook that the services' OpenAPI documents list.

Every parameter of a query and every leaf of a body gets each of them, whatever type it should have; the other members are valid, so that
the number is what decides. What an answer may not be is an error of the server (5xx) or nothing at all. An operation whose valid request
is refused must be named in `UNREACHED`."""

import http.client
import itertools
import json
import os
import pathlib
import urllib.parse

import yaml

from crosspoint import OWNER, check, did, finish

NUMBERS = ["-9223372036854775808", "9223372036854775807", "1e308", "-1e308", "NaN"]
ROOT = pathlib.Path(__file__).resolve().parents[3]
PORTS = json.loads(os.environ["CROSSPOINT_PORTS"])
OBS_PORT = int(os.environ["CROSSPOINT_OBS_PORT"])
HOOK_SECRET = os.environ["CROSSPOINT_HOOK_SECRET"]
FOLDERS = {
    "auth": "Auth", "obs-bridge": "OBSBridge", "stream-metrics": "StreamMetrics", "radio-playout": "RadioPlayout",
    "camera-events": "CameraEvents", "performance-monitor": "PerformanceMonitor",
}
# What stands for a member of that name, where its schema does not say enough.
SAMPLES = {
    "url": "https://example.com/", "host": "127.0.0.1", "port": OBS_PORT, "path": "/", "email": "a@example.com",
    "currency": "EUR", "country": "DE", "frame": {"width": 1000, "height": 1000}, "snapshot_url": "https://example.com/a.jpg", "scope": "radio:read", "scopes": ["radio:read"], "tenant": "default", "expires_in_days": 1,
    "enabled": True, "source_url": "rtsp://192.0.2.1/a", "fallbackKind": "color_source", "streamId": None, "password": None, "transition": "Cut",
}
# Bodies of which the schema says only that they are objects, each with the path's parameters that go with it.
BODIES = {
    "/kappa/v2/sessions/{channel}": [
        ({}, {"tip-session": {"amount": 1}, "tip-latest": {"name": "a", "amount": 1, "count": 1}}),
    ],
    "/kappa/v2/channels/{channel}/topics/{topic}": [
        ({"topic": "channel.chatbot.counters"}, {"counter": "c", "value": 1}),
        ({"topic": "channel.chatstats"}, {"messages": 1}),
    ],
}
# Whose valid request is refused, since it is about somebody who is not there.
UNREACHED = {
    "POST /v1/auth/subjects/revoke", "POST /v1/auth/users", "PUT /v1/auth/users/{id}/password", "POST /api/v1/auth/login",
}
# Left out: they would have the request mean something else.
OMITTED = {"subject", "stations", "station", "allowed_ips", "redirect_uris", "jsCustom", "tls", "wins", "inputKind"}
counter = itertools.count(1)


class Connection:
    """Keeps one connection to a service, and a token of its own for every few hundred requests: plans have limits."""

    def __init__(self, service):
        self.service, self.sent, self.client, self.token = service, 0, None, None

    def send(self, method, path, body=None, kind="application/json"):
        if self.service != "auth" and self.sent % 400 == 0:
            self.token = token()
        self.sent += 1
        headers = {"Authorization": f"Bearer {self.token or OWNER}"}
        if body is not None:
            headers["Content-Type"] = kind
        for attempt in range(2):
            if self.client is None:
                self.client = http.client.HTTPConnection("127.0.0.1", PORTS[self.service], timeout=60)
            try:
                self.client.request(method, path, None if body is None else body.encode(), headers)
                answer = self.client.getresponse()
                return answer.status, answer.read().decode(errors="replace")
            except (http.client.HTTPException, OSError) as error:
                # A connection that was kept may have ended; a second failure is an answer of its own.
                self.client = None
                failure = f"no answer: {error!r}"
        return 0, failure

    def make(self, path, body, member):
        status, text = self.send("POST", path, json.dumps(body))
        check(status in (200, 201), path, status, text)
        found = json.loads(text)
        for name in member.split("."):
            found = found[name]
        return found


connections = {service: Connection(service) for service in FOLDERS}


def token():
    body = {"type": "jwt", "scope": "*", "tier": "enterprise", "ttl_seconds": 600}
    return connections["auth"].make("/v1/tokens", body, "token")


class Document:
    def __init__(self, service):
        self.root = yaml.safe_load((ROOT / "Services" / FOLDERS[service] / "openapi.yaml").read_text())

    def resolved(self, schema):
        while "$ref" in schema:
            target = self.root
            for part in schema["$ref"][2:].split("/"):
                target = target[part]
            schema = target
        if "allOf" in schema:
            merged = {"type": "object", "properties": {}, "required": []}
            for part in map(self.resolved, schema["allOf"]):
                merged["properties"].update(part.get("properties", {}))
                merged["required"] += part.get("required", [])
            return merged
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return self.resolved(schema[choice][0])
        return schema

    def sample(self, schema, name=""):
        """A value that the schema allows."""
        schema = self.resolved(schema)
        if name == "name":
            return f"n{next(counter)}"
        if name in SAMPLES:
            return SAMPLES[name]
        for word in ("const", "example", "default"):
            if word in schema:
                return schema[word]
        for word in ("enum", "examples"):
            if word in schema:
                return schema[word][0]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind in ("integer", "number"):
            return max(schema.get("minimum", 1), min(1, schema.get("maximum", 1)))
        if kind == "boolean":
            return False
        if kind == "array":
            return [self.sample(schema.get("items", {}))] if "items" in schema else []
        if kind == "object":
            members = schema.get("properties", {})
            return {key: self.sample(value, key) for key, value in members.items() if key not in OMITTED}
        if schema.get("format") == "date-time":
            return "2026-01-01T00:00:00Z"
        if schema.get("format") == "uuid":
            return "00000000-0000-4000-8000-000000000000"
        return f"text{next(counter)}".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 100)]

    def operations(self):
        for path, item in self.root["paths"].items():
            for method in ("get", "post", "put", "patch"):
                if method in item:
                    operation = item[method]
                    shared = item.get("parameters", []) + operation.get("parameters", [])
                    yield path, method.upper(), operation, [self.resolved(one) for one in shared]


def leaves(value, place=()):
    """The places of all values within that hold no others."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from leaves(member, place + (name,))
    elif isinstance(value, list) and value:
        yield from leaves(value[0], place + (0,))
    elif place:
        yield place


def replaced(value, place, text):
    """The value as JSON, with that text in that place."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for step in place[:-1]:
        inner = inner[step]
    # An object that may hold anything gets a member.
    inner[place[-1]] = {"number": "(number)"} if inner[place[-1]] == {} else "(number)"
    return json.dumps(copy).replace('"(number)"', text)


def things():
    """What paths name, made where it is not there: by the beginning of the path and the parameter's name."""
    auth, streams = connections["auth"], connections["stream-metrics"]
    key = auth.make("/v1/auth/keys", {"name": "numbers", "scopes": ["radio:read"]}, "id")
    stream = streams.make("/v1/streams", {"title": "Numbers", "protocol": "rtmp"}, "id")
    streams.make(f"/v1/streams/{stream}/start", {}, "id")
    radio = connections["radio-playout"].make(
        "/api/v1/stations", {"name": "Numbers"}, "id")
    camera = connections["camera-events"].make("/v1/cameras", {"name": "Numbers", "source_url": "rtsp://192.0.2.1/a"}, "id")
    source = connections["obs-bridge"].make(
        "/api/sources", {"name": "Numbers", "url": "https://example.com/", "width": 100, "height": 100}, "id")
    SAMPLES["station_id"] = radio
    SAMPLES["source"] = "Scene"
    SAMPLES["camera_id"] = camera
    return {
        ("auth", "id"): key, ("stream-metrics", "id"): stream, ("stream-metrics", "channel"): "me",
        ("radio-playout", "id"): radio, ("camera-events", "id"): camera, ("obs-bridge", "id"): source,
        ("obs-bridge", "sourceId"): source, ("obs-bridge", "sceneName"): "Scene", ("obs-bridge", "connection"): "default",
    }


def run():
    found, known = [], things()
    for service in FOLDERS:
        document, connection, unreached, count = Document(service), connections[service], [], 0

        def send(method, path, body=None, kind="application/json"):
            status, text = connection.send(method, path, body, kind)
            # What the fake OBS does not know is its refusal, told as one.
            if status == 0 or status >= 500 and "OBS refused" not in text:
                found.append(f"{service} {method} {path} {body or ''}: {status} {text[:200]}")
            return status

        for path, method, operation, parameters in document.operations():
            if path.startswith(("/hooks", "/oauth2/login", "/source-pages")):
                continue
            def filled(more={}):
                place = path
                for name in [one["name"] for one in parameters if one["in"] == "path"]:
                    place = place.replace("{" + name + "}", str(more.get(name, known.get((service, name), "1"))))
                return place

            place = filled()
            queries = [one["name"] for one in parameters if one["in"] == "query"]
            required = {one["name"]: document.sample(one["schema"], one["name"])
                        for one in parameters if one["in"] == "query" and one.get("required")}
            for name, number in itertools.product(queries, NUMBERS):
                send(method, place + "?" + urllib.parse.urlencode({**required, name: number}))
                count += 1
            for number in NUMBERS if "{" in path and method == "GET" else []:
                for name in [one["name"] for one in parameters if one["in"] == "path"]:
                    send(method, path.replace("{" + name + "}", number).replace("{", "").replace("}", ""))
                    count += 1
            content = document.resolved(operation.get("requestBody", {})).get("content", {})
            if "application/json" not in content:
                continue
            schema = content["application/json"].get("schema", {})
            for more, body in BODIES.get(path, [({}, None)]) if method != "PATCH" else [({}, None)]:
                # Each time another name, so that what exists is in nobody's way.
                def valid():
                    return document.sample(schema) if body is None else body

                if send(method, filled(more), json.dumps(valid())) in (400, 422):
                    unreached.append(f"{method} {path}")
                for leaf, number in itertools.product(list(leaves(valid())), NUMBERS):
                    send(method, filled(more), replaced(valid(), leaf, number))
                    count += 1
        did(f"{service}: {count} requests")
        found += [f"{service}: the valid request is refused: {one}" for one in unreached if one not in UNREACHED]
    hooks(found, known[("stream-metrics", "id")])
    check(not found, "\n".join(found))
    finish()


def hooks(found, stream):
    """Every field of the media servers' hooks."""
    connection = connections["stream-metrics"]
    key = connections["auth"].make("/v1/auth/keys", {"name": "encoder", "scopes": ["streams:write"]}, "key")
    count = 0
    for file in sorted((ROOT / "Tests" / "StreamMetricsTests" / "Callbacks").glob("*.json")):
        fixture = json.loads(file.read_text())
        text = fixture["body"].replace("stream_01m7z44725ek86gj77ygxb558a", stream).replace("xp_" + "0123456789abcdef" * 4, key)
        place = f"/hooks/{fixture['kind']}?" + urllib.parse.urlencode({"secret": HOOK_SECRET})
        try:
            body, kind = json.loads(text), "application/json"
        except ValueError:
            body, kind = dict(urllib.parse.parse_qsl(text)), "application/x-www-form-urlencoded"
        for name, number in itertools.product(body if isinstance(body, dict) else [], NUMBERS):
            changed = (replaced(body, (name,), number) if kind == "application/json"
                       else urllib.parse.urlencode({**body, name: number}))
            status, answer = connection.send("POST", place, changed, kind)
            count += 1
            if status == 0 or status >= 500:
                found.append(f"hook {file.name} {name}={number}: {status} {answer[:200]}")
    did(f"hooks: {count} requests")


run()
