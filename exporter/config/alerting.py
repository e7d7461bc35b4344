"""The sections about alerts: thresholds, objectives, who is asked, who tells, and whom Alertmanager tells."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from exporter.config.base import Amount, Duration, HttpUrl, Name, Positive, Ratio, Remote, Section, Text
from exporter.config.remediation import Remediation
from exporter.config.secrets import Secret


class Thresholds(Section, frozen=True, kw_only=True):
    """What the alert rules compare against; exported as ``scheduling_alert_threshold``."""

    failure_ratio: Ratio = 0.05
    success_ratio_24h: Ratio = 0.80
    duration_seconds: Amount = 3600
    duration_regression: Amount = 2
    memory_ratio: Ratio = 0.85
    exporter_memory_bytes: Amount = 75_497_472
    exporter_cpu_ratio: Amount = 0.02
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
    """The receiver of Alertmanager's notifications, with the bearer token that it has to send.

    ``url`` is where Alertmanager reaches this exporter; ``token_file`` where Alertmanager finds the token.
    """

    token: Secret | None = None
    token_file: Text | None = None
    url: HttpUrl | None = None


class Slack(Section, frozen=True, kw_only=True):
    """Slack's incoming webhook; a team's without an address uses that of ``alerting.slack``.

    ``webhook_url_file`` is a file of Alertmanager's machine, as all keys here that end in ``_file``.
    """

    webhook_url: Secret | None = None
    webhook_url_file: Text | None = None
    channel: Text | None = None


class Webhook(Section, frozen=True, kw_only=True):
    """Alertmanager's webhook to anybody; to Slack where ``url`` is Slack's. ``token`` is a bearer token."""

    url: Secret | None = None
    url_file: Text | None = None
    token: Secret | None = None
    token_file: Text | None = None


class MailTo(Section, frozen=True, kw_only=True):
    """Who gets mail, by the server of ``alerting.email``."""

    to: Annotated[tuple[Text, ...], Meta(min_length=1)]


class Email(Section, frozen=True, kw_only=True):
    """Mail: to whom, from whom, and the server (host:port) that takes it. ALERT_EMAIL_TO stands in for ``to``."""

    sender: Text = msgspec.field(name="from")
    smarthost: Text
    to: tuple[Text, ...] = ()
    username: Text | None = None
    password: Secret | None = None
    password_file: Text | None = None
    require_tls: bool = True


class Pagerduty(Section, frozen=True, kw_only=True):
    """A service of PagerDuty by the integration key of its Events API v2."""

    routing_key: Secret | None = None
    routing_key_file: Text | None = None


class OnCall(Section, frozen=True, kw_only=True):
    """Whoever is told of critical alerts that still fire after ``alerting.escalate_after``."""

    slack: Slack | None = None
    email: MailTo | None = None
    webhook: Webhook | None = None
    pagerduty: Pagerduty | None = None


class Team(Section, frozen=True, kw_only=True):
    """Told, in place of everybody, of the alerts that all ``matchers`` match; without any, those of its ``team``."""

    name: Annotated[str, Meta(max_length=100)]
    matchers: tuple[Text, ...] = ()
    slack: Slack | None = None
    email: MailTo | None = None
    webhook: Webhook | None = None
    on_call: OnCall | None = None


class Pace(Section, frozen=True, kw_only=True):
    """How soon and how often a group of alerts is told; None is what the environment says."""

    group_wait: Positive | None = None
    group_interval: Positive | None = None
    repeat_interval: Positive | None = None


class Alerting(Section, frozen=True, kw_only=True):
    """Thresholds of the shipped alert rules, who knows of alerts, and what ``alertmanager-config`` writes.

    ``notify``: whether people are told; ``console``: whether the exporter's log is. None is what the environment says.
    """

    thresholds: Thresholds = Thresholds()
    overrides: tuple[ThresholdOverride, ...] = ()
    alertmanager: Alertmanager | None = None
    prometheus: Remote | None = None
    receiver: Receiver = Receiver()
    remediation: Remediation = Remediation()
    notify: bool | None = None
    console: bool | None = None
    slack: Slack | None = None
    email: Email | None = None
    webhook: Webhook | None = None
    on_call: OnCall | None = None
    teams: tuple[Team, ...] = ()
    group_by: Annotated[tuple[Text, ...], Meta(min_length=1)] = ("cluster", "namespace", "job", "store", "alertname")
    critical: Pace = Pace()
    warning: Pace = Pace()
    escalate_after: Positive | None = None
    evaluation_interval: Positive = Duration(15)
    runbook_base: HttpUrl | None = None
    dashboard_base: HttpUrl | None = None


class Slo(Section, frozen=True, kw_only=True):
    """A service level objective, exported as ``scheduling_slo_objective_ratio``.

    ``task_type`` "" is the whole store.
    """

    store: Name
    objective: Annotated[float, Meta(gt=0, lt=1)]
    task_type: str = ""
