"""The sidecar about itself: build, configuration, state file, event loop. Reads the part ``process``."""

from __future__ import annotations

import platform
from typing import cast

from exporter import __version__
from exporter.metrics.family import Families, Family, Sample, View
from exporter.metrics.process import ProcessState

SCOPE = "process"
INPUTS = ("process",)

_BUILD = Family(
    "scheduling_exporter_build_info",
    "gauge",
    "Always 1; the exporter's version, the revision it was built from and the Python it runs on.",
    ("version", "revision", "python"),
)
_THRESHOLD = Family(
    "scheduling_alert_threshold",
    "gauge",
    "What the alert rules compare against, from the configuration; task_type empty: the store's default.",
    ("name", "store", "task_type"),
)
_OBJECTIVE = Family(
    "scheduling_slo_objective_ratio",
    "gauge",
    "Objective for the ratio of successful executions, from the configuration; task_type empty: the store.",
    ("store", "task_type"),
)
_STATE_UP = Family(
    "scheduling_exporter_state_up",
    "gauge",
    "Whether the state file is open and its latest write succeeded; while 0 nothing is counted, and nothing is lost.",
)
_STATE_BYTES = Family(
    "scheduling_exporter_state_bytes", "gauge", "Size of the state file and its log on disk, in bytes."
)
_STATE_WRITES = Family(
    "scheduling_exporter_state_writes_total",
    "counter",
    "Transactions that wrote the state file since the exporter started, by result.",
    ("result",),
)
_RELOAD_SUCCESSFUL = Family(
    "scheduling_exporter_config_last_reload_successful",
    "gauge",
    "Whether the configuration's latest reload was accepted; while 0 the last good one is in force.",
)
_RELOAD_SUCCESS_AT = Family(
    "scheduling_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    "When a configuration was last accepted.",
)
_LOOP_LAG = Family(
    "scheduling_exporter_event_loop_lag_seconds",
    "gauge",
    "How late the event loop woke a sleeping task when last measured.",
)
_LOOP_TASKS = Family(
    "scheduling_exporter_event_loop_tasks",
    "gauge",
    "Tasks of the event loop that have not ended: those that always run, checks and requests under way.",
)
_MEMORY_LIMIT = Family(
    "scheduling_exporter_memory_limit_bytes",
    "gauge",
    "Memory the exporter may use: the control group's limit, else the configured one, else all there is.",
)
_PRIVATE_MEMORY = Family(
    "scheduling_exporter_memory_private_bytes",
    "gauge",
    "Memory that is the exporter's alone and would be free without it (USS), at most 30 s old, in bytes.",
)


def collect(view: View) -> Families:
    """The counter outlives the part's staleness, the gauges do not."""
    part = view.parts.get("process")
    if part is None:
        return
    state = cast(ProcessState, part.value)
    writes: list[Sample] = [(("success",), state.state_writes[0]), (("failure",), state.state_writes[1])]
    yield _STATE_WRITES, writes
    if view.fresh("process") is None:
        return
    yield _BUILD, [((__version__, state.revision, platform.python_version()), 1.0)]
    yield _THRESHOLD, [((name, store, task), value) for name, store, task, value in state.thresholds]
    yield _OBJECTIVE, [((store, task), value) for store, task, value in state.objectives]
    for family, value in _gauges(state):
        if value is not None:
            yield family, [((), value)]


def _gauges(state: ProcessState) -> tuple[tuple[Family, float | None], ...]:
    return (
        (_STATE_UP, state.state_up),
        (_STATE_BYTES, state.state_bytes),
        (_RELOAD_SUCCESSFUL, state.reload_successful),
        (_RELOAD_SUCCESS_AT, state.reload_success_at),
        (_LOOP_LAG, state.loop_lag),
        (_LOOP_TASKS, state.loop_tasks),
        (_MEMORY_LIMIT, state.memory_limit),
        (_PRIVATE_MEMORY, state.private_memory),
    )
