"""What the chart renders is what the exporter, Prometheus and Grafana take: configuration, rules, dashboards."""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from support.charts import CHART, ROOT, Object, container, of_kind, one, pod_template, render

from exporter.cli import main
from exporter.options import Options, add_serve_arguments, options_from
from exporter.sharding import Share

CASES = sorted((CHART / "ci").glob("*-values.yaml"))
TEST_CASES = [path for path in CASES if "existing-configmap" not in path.name and "existing-secret" not in path.name]


def values_of(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def environment(of: Object, pod_index: int = 0, secret: str = "hunter2") -> dict[str, str]:
    """The container's variables as the kubelet makes them."""
    found = {}
    for each in of["env"]:
        source = each.get("valueFrom")
        if source is None:
            found[each["name"]] = each["value"]
        elif "secretKeyRef" in source:
            found[each["name"]] = secret
        else:
            assert source == {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}
            found[each["name"]] = str(pod_index)
    return found


def write(found: list[Object], directory: Path) -> Path:
    """The ConfigMap's files, as they are mounted; the configuration's path."""
    data = next(e["data"] for e in of_kind(found, "ConfigMap") if e["metadata"]["name"].endswith("-config"))
    for name, text in data.items():
        (directory / name).write_text(text)
    return directory / "config.yaml"


def put_secrets(file: Path, directory: Path) -> None:
    """Below the directory, what Secrets, the CSI driver and Vault's agent put into the pod; the file then names it."""
    text = file.read_text()
    for name in set(re.findall(r"\$\{file:/([^}]+)\}", text)):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("hunter2\n")
    file.write_text(text.replace("${file:/", f"${{file:{directory}/"))


@pytest.mark.parametrize("path", [None, *TEST_CASES], ids=lambda path: path.name if path else "values")
def test_the_exporters_own_check_takes_the_configuration(
    path: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the init container runs it: same arguments, same variables, the ConfigMap's files."""
    found = render(values_of(path) if path else {})
    file = write(found, tmp_path)
    put_secrets(file, tmp_path)
    workload = [each for each in found if each["kind"] in ("StatefulSet", "Deployment")]
    if workload:
        for name, value in environment(container(found)).items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("SCHEDULER_EXPORTER_CONFIG_FILE", str(file))
    # The Secret that it names is not here.
    monkeypatch.delenv("SCHEDULER_EXPORTER_WEB_CONFIG_FILE", raising=False)
    inits = pod_template(found)["spec"].get("initContainers", []) if workload else []
    arguments = next((e["args"] for e in inits if e["name"] == "scheduler-exporter-check"), ["serve", "--config.check"])
    said = io.StringIO()
    with redirect_stdout(said):
        assert main(arguments) == 0
    assert ": valid; " in said.getvalue()


def test_the_check_is_a_command_that_refuses_what_is_wrong(tmp_path: Path) -> None:
    """The init container's very command, on a configuration that the schema cannot judge."""
    found = render({"config": {"stores": [{"name": "main", "dsn": "postgresql://db/x", "interval": "soon"}]}})
    (check,) = pod_template(found)["spec"]["initContainers"]
    command = [Path(sys.executable).with_name("scheduler-exporter"), *check["args"]]
    variables = {**environment(check), "SCHEDULER_EXPORTER_CONFIG_FILE": str(write(found, tmp_path))}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "stores[0].interval" in done.stderr and "soon" in done.stderr


def options(of: Object, pod_index: int) -> Options:
    variables = environment(of, pod_index)
    parser = argparse.ArgumentParser()
    add_serve_arguments(parser, variables)
    return options_from(parser.parse_args(of["args"][1:]), variables)


def checked_by(shards: int, targets: list[str], tmp_path: Path) -> list[set[str]]:
    """The targets of each pod, by the variables that the chart gives it."""
    entries = [{"name": name, "host": f"{name}.internal"} for name in targets]
    found = render({"shards": shards, "config": {"connections": {"targets": entries}}})
    assert one(found, "StatefulSet")["spec"]["replicas"] == shards
    file = write(found, tmp_path)
    shares = []
    for index in range(shards):
        given = options(container(found), index)
        with mock.patch.dict("os.environ", {"STORE_PASSWORD": "x"}):
            config = Options(config_file=file).load(None)
        share = Share(file=config, shard=given.shard, total=given.total_shards)
        assert bool(share.polled) == (index == 0)
        shares.append({target.name for target in share.config().connections.targets})
    return shares


def test_each_of_300_targets_is_checked_by_one_of_three_pods_and_few_move_to_a_fourth(tmp_path: Path) -> None:
    names = [f"target-{i}" for i in range(300)]
    three, four = checked_by(3, names, tmp_path), checked_by(4, names, tmp_path)
    for shares in (three, four):
        assert sum(map(len, shares)) == len(set().union(*shares)) == 300
    assert min(map(len, three)) > 70
    moved = {name for name in names if not any(name in a and name in b for a, b in zip(three, four, strict=False))}
    assert 0 < len(moved) <= 100  # at most a third; a quarter is what it takes
    assert moved == four[3]  # none moves between those that were there


def test_the_api_leads_to_the_shard_that_reads_the_stores() -> None:
    def selector(shards: int) -> dict[str, str]:
        services = of_kind(render({"shards": shards}), "Service")
        (api,) = [each for each in services if each["metadata"]["name"].endswith("-api")]
        found: dict[str, str] = api["spec"]["selector"]
        return found

    index = {"apps.kubernetes.io/pod-index": "0"}
    assert selector(3) == selector(1) | index and not index.items() <= selector(1).items()


def test_a_changed_configuration_and_nothing_else_changes_the_checksum() -> None:
    def checksum(values: dict[str, Any]) -> str:
        text: str = pod_template(render(values))["metadata"]["annotations"]["checksum/config"]
        return text

    same = [{}, {"shards": 2}, {"prometheusRule": {"enabled": True}}, {"resources": {"limits": {"memory": "1Gi"}}}]
    assert len({checksum(values) for values in same}) == 1
    changed = [
        {"config": {"connections": {"interval": "30s"}}},
        {"configFiles": {"a.yaml": "x"}},
        {"ports": {"api": 1}},
    ]
    assert len({checksum(values) for values in [{}, *changed]}) == 4


def test_the_instance_outlives_the_pod() -> None:
    def endpoint(values: dict[str, Any]) -> dict[str, Any]:
        monitor = one(render({"monitoring": {"serviceMonitor": True}, **values}), "ServiceMonitor")
        found: dict[str, Any] = monitor["spec"]["endpoints"][0]
        return found

    by_name = {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}
    fixed = {"targetLabel": "instance", "replacement": "watch-scheduler-exporter"}
    dropped = {"action": "labeldrop", "regex": "pod"}
    assert by_name in endpoint({})["relabelings"] and by_name in endpoint({"shards": 3})["relabelings"]
    deployed = endpoint({"kind": "Deployment"})["relabelings"]
    assert fixed in deployed and dropped in deployed and by_name not in deployed
    two = {"kind": "Deployment", "replicas": 2, "state": {"persistence": {"enabled": False}}}
    assert by_name in endpoint(two)["relabelings"]
    assert endpoint({"config": {"web": {"telemetry_path": "/m"}}})["path"] == "/m"


def groups_of(values: dict[str, Any]) -> list[Object]:
    found: list[Object] = one(render({"prometheusRule": {"enabled": True, **values}}), "PrometheusRule")["spec"][
        "groups"
    ]
    return found


def shipped_groups() -> list[Object]:
    paths = [path for folder in ("alerts", "recording") for path in sorted((ROOT / "rules" / folder).glob("*.yaml"))]
    return [group for path in paths for group in yaml.safe_load(path.read_text())["groups"]]


def by_group(groups: list[Object]) -> dict[str, Object]:
    return {group["name"]: group for group in groups}


def test_the_rules_are_the_repositorys() -> None:
    assert by_group(groups_of({})) == by_group(shipped_groups())
    assert len(groups_of({})) == len(shipped_groups())


def test_links_have_addresses_in_front_and_the_rest_stays() -> None:
    bases = {"runbookBase": "https://runbooks", "dashboardBase": "https://grafana/"}
    found = groups_of({**bases, "alertLabels": {"a": "b"}, "disabled": ["SchedulingExporterAbsent"]})
    alerts = {rule["alert"]: rule for group in found for rule in group["rules"] if "alert" in rule}
    shipped = {rule["alert"]: rule for group in shipped_groups() for rule in group["rules"] if "alert" in rule}
    assert set(shipped) - set(alerts) == {"SchedulingExporterAbsent"}
    for name, alert in alerts.items():
        wanted = shipped[name]
        assert alert["expr"] == wanted["expr"] and alert["labels"] == {**wanted["labels"], "a": "b"}
        before, after = wanted["annotations"], alert["annotations"]
        assert after["runbook_url"] == f"https://runbooks/{before['runbook_url']}"
        assert after["dashboard_url"] == f"https://grafana/{before['dashboard_url']}"
        assert after["summary"] == before["summary"] and after["description"] == before["description"]


def test_links_follow_alertmanagers_if_nothing_else_is_said() -> None:
    config = {"alerting": {"runbook_base": "https://runbooks", "dashboard_base": "https://grafana"}}
    found = one(render({"prometheusRule": {"enabled": True}, "config": config}), "PrometheusRule")
    first = found["spec"]["groups"][0]["rules"][0]["annotations"]
    assert first["runbook_url"].startswith("https://runbooks/runbooks/Scheduling")
    assert first["dashboard_url"].startswith("https://grafana/d/")


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    given = {"runbookBase": "https://runbooks", "dashboardBase": "https://grafana", "alertLabels": {"team": "platform"}}
    file.write_text(yaml.safe_dump({"groups": groups_of(given)}))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_the_dashboards_are_the_repositorys() -> None:
    found = of_kind(render({"dashboards": {"enabled": True, "disabled": ["ml"]}}), "ConfigMap")
    boards = {name: text for each in found for name, text in each["data"].items() if name.endswith(".json")}
    shipped = {f"scheduling-{path.name}": path for path in (ROOT / "dashboards").glob("*.json") if path.stem != "ml"}
    assert set(boards) == set(shipped)
    for name, text in boards.items():
        assert json.loads(text) == json.loads(shipped[name].read_text())
        assert len(text) < 1_000_000  # a ConfigMap's limit is 1 MiB
    labelled = [each for each in found if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert len(labelled) == len(boards)
