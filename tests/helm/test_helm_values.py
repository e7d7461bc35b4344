"""Values that are wrong are refused, with a sentence; values.yaml, its schema and its README say the same."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import HelmError
from support.charts import CHART, ROOT, chart, notes, of_kind, one, pod_template, render

from exporter.config.model import Config
from exporter.config.secrets import Secret
from exporter.config.shapes import Shape, keys_of, shape_of
from tools import helm_docs


def test_readme_and_schema_are_what_values_say() -> None:
    for path, text in helm_docs.files().items():
        assert path.read_text() == text, f"{path.name}: python -m tools.helm_docs"


def test_the_versions_are_the_programs() -> None:
    program = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    made = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert made["appVersion"] == program


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"shard": 3}, "shard"),
        ({"state": {"persistance": {}}}, "persistance"),
        ({"image": {"tags": "x"}}, "tags"),
        ({"vault": {"agent": {"secret": {}}}}, "secret"),
        ({"secretEnv": {"A": {"secret": "s", "key": "k", "value": "v"}}}, "value"),
        ({"config": {"store": []}}, "store"),
        ({"config": {"connections": {"targets": [{"name": "a", "hots": "b"}]}}}, "hots"),
        ({"config": {"alerting": {"thresholds": {"failure": 1}}}}, "failure"),
    ],
)
def test_an_unknown_key_is_refused_at_any_depth(values: dict[str, Any], key: str) -> None:
    with pytest.raises(HelmError, match=key):
        chart().validate_schema(values)


@pytest.mark.parametrize(
    "values",
    [{"kind": "DaemonSet"}, {"shards": 0}, {"shards": "3"}, {"ports": {"metrics": 70000}}, {"image": {"digest": "abc"}},
     {"prometheusRule": {"runbookBase": "runbooks"}}, {"secretEnv": {"no-name": {"secret": "s", "key": "k"}}},
     {"state": {"persistence": {"accessModes": ["ReadWriteMany"]}}}],
    ids=str,
)  # fmt: skip
def test_a_value_of_the_wrong_form_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError):
        chart().validate_schema(values)


def test_the_whole_example_configuration_fits_the_schema() -> None:
    config = yaml.safe_load((ROOT / "config.example.yaml").read_text())
    chart().validate_schema({"config": config})


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"existingConfig": {"configMap": "a", "secret": "b"}}, "leave the other empty"),
    ({"existingConfig": {"secret": "b"}, "configFiles": {"p.yaml": ""}}, "into that Secret"),
    ({"existingConfig": {"configMap": "b"}, "configFiles": {"p.yaml": ""}}, "into that ConfigMap"),
    ({"configFiles": {"config.yaml": ""}}, "write it into config"),
    (
        {"existingConfig": {"secret": "b"}, "alertmanagerConfig": {"enabled": True}},
        "write the configuration into config",
    ),
    ({"kind": "Deployment", "shards": 2}, "set kind: StatefulSet or shards: 1"),
    ({"replicas": 2}, "of a StatefulSet set shards"),
    ({"kind": "Deployment", "replicas": 2}, "one claim cannot hold"),
    ({"shards": 2, "state": {"persistence": {"existingClaim": "c"}}}, "a state of its own"),
    ({"state": {"persistence": {"enabled": False, "existingClaim": "c"}}}, "enable it"),
    ({"ports": {"api": 9795}}, "needs one of its own"),
    ({"monitoring": {"serviceMonitor": True, "podMonitor": True}}, "scraped twice"),
    ({"shards": 2, "monitoring": {"instance": "release"}}, "set pod or auto"),
    ({"webConfig": {"tls": True}}, "name the Secret"),
    ({"podDisruptionBudget": {"minAvailable": 0, "maxUnavailable": 1}}, "takes one of them"),
    ({"vault": {"agent": {"enabled": True}}}, "set the role"),
    ({"vault": {"agent": {"secrets": {"a": "b"}}}}, "nothing would put them"),
    ({"kind": "Sidecar"}, "set the labels of the scheduler's pods"),
    (
        {"kind": "Sidecar", "sidecar": {"selectorLabels": {"a": "b"}}, "networkPolicy": {"enabled": True}},
        "to its chart",
    ),
    ({"kind": "Sidecar", "vault": {"agent": {"enabled": True, "role": "r"}}}, "put its annotations there"),
    ({"sidecar": {"selectorLabels": {"a": "b"}}}, "set kind: Sidecar"),
    ({"secretFiles": [{"secret": "s", "mountPath": "/etc/scheduler-exporter"}]}, "choose another"),
    ({"csiSecrets": [{"name": "a", "mountPath": "/x"}, {"name": "b", "mountPath": "/x"}]}, "choose another"),
    ({"extraEnv": [{"name": "SCHEDULER_EXPORTER_STATE_PATH", "value": "/x"}]}, "sets already"),
    ({"config": {"web": {"listen_address": [":1"]}}}, "use ports.metrics"),
    ({"config": {"api": {"listen_address": ":1"}}}, "use ports.metrics"),
    ({"config": {"web": {"config_file": "w.yml"}}}, "webConfig.secret"),
    ({"config": {"state": {"path": "/x"}}}, "see state.persistence"),
]


@pytest.mark.parametrize(("values", "sentence"), CONTRADICTIONS, ids=[sentence for _, sentence in CONTRADICTIONS])
def test_a_contradiction_is_refused_with_a_sentence(values: dict[str, Any], sentence: str) -> None:
    chart().validate_schema(values)
    with pytest.raises(HelmError) as refused:
        render(values)
    assert sentence in str(refused.value)


def test_every_refusal_of_the_chart_was_tried() -> None:
    text = (CHART / "templates" / "_checks.tpl").read_text()
    body = text[: text.index('define "scheduler-exporter.noSecrets"')]
    refusals = [line for line in body.splitlines() if "{{- fail " in line or "{{ fail " in line]
    assert all(any(sentence in line for _, sentence in CONTRADICTIONS) for line in refusals)
    assert len(refusals) >= 20


def secrets_of(shape: Shape, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of the configuration that hold secrets; "[]" is an entry of a list, "*" a key of a mapping."""
    if Secret in shape.leaves:
        yield path
    if shape.item:
        yield from secrets_of(shape.item, (*path, "[]"))
    if shape.value:
        yield from secrets_of(shape.value, (*path, "*"))
    for struct in shape.structs:
        for name, key in keys_of(struct).items():
            yield from secrets_of(key.shape, (*path, name))


