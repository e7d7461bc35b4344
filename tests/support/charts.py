"""Charts rendered by Helm's own engine, and what a cluster would say of the objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import yaml
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "scheduler-exporter"
EXAMPLE = ROOT / "helm" / "examples" / "scheduler-with-sidecar"
SCHEMAS = ROOT / "tests" / "helm" / "schemas"
RELEASE, NAMESPACE = "watch", "jobs"

Object = dict[str, Any]

#: A lone = is text, in a CRD's list of operators; PyYAML knows no way to make one.
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


@cache
def chart(path: Path = CHART) -> helm_python.Chart:
    """The chart of this directory, loaded once."""
    return helm_python.Chart.load(path)


def render(values: Mapping[str, Any] | None = None, path: Path = CHART) -> list[Object]:
    """The objects that these values make. Raises HelmError where the chart refuses them."""
    return list(objects(rendered(values, path).values()))


def rendered(values: Mapping[str, Any] | None = None, path: Path = CHART) -> dict[str, str]:
    """The manifests by template, notes left out."""
    found = chart(path).render(dict(values or {}), name=RELEASE, namespace=NAMESPACE)
    return {name: text for name, text in found.items() if not name.endswith(".txt")}


def notes(values: Mapping[str, Any] | None = None) -> str:
    """NOTES.txt."""
    found = chart().render(dict(values or {}), name=RELEASE, namespace=NAMESPACE)
    return next(text for name, text in found.items() if name.endswith("NOTES.txt"))


def objects(texts: Iterable[str]) -> Iterator[Object]:
    """The objects of manifests."""
    for text in texts:
        yield from (each for each in yaml.safe_load_all(text) if each)


def of_kind(found: Iterable[Object], kind: str) -> list[Object]:
    """The objects of a kind."""
    return [each for each in found if each["kind"] == kind]


def one(found: Iterable[Object], kind: str) -> Object:
    """The only object of a kind."""
    (only,) = of_kind(found, kind)
    return only


def pod_template(found: Iterable[Object]) -> Object:
    """The pods' template of the only StatefulSet or Deployment."""
    (workload,) = [each for each in found if each["kind"] in ("StatefulSet", "Deployment")]
    template: Object = workload["spec"]["template"]
    return template


def container(found: Iterable[Object]) -> Object:
    """The exporter's container."""
    containers = pod_template(found)["spec"]["containers"]
    return next(each for each in containers if each["name"] == "scheduler-exporter")


@cache
def definitions() -> dict[tuple[str, str], Object]:
    """Closed JSON schemas of the custom kinds, by apiVersion and kind."""
    found = {}
    for path in sorted(SCHEMAS.glob("*.json")):
        definition = json.loads(path.read_text())["spec"]
        for version in definition["versions"]:
            schema = _closed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{definition['group']}/{version['name']}", definition["names"]["kind"]] = schema
    return found


def _closed(schema: Any) -> Any:
    """A structural schema as JSON schema has it: what is not named is refused."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and not found.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    if found.pop("x-kubernetes-int-or-string", False):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if found.pop("nullable", False) and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


@cache
def _builtin(version: str, api_version: str, kind: str) -> jsonschema.Draft202012Validator:
    """As ``kubernetes_validate.validate`` makes it, which reads all definitions (1 MB) anew for each object."""
    group, _, short = api_version.rpartition("/")
    name = f"{kind.lower()}-{group.split('.')[0]}-{short}" if group else f"{kind.lower()}-{short}"
    schema = schema_contents(f"{_folder(version)}/{name}.json", version)
    registry = Resource.from_contents(schema) @ _shared(version)
    return jsonschema.Draft202012Validator(schema, registry=registry)


@cache
def _shared(version: str) -> Registry[Any]:
    definitions = schema_contents(f"{_folder(version)}/_definitions.json", version)
    return Resource.from_contents(definitions) @ Registry()


def _folder(version: str) -> str:
    return f"kubernetes-json-schema/v{version}.0-local-strict"


def complaint(thing: Object, version: str) -> str | None:
    """What the API server of this Kubernetes version would say against an object's fields."""
    schema = definitions().get((thing["apiVersion"], thing["kind"]))
    if schema is None:
        validator: Any = _builtin(version, thing["apiVersion"], thing["kind"])
    else:
        validator = jsonschema.Draft7Validator(schema)
    for error in validator.iter_errors(thing):
        return f"{thing['kind']} {thing['metadata']['name']}: {'.'.join(map(str, error.path))}: {error.message}"
    return None
