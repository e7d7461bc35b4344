"""The sections about alerts: thresholds, objectives, who is asked and who tells."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from exporter.config.base import Amount, Name, Ratio, Remote, Section, Text
from exporter.config.remediation import Remediation
from exporter.config.secrets import Secret


class Thresholds(Section, frozen=True, kw_only=True):
    """What the alert rules compare against; exported as ``scheduling_alert_threshold``."""

    failure_ratio: Ratio = 0.05
    success_ratio_24h: Ratio = 0.80
    duration_seconds: Amount = 3600
    duration_regression: Amount = 2
    memory_ratio: Ratio = 0.85
    consecutive_failures: Amount = 3
    errors_per_hour: Amount = 10
    api_error_ratio: Ratio = 0.1
    api_p95_seconds: Amount = 5
    no_execution_seconds: Amount = 300
    calendar_api_errors_10m: Amount = 5
    queue_wait_seconds: Amount = 900
    connection_response_seconds: Amount = 1
    connections_ratio: Ratio = 0.85
    replication_lag_seconds: Amount = 300
    transaction_id_age: Amount = 1_000_000_000
    certificate_expiry_seconds: Amount = 1_209_600


class ThresholdOverride(Section, frozen=True, kw_only=True):
    """Other thresholds for one store, or one task type of it."""

    store: Name
    task_type: str = ""
    failure_ratio: Ratio | None = None
    success_ratio_24h: Ratio | None = None
    duration_seconds: Amount | None = None
    duration_regression: Amount | None = None
    consecutive_failures: Amount | None = None
    errors_per_hour: Amount | None = None
    no_execution_seconds: Amount | None = None
    queue_wait_seconds: Amount | None = None


class Alertmanager(Remote, frozen=True, kw_only=True):
    """Where alerts are silenced, and asked for; ``filter``: matchers that leave out other systems' alerts."""

    filter: tuple[Text, ...] = ()


class Receiver(Section, frozen=True, kw_only=True):
    """The receiver of Alertmanager's notifications, with the bearer token that it has to send."""

    token: Secret | None = None


class Alerting(Section, frozen=True, kw_only=True):
    """Thresholds of the shipped alert rules, and who knows of alerts."""

    thresholds: Thresholds = Thresholds()
    overrides: tuple[ThresholdOverride, ...] = ()
    alertmanager: Alertmanager | None = None
    prometheus: Remote | None = None
    receiver: Receiver = Receiver()
    remediation: Remediation = Remediation()


class Slo(Section, frozen=True, kw_only=True):
    """A service level objective, exported as ``scheduling_slo_objective_ratio``.

    ``task_type`` "" is the whole store.
    """

    store: Name
    objective: Annotated[float, Meta(gt=0, lt=1)]
    task_type: str = ""
