"""compose/ as Docker's own compose reads it: valid, every mounted path there, nothing open to the network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession, web

import compose as docker_compose
from exporter.demo.inbox import application

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The project with every merge, path and default filled in by Docker's compose itself."""
    program = Path(docker_compose.__file__).with_name("docker-compose")
    done = subprocess.run(
        [program, "-f", COMPOSE / "compose.yaml", "config", "--format=json"],
        capture_output=True, text=True, check=False, env={"HOME": os.environ["HOME"], "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_every_mounted_path_is_there_and_read_only(project: dict[str, Any]) -> None:
    mounts = [m for service in project["services"].values() for m in service.get("volumes", ()) if m["type"] == "bind"]
    assert len(mounts) >= 8
    for mount in mounts:
        assert Path(mount["source"]).exists(), mount["source"]
        assert mount.get("read_only"), mount


def test_ports_are_open_to_this_machine_alone_and_images_are_pinned(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        if "build" not in service:
            assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-\w+)?", service["image"]), service["image"]


def test_what_is_built_is_a_stage_of_the_dockerfile(project: dict[str, Any]) -> None:
    stages = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    builds = [service["build"] for service in project["services"].values() if "build" in service]
    assert {build["target"] for build in builds} == {"runtime", "demo"} <= stages
    assert {Path(build["context"]) for build in builds} == {ROOT}


def test_hosts_that_configurations_name_are_services(project: dict[str, Any]) -> None:
    texts = [(COMPOSE / name).read_text() for name in ("config.yaml", "prometheus/prometheus.yml")]
    texts.append((COMPOSE / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    named = set(re.findall(r"(?:https?://|host: |\"|smarthost: \")([a-z]+)(?=[:,]\d|,)", " ".join(texts)))
    assert {"vault", "postgres", "mail", "alertmanager", "prometheus", "slack", "exporter"} <= named
    assert named <= set(project["services"])


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    text = (COMPOSE / "prometheus/prometheus.yml").read_text().replace("/etc/prometheus/rules", str(ROOT / "rules"))
    (tmp_path / "prometheus.yml").write_text(text)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "rules found" in done.stdout


def test_grafana_finds_its_dashboards_and_the_data_source(project: dict[str, Any]) -> None:
    grafana = project["services"]["grafana"]
    mounted = {mount["target"]: Path(mount["source"]) for mount in grafana["volumes"]}
    [provider] = yaml.safe_load((COMPOSE / "grafana/provisioning/dashboards/scheduler.yaml").read_text())["providers"]
    dashboards = mounted[provider["options"]["path"]]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (dashboards / home.relative_to(provider["options"]["path"])).exists()
    [source] = yaml.safe_load((COMPOSE / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)


def test_dockerfiles_linter_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert hadolint is not None
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


async def test_the_inbox_shows_what_arrived_as_text() -> None:
    runner = web.AppRunner(application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with ClientSession(url) as client:
            text = "since <!date^1^{time}|10:00> <script>alert(1)</script> <http://am.example/?a=1&amp;b=2|Silence>"
            attachments = [{"title": "Store <main> down", "text": text}]
            async with client.post("/services/demo", json={"channel": "#alerts", "attachments": attachments}) as answer:
                assert await answer.text() == "ok"
            async with client.get("/") as answer:
                page = await answer.text()
    finally:
        await runner.cleanup()
    assert "Store &lt;main&gt; down" in page and "#alerts" in page
    assert "<script>" not in page and "since 10:00 &lt;script&gt;" in page
    assert '<a href="http://am.example/?a=1&amp;b=2">Silence</a>' in page
