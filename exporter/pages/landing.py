"""The page at ``/``: what this is, where everything is, and how stores and targets are.

Shown to anyone who reaches the port, so without any error's text: what failed is named, why is in the log.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from exporter.config.model import Config
from exporter.connections.results import ConnectionState
from exporter.dependencies import sights
from exporter.domain import (
    FINAL_STATUSES,
    JOB_STATUSES,
    LIVE_STATUSES,
    WORKER_STATES,
    Executions,
    JobCounts,
    Queues,
    Running,
    Schedules,
    Workers,
)
from exporter.pages.template import template
from exporter.snapshot import NOT_OF_STORES, Hub, Part, Snapshot

#: Parts that are no answer to a question of now: what is known without one, and history that was read long ago.
_NO_QUESTIONS: Final = ("store", "settings", "backfill")

Numbers = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRow:
    """A store. None and empty are unknown: not asked yet, not mapped by the profile, or too old to show.

    ``up`` is what ``scheduling_store_up`` says, None before the first answer; ``age``: seconds since a question was
    last answered; ``failing``: the questions (collectors) that were not. ``executions`` are those counted.
    """

    name: str
    up: bool | None
    age: float | None
    failing: tuple[str, ...]
    jobs: Numbers
    running: Numbers
    workers: Numbers
    executions: Numbers
    caught_up: bool
    exact: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """A target. ``up`` is None before the first check; ``age``: seconds since a check succeeded.

    ``trouble`` says what failed and where, ``server`` what answered, ``response`` is the last check's seconds.
    """

    name: str
    up: bool | None
    age: float | None
    trouble: str = ""
    server: str = ""
    response: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyRow:
    """A dependency. ``up`` is None before the first check; ``age``: seconds since a check succeeded.

    ``trouble`` is what kind of failure it is, ``response`` the last check's seconds.
    """

    name: str
    kind: str
    required: bool
    up: bool | None
    age: float | None
    trouble: str = ""
    response: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Makes the page; ``Context.landing`` is an instance of this."""

    hub: Hub
    config: Callable[[], Config]
    version: str

    def __call__(self) -> str:
        """The page as HTML, from the snapshot of this moment. Targets that are down come first."""
        config, snapshot, now = self.config(), self.hub.current, time.time()
        targets = [target_row(target.name, snapshot, now) for target in config.connections.targets]
        return template("landing.html.j2").render(
            version=self.version,
            telemetry_path=config.web.telemetry_path,
            stores=[store_row(store.name, snapshot, now) for store in config.stores],
            targets=sorted(targets, key=lambda row: row.up is not False),
            dependencies=list(dependency_rows(config, snapshot, now)),
        )


def store_row(name: str, snapshot: Snapshot, now: float) -> StoreRow:
    """What the snapshot knows of a store. Counts stay when they are old, all else goes."""
    parts = {c: p for (c, source), p in snapshot.parts.items() if source == name and c not in NOT_OF_STORES}
    asked = {c: part for c, part in parts.items() if c not in _NO_QUESTIONS}
    answers = [part.collected_at for part in asked.values() if part.collected_at is not None and part.value is not None]
    failing = tuple(sorted(c for c, part in asked.items() if part.error is not None))
    executions = parts.get("executions")
    counted = cast("Executions | None", executions.value if executions is not None else None)
    current = cast("Executions | None", _fresh(executions))
    return StoreRow(
        name=name,
        up=_store_up(parts.get("store"), failing),
        age=max(0.0, now - max(answers)) if answers else None,
        failing=failing,
        jobs=_jobs(_fresh(parts.get("jobs")), _fresh(parts.get("queues"))),
        running=_running(_fresh(parts.get("running")), _fresh(parts.get("queues")), _fresh(parts.get("schedules"))),
        workers=_workers(_fresh(parts.get("workers"))),
        executions=_executions(counted) if counted is not None else (),
        caught_up=current is None or current.caught_up,
        exact=current.exactness.exact if current is not None else None,
        reasons=current.exactness.reasons if current is not None else (),
    )


