"""The demo's alerts on their way to people: what the configurations say of them, and how Alertmanager is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from exporter.alerting.assembly import alertmanager_config
from exporter.alerting.files import FILE, SECRETS, write
from exporter.config.load import NOT_ASKED, load_file
from exporter.demo.options import AlertingPorts, Options

DIRECTORY: Final = "alertmanager"
TOKEN: Final = "alertmanager.token"
"""What Alertmanager shows the sidecar."""
_HOST: Final = "127.0.0.1"


def section(options: Options) -> dict[str, Any]:
    """The sidecar's ``alerting``, as far as there is somebody to ask and to tell."""
    found: dict[str, Any] = {}
    if options.prometheus_port is not None:
        found["prometheus"] = {"url": f"http://{_HOST}:{options.prometheus_port}"}
    if (ports := options.alerting) is not None:
        found |= {
            "alertmanager": {"url": f"http://{_HOST}:{ports.alertmanager}"},
            "notify": True,  # which development does not
            "receiver": {"token": f"${{file:{TOKEN}}}", "url": f"http://{options.sidecar}"},
            "slack": {"webhook_url": f"http://{_HOST}:{ports.inbox}/services/demo", "channel": "#alerts"},
            "email": {
                "from": "scheduler-exporter@shop.example",
                "to": ["you@shop.example"],
                "smarthost": f"{_HOST}:{ports.mail}",
                "require_tls": False,
            },
        }
    return found


def told_by_prometheus(options: Options) -> dict[str, Any]:
    """Prometheus' ``alerting``."""
    if options.alerting is None:
        return {}
    return {"alertmanagers": [{"static_configs": [{"targets": [f"{_HOST}:{options.alerting.alertmanager}"]}]}]}


def inbox_arguments(ports: AlertingPorts) -> list[str]:
    """What the inbox is started with."""
    return [_HOST, str(ports.inbox), str(ports.mail)]


def alertmanager_command(ports: AlertingPorts, config: Path, directory: Path) -> list[str]:
    """Write Alertmanager's configuration for the sidecar's in ``config``; returns how to start it.

    Raises ConfigError, ExporterError.
    """
    made, target = load_file(str(config), os.environ, NOT_ASKED), directory / DIRECTORY
    write(made, alertmanager_config(made, secrets_directory=target / SECRETS), target)
    return [
        ports.command,
        f"--config.file={target / FILE}",
        f"--storage.path={target / 'data'}",
        f"--web.listen-address={_HOST}:{ports.alertmanager}",
        f"--web.external-url=http://{_HOST}:{ports.alertmanager}",
        "--cluster.listen-address=",  # alone
        "--log.level=warn",
    ]
