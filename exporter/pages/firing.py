"""Alerts that fire as rows: what fires, how grave it is, since when, and what to read about it. Gravest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from exporter.config.alerting import Alerting
from exporter.domain import Alert

_SEVERITIES: Final = {"critical": 0, "warning": 1}
#: Characters of an address that is led to.
_ADDRESS: Final = 2_000


class AlertRow(msgspec.Struct, frozen=True):
    """An alert, and where its runbook and its dashboard are; None where nothing says that."""

    alert: Alert
    runbook: str | None
    dashboard: str | None


def alert_rows(alerts: Iterable[Alert], alerting: Alerting) -> list[AlertRow]:
    """Rows of ``alerts``; a rule's address that is a path stands below the address that the configuration gives."""
    return [
        AlertRow(
            alert,
            runbook=_address(alert.annotations.get("runbook_url", ""), alerting.runbook_base),
            dashboard=_address(alert.annotations.get("dashboard_url", ""), alerting.dashboard_base),
        )
        for alert in sorted(alerts, key=_gravest)
    ]


def _gravest(alert: Alert) -> tuple[int, float]:
    return _SEVERITIES.get(alert.labels.get("severity", ""), 2), -alert.starts_at


def _address(told: str, base: str | None) -> str | None:
    """Where a link may lead: to the web, and nowhere else."""
    if not told or len(told) > _ADDRESS or not told.isprintable():
        return None
    if told.startswith(("http://", "https://")):
        return told
    return None if base is None else f"{base.rstrip('/')}/{told.lstrip('/')}"
