"""A scheduler's own chart takes the exporter in: the example, whole, and what it leans on."""

from __future__ import annotations

import helm_python
from support.charts import EXAMPLE, complaint, container, of_kind, one, pod_template, render


def test_the_example_is_a_chart_that_kubernetes_takes() -> None:
    report = helm_python.lint(EXAMPLE, {}, strict=True)
    assert report["errors"] == []
    found = render(path=EXAMPLE)
    assert [complaint(each, version) for each in found for version in ("1.28", "1.33")] == [None, None] * len(found)


def test_the_scheduler_has_the_container_and_all_that_it_needs() -> None:
    found = render(path=EXAMPLE)
    pod = pod_template(found)["spec"]
    assert [each["name"] for each in pod["containers"]] == ["scheduler", "scheduler-exporter"]
    assert [each["name"] for each in pod["initContainers"]] == ["scheduler-exporter-check"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert {mount["name"] for mount in container(found)["volumeMounts"]} == set(volumes)
    config = volumes["scheduler-exporter-config"]["configMap"]["name"]
    assert config == one(found, "ConfigMap")["metadata"]["name"]
    claim = volumes["scheduler-exporter-state"]["persistentVolumeClaim"]["claimName"]
    assert claim == one(found, "PersistentVolumeClaim")["metadata"]["name"]


def test_it_is_found_by_the_schedulers_labels_and_keeps_its_instance() -> None:
    found = render(path=EXAMPLE)
    labels = pod_template(found)["metadata"]["labels"].items()
    assert all(each["spec"]["selector"].items() <= labels for each in of_kind(found, "Service"))
    monitor = one(found, "PodMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= labels
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in [port["name"] for port in container(found)["ports"]]
    fixed = {e["targetLabel"]: e["replacement"] for e in endpoint["relabelings"] if "targetLabel" in e}
    assert fixed == {"job": "watch-scheduler-exporter", "instance": "watch-scheduler-exporter"}
    assert not of_kind(found, "StatefulSet") and not of_kind(found, "ServiceAccount")


def test_a_changed_configuration_rolls_the_schedulers_pods() -> None:
    def checksum(values: dict[str, object]) -> str:
        text: str = pod_template(render({"scheduler-exporter": values}, EXAMPLE))["metadata"]["annotations"][
            "checksum/config"
        ]
        return text

    changed = {"config": {"connections": {"interval": "30s"}}}
    assert checksum({}) == checksum({}) != checksum(changed)


def test_it_can_be_left_out() -> None:
    found = render({"scheduler-exporter": {"enabled": False}}, EXAMPLE)
    assert [each["name"] for each in pod_template(found)["spec"]["containers"]] == ["scheduler"]
    assert [each["kind"] for each in found] == ["Deployment"]