def put(path: tuple[str, ...], value: object) -> Any:
    """A configuration that holds the value at the path and nothing else."""
    if not path:
        return value
    inner = put(path[1:], value)
    return [inner] if path[0] == "[]" else {"key" if path[0] == "*" else path[0]: inner}


SECRETS = sorted(set(secrets_of(shape_of(Config), ())))


@pytest.mark.parametrize("path", SECRETS, ids=".".join)
def test_no_secret_of_the_configuration_may_stand_in_values(path: tuple[str, ...]) -> None:
    for secret in ("hunter2", 12345):
        with pytest.raises(HelmError, match="secret in plain text") as refused:
            render({"config": put(path, secret)})
        assert str(secret) not in str(refused.value)
    for reference in ("${PASSWORD}", "${file:/run/secrets/p}", "${vault:secret/data/p#password}", ""):
        assert render({"config": put(path, reference)})


@pytest.mark.parametrize(
    "text",
    ["postgresql://monitor:hunter2@db/scheduler", "host=db user=monitor password=hunter2", "redis://:hunter2@queue/0",
     "postgresql://db/scheduler?user=a&password=hunter2"],
)  # fmt: skip
def test_a_password_within_an_address_is_refused_too(text: str) -> None:
    with pytest.raises(HelmError, match="password in plain text") as refused:
        render({"config": {"stores": [{"name": "main", "dsn": text}]}})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["postgresql://monitor:${P}@db/scheduler", "host=db user=monitor password=${P}"])
def test_a_reference_within_an_address_is_not(text: str) -> None:
    assert render({"config": {"stores": [{"name": "main", "dsn": text}]}})


def test_a_token_is_in_the_pod_where_vault_needs_one() -> None:
    def tokens(values: dict[str, Any]) -> list[Any]:
        volumes = pod_template(render(values))["spec"]["volumes"]
        return [each["projected"]["sources"][0]["serviceAccountToken"] for each in volumes if "projected" in each]

    auth = {"method": "kubernetes", "role": "r"}
    kubernetes = {"vault": {"address": "https://vault", "auth": auth}}
    elsewhere = {"vault": {"address": "https://vault", "auth": {**auth, "jwt_file": "/x"}}}
    assert tokens({}) == tokens({"config": elsewhere}) == []
    assert tokens({"config": kubernetes}) == [{"path": "token", "expirationSeconds": 3600}]
    wanted = {"audience": "vault", "expirationSeconds": 600}
    assert tokens({"config": kubernetes, "vault": wanted}) == [{"path": "token", **wanted}]
    made = yaml.safe_load(one(render({"config": kubernetes}), "ConfigMap")["data"]["config.yaml"])
    assert made["vault"]["auth"]["jwt_file"] == "/var/run/secrets/scheduler-exporter/token"


def test_the_notes_say_what_a_choice_costs() -> None:
    assert "the example of values.yaml" in notes()
    own = {"config": {"stores": [{"name": "main", "dsn": "postgresql://db/x"}]}}
    assert "the example of values.yaml" not in notes(own)
    assert "emptyDir" in notes({"state": {"persistence": {"enabled": False}}})
    assert "rollout restart statefulset/watch-scheduler-exporter" in notes({"existingConfig": {"configMap": "c"}})
    doubled = {"kind": "Deployment", "replicas": 2, "state": {"persistence": {"enabled": False}}}
    assert "doubled" in notes(doubled)


def test_with_logins_probes_only_open_a_connection_and_tls_is_spoken() -> None:
    def probe(values: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = pod_template(render(values))["spec"]["containers"][0]["livenessProbe"]
        return found

    web = {"secret": "web", "tls": True}
    assert probe({})["httpGet"] == {"path": "/health/live", "port": "exporter", "scheme": "HTTP"}
    assert probe({"webConfig": web})["httpGet"]["scheme"] == "HTTPS"
    assert probe({"webConfig": {**web, "login": True}})["tcpSocket"] == {"port": "exporter"}
    (monitor,) = of_kind(render({"webConfig": web, "monitoring": {"serviceMonitor": True}}), "ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["scheme"] == "https"


def test_files_that_the_chart_reads_are_the_repositorys_own() -> None:
    for name in ("rules", "dashboards"):
        link = CHART / "files" / name
        assert link.is_symlink() and Path(link).resolve() == ROOT / name
