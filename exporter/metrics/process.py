"""The process and the system it runs on. Reads the part ``process``, which ``sample`` makes now and then."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import msgspec
import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from exporter.config.model import Config, Thresholds
from exporter.metrics.cgroup import memory_limit
from exporter.metrics.clientlib import from_client
from exporter.metrics.family import Families, Family, Sample, View
from exporter.metrics.private import PrivateMemory

SCOPE = "process"
INPUTS = ("process",)

_MEMORY_USAGE = Family(
    "scheduling_system_memory_usage_ratio", "gauge", "Share of the system's memory that is in use, 0 to 1."
)
_CORES = Family("scheduling_system_cpu_cores", "gauge", "Logical processors of the system.")
_LOADS = tuple(
    Family(f"scheduling_system_load{n}", "gauge", f"The system's load average over {n} min.") for n in (1, 5, 15)
)

Threshold = tuple[str, str, str, float]
Objective = tuple[str, str, float]
Collected = tuple[tuple[Family, list[Sample]], ...]


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """What ``sample`` found: bytes, seconds, Unix times, ratios of 1; None is unknown.

    ``state_up`` says whether the state file is open and its latest write succeeded; ``state_writes`` counts
    (successful, failed) writes of it. ``client`` holds the client library's process and platform metrics,
    ``instruments`` those of ``exporter.instruments``; ``cpu_percent`` is of one core, since the sample before.
    """

    revision: str
    rss: int
    private_memory: int | None
    cpu_percent: float
    memory_limit: int
    memory_usage: float
    cpu_cores: int | None
    load: tuple[float, float, float] | None
    loop_lag: float | None
    loop_tasks: int | None
    state_up: bool
    state_bytes: int | None
    state_writes: tuple[int, int]
    reload_successful: bool
    reload_success_at: float | None
    thresholds: tuple[Threshold, ...]
    objectives: tuple[Objective, ...]
    client: Collected
    instruments: Collected


def sample(
    *,
    thresholds: tuple[Threshold, ...],
    objectives: tuple[Objective, ...],
    configured_memory: int | None = None,
    loop_lag: float | None = None,
    state_up: bool = True,
    state_bytes: int | None = None,
    state_writes: tuple[int, int] = (0, 0),
    reload_successful: bool = True,
    reload_success_at: float | None = None,
    instruments: Iterable[CollectorRegistry] = (),
) -> ProcessState:
    """Look at this process and its system; a few reads of /proc and /sys, well under a millisecond.

    The revision is what the image was built from: the variable ``SCHEDULER_EXPORTER_REVISION``.
    """
    memory = psutil.virtual_memory()
    return ProcessState(
        revision=os.environ.get("SCHEDULER_EXPORTER_REVISION", "unknown"),
        rss=_PROCESS.memory_info().rss,
        private_memory=_PRIVATE.bytes(),
        cpu_percent=_PROCESS.cpu_percent(),
        memory_limit=memory_limit(Path("/"), memory.total) or configured_memory or memory.total,
        memory_usage=(memory.total - memory.available) / memory.total,
        cpu_cores=psutil.cpu_count(),
        load=_load(),
        loop_lag=loop_lag,
        loop_tasks=_tasks(),
        state_up=state_up,
        state_bytes=state_bytes,
        state_writes=state_writes,
        reload_successful=reload_successful,
        reload_success_at=reload_success_at,
        thresholds=thresholds,
        objectives=objectives,
        client=tuple(from_client(_CLIENT)),
        instruments=tuple(found for registry in instruments for found in from_client(registry)),
    )


#: Kept, for it measures what the processor did since it was asked the last time.
_PROCESS = psutil.Process()
#: Kept, for it does not look each time.
_PRIVATE = PrivateMemory()


def _load() -> tuple[float, float, float] | None:
    try:
        return os.getloadavg()
    except OSError:
        return None


def _tasks() -> int | None:
    """Tasks of the event loop that runs here and have not ended; None outside of one."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return None


def _client_registry() -> CollectorRegistry:
    """The client library's own view of this process, apart from its global registry."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


_CLIENT = _client_registry()


def thresholds(config: Config) -> tuple[Threshold, ...]:
    """(name, store, task type, value) of every alert threshold in force.

    Each store has all of them with task type "", its own override before the global value, and those that a
    task type overrides. Without a store, for the rules about targets and the sidecar, the store is "".
    """
    found: dict[tuple[str, str, str], float] = {
        (name, store, ""): getattr(config.alerting.thresholds, name)
        for store in [s.name for s in config.stores] or [""]
        for name in Thresholds.__struct_fields__
    }
    for override in config.alerting.overrides:
        for name in Thresholds.__struct_fields__:
            value = getattr(override, name, None)
            if value is not None:
                found[name, override.store, override.task_type] = value
    return tuple((*key, value) for key, value in found.items())


def objectives(config: Config) -> tuple[Objective, ...]:
    """(store, task type, objective) of every service level objective."""
    return tuple((slo.store, slo.task_type, slo.objective) for slo in config.slo)


def collect(view: View) -> Families:
    """The client library's counters outlive the part's staleness, the gauges do not."""
    part = view.parts.get("process")
    if part is None:
        return
    state = cast(ProcessState, part.value)
    fresh = view.fresh("process") is not None
    for family, samples in state.client:
        if fresh or family.kind != "gauge":
            yield family, samples
    if not fresh:
        return
    yield _MEMORY_USAGE, [((), state.memory_usage)]
    if state.cpu_cores is not None:
        yield _CORES, [((), state.cpu_cores)]
    for family, load in zip(_LOADS, state.load or (), strict=False):
        yield family, [((), load)]
