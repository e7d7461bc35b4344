"""A Kubernetes API in memory, as much of it as Helm asks for: discovery, objects, server-side apply with strict fields.

It has no defaults, admission or controllers: it shows what a release leaves in a cluster, not how that runs.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.charts import complaint

Json = dict[str, Any]
VERSION = "1.33"

#: group/version -> plural -> kind.
KINDS: dict[str, dict[str, str]] = {
    "v1": {"namespaces": "Namespace", "pods": "Pod", "services": "Service", "secrets": "Secret",
           "configmaps": "ConfigMap", "serviceaccounts": "ServiceAccount",
           "persistentvolumeclaims": "PersistentVolumeClaim"},
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor", "podmonitors": "PodMonitor",
                                 "prometheusrules": "PrometheusRule"},
}  # fmt: skip


class Cluster:
    """What is in it, by plural, namespace and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.lock = threading.Lock()
        self.revision = 0

    def answer(self, method: str, path: str, query: dict[str, str], body: Json | None) -> tuple[int, Json]:
        """The status and the body for a request."""
        match path.strip("/").split("/"):
            case ["version"]:
                return 200, {"major": "1", "minor": "33", "gitVersion": f"v{VERSION}.0"}
            case ["api"]:
                return 200, {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups()}
            case ["openapi", "v3"]:
                return 200, {
                    "paths": {_root(each): {"serverRelativeURL": f"/openapi/v3/{_root(each)}"} for each in KINDS}
                }
            case ["openapi", "v3", *rest]:
                return 200, _openapi("/".join(rest))
            case ["api", "v1", *rest]:
                return self._resource(method, "v1", rest, query, body)
            case ["apis", group, version, *rest] if f"{group}/{version}" in KINDS:
                return self._resource(method, f"{group}/{version}", rest, query, body)
        return _failure(404, "NotFound", path)

    def _resource(
        self, method: str, group: str, rest: list[str], query: dict[str, str], body: Json | None
    ) -> tuple[int, Json]:
        kinds = KINDS[group]
        if not rest:
            return 200, {"kind": "APIResourceList", "groupVersion": group, "resources": _resources(kinds)}
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        if plural not in kinds:
            return _failure(404, "NotFound", plural)
        if method == "GET" and not name:
            found = [e for (p, n, _), e in self.objects.items() if p == plural and namespace in ("", n)]
            items = [each for each in found if _selected(each, query.get("labelSelector", ""))]
            return 200, {"kind": f"{kinds[plural]}List", "apiVersion": group, "metadata": {}, "items": items}
        if method == "POST" and body is not None:
            name = body["metadata"]["name"]
        key = (plural, namespace, name)
        old = self.objects.get(key)
        if method == "POST" and old is not None:
            return _failure(409, "AlreadyExists", name)
        if old is None and method in ("GET", "DELETE"):
            return _failure(404, "NotFound", f'{plural} "{name}" not found')
        if method == "GET" and old is not None:
            return 200, old
        if method == "DELETE":
            del self.objects[key]
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return self._write(key, old, body or {}, strict=query.get("fieldValidation") == "Strict")

    def _write(self, key: tuple[str, str, str], old: Json | None, new: Json, *, strict: bool) -> tuple[int, Json]:
        """Helm owns every field: what is applied is all that there is."""
        wrong = complaint(new, VERSION) if strict else None
        if wrong:
            return _failure(422, "Invalid", wrong)
        self.revision += 1
        uid = old["metadata"]["uid"] if old else str(uuid.uuid4())
        given = {"name": key[2], "uid": uid, "resourceVersion": str(self.revision)}
        new["metadata"] = {**new["metadata"], **given, **({"namespace": key[1]} if key[1] else {})}
        self.objects[key] = new
        return (200 if old else 201), new


def _groups() -> list[Json]:
    return [
        {"name": each.split("/")[0], "versions": [version], "preferredVersion": version}
        for each in KINDS
        if "/" in each
        for version in [{"groupVersion": each, "version": each.split("/")[1]}]
    ]


def _resources(kinds: dict[str, str]) -> list[Json]:
    verbs = ["create", "delete", "get", "list", "patch", "update"]
    return [
        {"name": plural, "singularName": kind.lower(), "namespaced": kind != "Namespace", "kind": kind, "verbs": verbs}
        for plural, kind in kinds.items()
    ]


def _root(group: str) -> str:
    return f"apis/{group}" if "/" in group else f"api/{group}"


def _openapi(root: str) -> Json:
    """That each kind can be patched with strict fields: Helm asks before it applies."""
    group = next(each for each in KINDS if _root(each) == root)
    paths = {}
    for plural, kind in KINDS[group].items():
        named = {"group": group.rpartition("/")[0], "version": group.rpartition("/")[2], "kind": kind}
        parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
        patch = {"parameters": [parameter], "responses": {}, "x-kubernetes-group-version-kind": named}
        scope = "" if kind == "Namespace" else "/namespaces/{namespace}"
        paths[f"/{root}{scope}/{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "fakekube", "version": VERSION}, "paths": paths}


def _selected(thing: Json, selector: str) -> bool:
    labels = thing["metadata"].get("labels", {})
    pairs = [each.replace("==", "=").split("=") for each in selector.split(",") if "=" in each]
    return all(labels.get(key) == value for key, value in pairs)


def _failure(code: int, reason: str, message: str) -> tuple[int, Json]:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return code, {**status, "message": message, "reason": reason, "code": code}


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message; others are passed over."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        field, wire = divmod(number(), 8)
        size = number()
        if wire == 2:
            yield field, data[at : at + size]
            at += size


def _from_protobuf(body: bytes) -> Json:
    """A Secret as Helm sends its releases: ``k8s`` and a NUL, then runtime.Unknown with type and raw object."""
    unknown = dict(_fields(body[4:]))
    kind = dict(_fields(unknown[1]))
    found: Json = {"apiVersion": kind[1].decode(), "kind": kind[2].decode(), "metadata": {}}
    for field, data in _fields(unknown.get(2, b"")):
        if field == 1:
            for inner, text in _fields(data):
                if inner == 1:
                    found["metadata"]["name"] = text.decode()
                if inner == 11:
                    pair = dict(_fields(text))
                    found["metadata"].setdefault("labels", {})[pair[1].decode()] = pair.get(2, b"").decode()
        elif field == 2:
            pair = dict(_fields(data))
            found.setdefault("data", {})[pair[1].decode()] = base64.b64encode(pair.get(2, b"")).decode()
        elif field == 3:
            found["type"] = data.decode()
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def _go(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = None if not raw else _from_protobuf(raw) if raw.startswith(b"k8s\0") else json.loads(raw)
        with self.server.cluster.lock:
            code, answer = self.server.cluster.answer(self.command, url.path, query, body)
            text = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _go  # noqa: N815 - http.server's names


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster = cluster


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """Serve it; the kubeconfig of whoever asks."""
    server = _Server(cluster)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        where = {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "fake", "context": {"cluster": "fake", "user": "fake"}}
        users = [{"name": "fake", "user": {}}]
        yield json.dumps(
            {"apiVersion": "v1", "kind": "Config", "current-context": "fake", "clusters": [where],
             "contexts": [context], "users": users}
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
