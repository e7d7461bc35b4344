"""Every feature of the chart makes objects that Kubernetes takes, and that fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from support.charts import CHART, NAMESPACE, Object, complaint, one, render, rendered

CASES = sorted((CHART / "ci").glob("*-values.yaml"))
IDS = [path.name.removesuffix("-values.yaml") for path in CASES]

#: Those that kubernetes-validate has, from the oldest that the chart takes.
VERSIONS = sorted(
    (
        name
        for each in files("kubernetes_validate").joinpath("kubernetes-json-schema").iterdir()
        if (name := each.name.removeprefix("v").removesuffix(".0-local")).count(".") == 1 and int(name[2:]) >= 28
    ),
    key=lambda name: int(name[2:]),
)


def values_of(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    return loaded


def external_to(path: Path) -> set[tuple[str, str]]:
    """What the values say is there already: ``# external: Secret/name``."""
    found = re.findall(r"^# external: (\w+)/(\S+)$", path.read_text(), re.MULTILINE)
    return {(kind, name) for kind, name in found}


@pytest.fixture(params=CASES, ids=IDS, scope="module")
def case(request: pytest.FixtureRequest) -> tuple[list[Object], set[tuple[str, str]]]:
    path: Path = request.param
    return render(values_of(path)), external_to(path)


def test_there_is_a_case_for_each_feature_and_a_schema_for_each_version() -> None:
    assert len(CASES) >= 15
    assert VERSIONS[0] == "1.28" and len(VERSIONS) >= 10


@pytest.mark.parametrize("path", [None, *CASES], ids=["values", *IDS])
def test_lint_has_nothing_to_say(path: Path | None) -> None:
    report = helm_python.lint(CHART, values_of(path) if path else {}, strict=True)
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("values", [{}, *map(values_of, CASES)], ids=["values", *IDS])
def test_every_version_takes_every_field(values: dict[str, Any]) -> None:
    found = render(values)
    assert len(found) >= 5
    assert [text for version in VERSIONS for each in found if (text := complaint(each, version))] == []


@pytest.mark.parametrize("kind", ["StatefulSet", "ServiceMonitor"])
def test_a_field_that_is_not_known_would_be_seen(kind: str) -> None:
    found = one(render({"monitoring": {"serviceMonitor": True}}), kind)
    found["spec"]["replicaz"] = 1
    assert "replicaz" in str(complaint(found, "1.28"))


def test_names_are_unique_valid_and_in_the_namespace(case: tuple[list[Object], set[tuple[str, str]]]) -> None:
    found, _ = case
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in found]
    assert len(names) == len(set(names))
    for kind, _, name in names:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name), (kind, name)
    assert all(each["metadata"].get("namespace") in (NAMESPACE, "grafana", None) for each in found)


def test_long_names_stay_within_bounds() -> None:
    chart = helm_python.Chart.load(CHART)
    texts = chart.render(values_of(CHART / "ci" / "shards-values.yaml"), name="r" * 53, namespace="n")
    stateful = next(yaml.safe_load(text) for name, text in texts.items() if name.endswith("statefulset.yaml"))
    # The label controller-revision-hash is the name, a dash and ten characters.
    assert len(stateful["metadata"]["name"]) <= 52


def pods_of(found: list[Object]) -> Iterator[tuple[str, Object]]:
    for each in found:
        if each["kind"] in ("StatefulSet", "Deployment"):
            yield each["kind"], each["spec"]["template"]
        if each["kind"] == "Pod":
            yield "Pod", each


def test_selectors_select_the_pods_and_nothing_else(case: tuple[list[Object], set[tuple[str, str]]]) -> None:
    found, _ = case
    templates = {kind: template["metadata"]["labels"] for kind, template in pods_of(found)}
    tests = templates.pop("Pod", {})
    for each in found:
        spec = each.get("spec", {})
        match each["kind"]:
            case "Service":
                selector = spec["selector"]
            case "StatefulSet" | "Deployment" | "PodDisruptionBudget" | "PodMonitor":
                selector = spec["selector"]["matchLabels"]
            case "NetworkPolicy":
                selector = spec["podSelector"]["matchLabels"]
            case _:
                continue
        wanted = {key: value for key, value in selector.items() if key != "apps.kubernetes.io/pod-index"}
        assert all(wanted.items() <= labels.items() for labels in templates.values()), each["metadata"]["name"]
        assert not wanted.items() <= tests.items(), each["metadata"]["name"]


