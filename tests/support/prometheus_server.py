"""A real Prometheus that scrapes one sidecar, and its answers."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exporter.demo.processes import Child
from support.polling import until
from support.ports import free_port
from support.sidecar import HOST, request

CONFIG = """\
global: {scrape_interval: %ds, scrape_timeout: %ds, evaluation_interval: 1s}
rule_files: %s
scrape_configs:
  - job_name: scheduler-exporter
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""


class Prometheus:
    """``start`` it, ask it, ``stop`` it. It scrapes ``every`` so many seconds, which is what a scrape may take, too."""

    def __init__(self, directory: Path, sidecar_port: int, rules: Sequence[Path] = (), every: int = 1) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "prometheus.yml"
        config.write_text(CONFIG % (every, every, json.dumps([str(file) for file in rules]), sidecar_port))
        self._child = Child(
            name="prometheus",
            command=[
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={HOST}:{self.port}",
                # It keeps exemplars only of OpenMetrics pages: their presence tells what was negotiated.
                "--enable-feature=exemplar-storage",
            ],
            log=directory / "prometheus.log",
        )

    def start(self) -> None:
        """Start it, and return once it takes queries."""
        self._child.start()
        until(lambda: request(self.port, "/-/ready").status == 200, 90, "Prometheus is ready")

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def api(self, path: str, **parameters: str | float) -> Any:
        """The data of an answer of its HTTP API."""
        answer = request(self.port, f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        body = json.loads(answer.body)
        assert body["status"] == "success", body
        return body["data"]

    def target(self) -> dict[str, Any]:
        """The sidecar as Prometheus sees it."""
        return dict(self.api("targets")["activeTargets"][0])

    def query(self, expression: str, *, label: str | None = None, at: float | None = None) -> dict[str, float]:
        """An instant query's values by the value of ``label`` (or one, under "")."""
        moment = {} if at is None else {"time": at}
        result = self.api("query", query=expression, **moment)["result"]
        return {sample["metric"].get(label, ""): float(sample["value"][1]) for sample in result}

    def last_scrape(self) -> float:
        """When (Unix seconds) the last scrape began: the time of its samples."""
        return max(self.query("timestamp(up)").values(), default=0.0)
