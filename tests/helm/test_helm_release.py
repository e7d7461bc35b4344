"""A release's life on a cluster's API: installed, upgraded, rolled back, removed, and nothing left."""

from __future__ import annotations

from collections.abc import Iterator

import helm_python
import pytest
from support.charts import NAMESPACE, RELEASE, chart
from support.fakekube import Cluster, Json, serving

NAME = f"{RELEASE}-scheduler-exporter"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def helm(cluster: Cluster) -> Iterator[helm_python.Config]:
    with serving(cluster) as kubeconfig, helm_python.Config(
        kubeconfig_content=kubeconfig, namespace=NAMESPACE
    ) as config:  # fmt: skip
        yield config


def stateful(cluster: Cluster) -> Json:
    return cluster.objects["statefulsets", NAMESPACE, NAME]


def checksum(cluster: Cluster) -> str:
    text: str = stateful(cluster)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
    return text


def test_install_upgrade_rollback_uninstall(cluster: Cluster, helm: helm_python.Config) -> None:
    values: Json = {"monitoring": {"serviceMonitor": True}, "prometheusRule": {"enabled": True}}
    helm.install(chart(), RELEASE, values, namespace=NAMESPACE)
    first = checksum(cluster)
    plurals = {plural for plural, _, _ in cluster.objects}
    assert {"statefulsets", "services", "configmaps", "servicemonitors", "prometheusrules"} <= plurals
    claims = stateful(cluster)["spec"]["volumeClaimTemplates"]

    changed = {**values, "config": {"connections": {"interval": "30s"}}}
    helm.upgrade(chart(), RELEASE, changed, namespace=NAMESPACE)
    assert checksum(cluster) != first, "a changed configuration rolls the pods"

    for shards in (3, 2):
        helm.upgrade(chart(), RELEASE, {**values, "shards": shards}, namespace=NAMESPACE)
        spec = stateful(cluster)["spec"]
        variables = {each["name"]: each.get("value") for each in spec["template"]["spec"]["containers"][0]["env"]}
        assert (spec["replicas"], variables["SCHEDULER_EXPORTER_TOTAL_SHARDS"]) == (shards, str(shards))
        # The API refuses any other claim template.
        assert spec["volumeClaimTemplates"] == claims

    helm.upgrade(chart(), RELEASE, {"shards": 1}, namespace=NAMESPACE)  # none given: Helm keeps the last
    assert not [plural for plural, _, _ in cluster.objects if plural in ("servicemonitors", "prometheusrules")]

    helm.rollback(RELEASE, version=1)
    assert checksum(cluster) == first and stateful(cluster)["spec"]["replicas"] == 1
    assert ("servicemonitors", NAMESPACE, NAME) in cluster.objects

    helm.uninstall(RELEASE)
    assert cluster.objects == {}


def test_a_field_that_the_api_does_not_know_ends_the_installation(cluster: Cluster, helm: helm_python.Config) -> None:
    wrong: Json = {"extraContainers": [{"name": "proxy", "image": "proxy:1", "portz": []}]}
    with pytest.raises(helm_python.HelmError, match="portz"):
        helm.install(chart(), RELEASE, wrong, namespace=NAMESPACE)