def test_monitors_select_one_service_alone(case: tuple[list[Object], set[tuple[str, str]]]) -> None:
    found, _ = case
    services = [each for each in found if each["kind"] == "Service"]
    for monitor in (each for each in found if each["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        selected = [each for each in services if wanted <= each["metadata"]["labels"].items()]
        (service,) = selected
        ports = [port["name"] for port in service["spec"]["ports"]]
        assert [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]] == ports


def test_ports_are_there_once_and_those_that_are_named_exist(case: tuple[list[Object], set[tuple[str, str]]]) -> None:
    found, _ = case
    named: set[str] = set()
    for kind, template in pods_of(found):
        ports = [port for each in template["spec"]["containers"] for port in each.get("ports", ())]
        for attribute in ("name", "containerPort"):
            assert len({port[attribute] for port in ports}) == len(ports)
        assert all(len(port["name"]) <= 15 for port in ports)
        probes = [
            (probe.get("httpGet") or probe.get("tcpSocket"))["port"]
            for each in template["spec"]["containers"]
            for key, probe in each.items()
            if key.endswith("Probe")
        ]
        assert set(probes) <= {port["name"] for port in ports}
        assert kind == "Pod" or probes
        named |= {port["name"] for port in ports}
    if not named:
        return
    for each in found:
        if each["kind"] == "Service":
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= named
        if each["kind"] == "PodMonitor":
            assert {endpoint["port"] for endpoint in each["spec"]["podMetricsEndpoints"]} <= named
        if each["kind"] == "NetworkPolicy":
            ingress = {port["port"] for rule in each["spec"]["ingress"] for port in rule["ports"]}
            assert ingress <= named


def references(found: list[Object]) -> Iterator[tuple[str, str]]:
    """What the objects lean on: kind and name."""
    for kind, template in pods_of(found):
        spec = template["spec"]
        if spec.get("serviceAccountName") and kind != "Pod":
            yield "ServiceAccount", spec["serviceAccountName"]
        for each in spec.get("imagePullSecrets", ()):
            yield "Secret", each["name"]
        for volume in spec.get("volumes", ()):
            yield from _of_volume(volume)
        for each in [*spec["containers"], *spec.get("initContainers", ())]:
            mounted = {mount["name"] for mount in each.get("volumeMounts", ())}
            yield from (("Volume", name) for name in mounted)
            for variable in each.get("env", ()):
                source = variable.get("valueFrom", {})
                if "secretKeyRef" in source:
                    yield "Secret", source["secretKeyRef"]["name"]
            for source in each.get("envFrom", ()):
                for key, what in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                    if key in source:
                        yield what, source[key]["name"]
    for each in found:
        if each["kind"] in ("ServiceMonitor", "PodMonitor"):
            for endpoint in each["spec"].get("endpoints", each["spec"].get("podMetricsEndpoints")):
                yield from (("Secret", key["name"]) for key in endpoint.get("basicAuth", {}).values())
        if each["kind"] == "StatefulSet":
            yield "Service", each["spec"]["serviceName"]
        if each["kind"] == "AlertmanagerConfig":
            yield from (("Secret", name) for name in secrets_of(each["spec"]["receivers"]))


def secrets_of(value: Any) -> Iterator[str]:
    """The Secrets whose keys stand in a structure."""
    if isinstance(value, dict):
        if value.keys() == {"name", "key"}:
            yield value["name"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from secrets_of(each)


def _of_volume(volume: Object) -> Iterator[tuple[str, str]]:
    if "secret" in volume:
        yield "Secret", volume["secret"]["secretName"]
    if "configMap" in volume:
        yield "ConfigMap", volume["configMap"]["name"]
    if "persistentVolumeClaim" in volume:
        yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    if "csi" in volume:
        yield "SecretProviderClass", volume["csi"]["volumeAttributes"]["secretProviderClass"]


def test_what_is_referred_to_is_there_or_said_to_be(case: tuple[list[Object], set[tuple[str, str]]]) -> None:
    found, external = case
    there = {(each["kind"], each["metadata"]["name"]) for each in found} | external | {("ServiceAccount", "shared")}
    there |= {("Secret", e["spec"]["target"]["name"]) for e in found if e["kind"] == "ExternalSecret"}
    for _, template in pods_of(found):
        there |= {("Volume", volume["name"]) for volume in template["spec"].get("volumes", ())}
    for each in found:
        for claim in each["spec"].get("volumeClaimTemplates", ()) if each["kind"] == "StatefulSet" else ():
            there.add(("Volume", claim["metadata"]["name"]))
    wanted = set(references(found))
    assert wanted - there == set()
    assert external <= wanted, "declared external, and nobody needs it"


def test_pods_keep_to_the_restricted_standard(case: tuple[list[Object], set[tuple[str, str]]]) -> None:
    found, _ = case
    for _, template in pods_of(found):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        ours = [e for e in [*spec["containers"], *spec.get("initContainers", ())] if "scheduler-exporter" in e["image"]]
        assert ours
        for each in ours:
            context = each["securityContext"]
            assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"]
            assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}
            assert each["resources"]["limits"]["memory"] and each["resources"]["requests"]["cpu"]


def test_no_secret_is_made() -> None:
    assert all(each["kind"] != "Secret" for path in CASES for each in render(values_of(path)))


def test_a_packaged_chart_makes_the_same(tmp_path: Path) -> None:
    """What packaging resolves: rules and dashboards are links to the repository's own."""
    values = {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}}
    archive = Path(helm_python.package(CHART, destination=tmp_path))
    packed = helm_python.Chart.load(archive).render(values, name="watch", namespace=NAMESPACE)
    assert {name: text for name, text in packed.items() if not name.endswith(".txt")} == rendered(values)
    names = [each["name"] for each in helm_python.Chart.load(archive).files]
    assert not [name for name in names if "runbooks" in name or "/tests" in name or name.startswith("ci/")]
    # Kubernetes keeps a release, its chart included, in a Secret of 1 MiB.
    assert archive.stat().st_size < 200_000