def _store_up(part: Part | None, failing: tuple[str, ...]) -> bool | None:
    if part is None:  # reached, perhaps, but it never answered a question
        return False if failing else None
    return part.success and _fresh(part) is True


def _fresh(part: Part | None) -> object | None:
    return part.value if part is not None and part.fresh(time.monotonic()) else None


def _jobs(jobs: object, queues: object) -> Numbers:
    """By status, what is unfinished from the latest poll, the rest from the last full count."""
    counts: dict[tuple[str, str], int] = {}
    if isinstance(jobs, JobCounts):
        counts |= jobs.by_status
    if isinstance(queues, Queues):
        # As scheduling_jobs has it: recurring definitions need not be among the unfinished jobs that a poll counts.
        counts |= dict.fromkeys(((status, "ONE_TIME") for status in LIVE_STATUSES), 0) | queues.by_status
    totals = Counter[str]()
    for (status, _), n in counts.items():
        totals[status] += n
    return _named(JOB_STATUSES, totals) if counts else ()


def _running(running: object, queues: object, schedules: object) -> Numbers:
    found: list[tuple[str, int]] = []
    if isinstance(running, Running):
        types = running.by_task_type.values()
        found += [("running", sum(t.running for t in types)), ("stuck", sum(t.stuck for t in types))]
        if all(t.orphaned is not None for t in types):
            found.append(("orphaned", sum(t.orphaned or 0 for t in types)))
    late = [queues.overdue_count] if isinstance(queues, Queues) else []
    if isinstance(schedules, Schedules):
        late.append(sum(job.overdue_since is not None for job in schedules.jobs))
    return (*found, ("overdue", sum(late))) if late else tuple(found)


def _workers(workers: object) -> Numbers:
    if not isinstance(workers, Workers):
        return ()
    return _named(WORKER_STATES, Counter(worker.state for worker in workers.workers))


def _executions(executions: Executions) -> Numbers:
    sums = [sum(column) for column in zip(*executions.counts.executions.values(), strict=True)]
    return _named(FINAL_STATUSES, dict(zip(FINAL_STATUSES, sums, strict=False)))


def _named(names: Iterable[str], counts: Mapping[str, int]) -> Numbers:
    return tuple((name.lower(), counts.get(name, 0)) for name in names)


def target_row(name: str, snapshot: Snapshot, now: float) -> TargetRow:
    """A target is up when its latest check reached the end and is not stale."""
    part = snapshot.part("connections", name)
    state = part.value if part is not None else None
    if part is None or not isinstance(state, ConnectionState) or state.result is None:
        return TargetRow(name=name, up=None, age=None)
    result, fresh = state.result, part.fresh(time.monotonic())
    facts = result.facts if fresh else None
    failed = f"{result.result} ({result.failed_stage})" if result.failed_stage else result.result
    return TargetRow(
        name=name,
        up=result.is_healthy and fresh,
        age=None if state.last_success is None else max(0.0, now - state.last_success),
        trouble="" if result.is_healthy and fresh else failed if fresh else "not checked lately",
        server=" ".join(filter(None, (facts.server_version, facts.role))) if facts is not None else "",
        response=result.response_seconds if fresh else None,
    )


def dependency_rows(config: Config, snapshot: Snapshot, now: float) -> Iterator[DependencyRow]:
    """Each dependency, in the order of the configuration."""
    for sight in sights(snapshot, config.dependencies):
        state = sight.state
        yield DependencyRow(
            name=state.name,
            kind=state.kind,
            required=state.required,
            up=sight.up,
            age=None if state.last_success is None else max(0.0, now - state.last_success),
            trouble="" if sight.up is not False else (state.result or "") if sight.fresh else "not checked lately",
            response=state.response if sight.fresh else None,
        )
