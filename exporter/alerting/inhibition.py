"""What follows from what: while the cause fires, its consequences are not told. rules/README.md has the table."""

from __future__ import annotations

from typing import Any, Final

_JOB: Final = ("cluster", "namespace", "job")
_STORE: Final = (*_JOB, "store")
_JOB_OF_STORE: Final = (*_STORE, "job_id")
_CONNECTION: Final = (*_JOB, "connection")
_TASK_TYPE: Final = (*_STORE, "task_type")
#: All that tells one thing that fails from another.
_THING: Final = (
    *_STORE,
    "component",
    "task_type",
    "queue",
    "job_id",
    "connection",
    "name",
    "kind",
    "integration",
    "collector",
    "source",
    "metric",
    "instance",
)

#: Other systems' alerts in the same Alertmanager are told apart by labels of which nothing is known here.
_OURS: Final = 'alertname=~"Scheduling.+"'
#: Causes of their own, however many executions of the same task type fail beside them.
OWN_CAUSES: Final = ("SchedulingExecutionsOrphaned", "SchedulingExecutionsStuck")

#: The alerts of these causes, the matchers of what they explain, the labels in which both agree.
FOLLOWS: Final[tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...]] = (
    # Of a series that is nowhere nobody knows whose it would be: the alert has no job.
    (("SchedulingExporterDown",), ('alertname="SchedulingExporterAbsent"',), ("cluster",)),
    (
        ("SchedulingExporterDown",),
        ('alertname=~"SchedulingExporterRestarted|SchedulingExporterRestarting"',),
        _JOB,
    ),
    (
        ("SchedulingStoreDown", "SchedulingStoreUnreadable"),
        ('component=~"executions|trends|jobs|queues|workers|slo"',),
        _STORE,
    ),
    (
        ("SchedulingStoreDown", "SchedulingStoreUnreadable"),
        ('alertname=~"SchedulingCountingInexact|SchedulingStoreStale"',),
        _STORE,
    ),
    (
        ("SchedulingStateWriteFailing",),
        ('alertname=~"SchedulingStoreStale|SchedulingApiErrorRatioHigh|SchedulingApiLatencyHigh"',),
        _JOB,
    ),
    (("SchedulingStoreDown", "SchedulingStoreUnreadable"), ('alertname="SchedulingApiErrorRatioHigh"',), _JOB),
    (("SchedulingApiErrorRatioHigh",), ('alertname="SchedulingApiLatencyHigh"',), _STORE),
    (
        ("SchedulingNoWorkers",),
        (
            'alertname=~"SchedulingWorkerLost|SchedulingNoExecutions|SchedulingQueueLatencyHigh|SchedulingQueueGrowing'
            '|SchedulingRunMissed|SchedulingExecutionsOrphaned"',
        ),
        _STORE,
    ),
    (
        ("SchedulingNoExecutions",),
        (
            'alertname=~"SchedulingQueueLatencyHigh|SchedulingQueueGrowing|SchedulingRunMissed'
            '|SchedulingExecutionRateUnusual"',
        ),
        _STORE,
    ),
    (("SchedulingCriticalJobFailed",), ('alertname="SchedulingJobNeverSucceeded"',), _JOB_OF_STORE),
    (
        ("SchedulingConnectionDown", "SchedulingConnectionAuthRefused"),
        ('component="connections"', 'severity="warning"'),
        _CONNECTION,
    ),
    (("SchedulingConnectionsNearLimit",), ('alertname="SchedulingConnectionsExhaustionForecast"',), _CONNECTION),
    (
        ("SchedulingVaultDown",),
        ('alertname=~"SchedulingVaultLeaseExpiring|SchedulingVaultTokenExpiring"',),
        _JOB,
    ),
    (
        ("SchedulingFailureRatioHigh", "SchedulingErrorBudgetBurnFast"),
        ('alertname=~"SchedulingErrorSpike|SchedulingSuccessRatioLow|SchedulingErrorBudgetBurnSlow"',),
        _TASK_TYPE,
    ),
)


def inhibit_rules() -> list[dict[str, Any]]:
    """Alertmanager's ``inhibit_rules``: the table, and that what is critical silences warnings about the same thing."""
    rules = [
        {"source_matchers": [_alerts(causes)], "target_matchers": list(explained), "equal": list(equal)}
        for causes, explained, equal in FOLLOWS
    ]
    warnings = [_OURS, f'alertname!~"{"|".join(OWN_CAUSES)}"', 'severity="warning"']
    severities = {"source_matchers": [_OURS, 'severity="critical"'], "target_matchers": warnings}
    return [*rules, {**severities, "equal": list(_THING)}]


def _alerts(names: tuple[str, ...]) -> str:
    return f'alertname="{names[0]}"' if len(names) == 1 else f'alertname=~"{"|".join(names)}"'
