"""Stores, connections and dependencies as rows: how each is, how old that is, what is wrong. Worst first.

Names, states and kinds of failure are what the probes tell anyone; errors in their own words are for those who may read
them, and the caller of these functions decides.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from exporter.api.known import Known
from exporter.api.monitoring_connections import shown_message
from exporter.config.model import Config
from exporter.connections import COLLECTOR
from exporter.connections.results import STAGES, CheckResult, ConnectionState
from exporter.dependencies import sights
from exporter.domain import Backfill, Executions
from exporter.httpd.roles import Caller
from exporter.pages.lists import Made
from exporter.pages.words import span
from exporter.snapshot import Part, Snapshot

#: Parts that are no questions to a store.
_NO_QUESTIONS: Final = ("store", "settings", "connection_status")
#: The width of a stage's bar when it has taken as long as the slowest check on the page.
BAR: Final = 120
#: Sorts behind every moment, and before them with a minus.
_LAST: Final = 1e15
#: How a thing is, from bad to good: it is down, not known, up.
_ORDER: Final = {False: 0, None: 1, True: 2}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a store: seconds since it was last answered, and why it is not answered now."""

    name: str
    age: float | None
    failing: bool
    stale: bool
    error: str | None


class StoreRow(msgspec.Struct, frozen=True, kw_only=True):
    """A store. ``up`` is None before the first answer; ``age``: seconds since a question was last answered."""

    name: str
    up: bool | None
    age: float | None
    profile: str | None
    latency: float | None
    questions: tuple[Question, ...]
    caught_up: bool
    exact: bool | None
    reasons: tuple[str, ...]
    backfill: Backfill | None

    @property
    def failures(self) -> dict[str | None, str]:
        """What is said of the failing questions, once, to the names of those."""
        found: dict[str | None, list[str]] = {}
        for question in self.failing:
            found.setdefault(question.error, []).append(question.name)
        return {error: ", ".join(names) for error, names in found.items()}

    @property
    def failing(self) -> list[Question]:
        """The questions without an answer at present."""
        return [question for question in self.questions if question.failing]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a check: where its bar begins, how wide that is, and its duration in words."""

    name: str
    x: float
    width: float
    took: str


class ConnectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A target. ``up`` is None before the first check; ``age``: seconds since a check succeeded; ``checked``: since the
    last one.

    ``trouble`` says what failed and where, ``message`` why, ``server`` what answered.
    """

    id: str
    name: str
    where: str
    up: bool | None
    age: float | None
    checked: float | None
    trouble: str
    message: str | None
    server: str
    response: float | None
    stages: tuple[Stage, ...]


class DependencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency; as a target."""

    name: str
    kind: str
    required: bool
    up: bool | None
    age: float | None
    trouble: str
    message: str | None
    response: float | None


def store_row(known: Known, now: float, said: Callable[[str], str] | None) -> StoreRow:
    """What is known of a store; ``said`` writes an error for whoever may read it, None: nobody here may."""
    questions = [_question(part, known.now, now, said) for part in known.parts if part.collector not in _NO_QUESTIONS]
    executions = known.snapshot.part("executions", known.store)
    current = executions.value if executions is not None and executions.fresh(known.now) else None
    counted = current if isinstance(current, Executions) else None
    answered = known.answered_at
    return StoreRow(
        name=known.store,
        up=known.up,
        age=None if answered is None else max(0.0, now - answered),
        profile=known.profile,
        latency=known.latency,
        questions=tuple(sorted(questions, key=lambda one: (not one.failing, one.name))),
        caught_up=counted is None or counted.caught_up,
        exact=counted.exactness.exact if counted is not None else None,
        reasons=counted.exactness.reasons if counted is not None else (),
        backfill=known.backfill,
    )


def _question(part: Part, mono: float, now: float, said: Callable[[str], str] | None) -> Question:
    return Question(
        name=part.collector,
        age=None if part.collected_at is None else max(0.0, now - part.collected_at),
        failing=part.error is not None,
        stale=part.collected_at is not None and not part.fresh(mono),
        error=said(part.error) if said is not None and part.error is not None else None,
    )


class Sighted(msgspec.Struct, frozen=True):
    """A target's state, whether that is fresh, and what ``scheduling_connection_up`` says."""

    state: ConnectionState
    fresh: bool
    up: bool | None


class Connections(msgspec.Struct, frozen=True):
    """All targets, worst first; how many are up, down, not checked; where those that are down failed."""

    sighted: Sequence[Sighted]
    up: int
    down: int
    unknown: int
    stages: tuple[tuple[str, int], ...]


def connections(names: Sequence[str], snapshot: Snapshot) -> Connections:
    """Every target as it is. A thousand of them: more is made of those that are shown."""
    mono = time.monotonic()
    keys: list[float] = []
    up = down = 0
    failed: Counter[str] = Counter()
    for name in names:
        part = snapshot.part(COLLECTOR, name)
        state = part.value if part is not None else None
        result = state.result if isinstance(state, ConnectionState) else None
        if part is None or state is None or result is None:
            keys.append(0.0)
            continue
        fresh = part.fresh(mono)
        if result.is_healthy and fresh:
            up += 1
            keys.append(_LAST)
            continue
        down += 1
        if fresh:
            failed[_stage(result)] += 1
        # Of those that are down the ones that failed last come first: they are news.
        keys.append(-_LAST - (state.last_success or 0.0))

    def make(place: int) -> Sighted:
        return _sighted(names[place], snapshot, mono)

    return Connections(Made(keys, make), up, down, len(keys) - up - down, tuple(failed.items()))


def _sighted(name: str, snapshot: Snapshot, mono: float) -> Sighted:
    part = snapshot.part(COLLECTOR, name)
    if part is None or not isinstance(part.value, ConnectionState):
        return Sighted(ConnectionState(id=name, name=name, host="", port=0, database=""), fresh=False, up=None)
    fresh, result = part.fresh(mono), part.value.result
    return Sighted(part.value, fresh, up=None if result is None else result.is_healthy and fresh)


def _stage(result: CheckResult) -> str:
    return result.failed_stage or result.result


def connection_rows(shown: Iterable[Sighted], caller: Caller, environment: str, *, told: bool) -> list[ConnectionRow]:
    """Rows of those that are shown; ``told``: addresses and messages, too."""
    listed, now = list(shown), time.time()
    slowest = max((sum(one.state.stages.values()) for one in listed), default=0.0)
    return [_connection(one, now, slowest, caller, environment, told=told) for one in listed]


def _connection(
    one: Sighted, now: float, slowest: float, caller: Caller, environment: str, *, told: bool
) -> ConnectionRow:
    state, result = one.state, one.state.result
    facts = result.facts if result is not None and one.fresh else None
    return ConnectionRow(
        id=str(state.id),
        name=state.name,
        where=f"{state.host}:{state.port}/{state.database}" if told and state.host else "",
        up=one.up,
        age=None if state.last_success is None else max(0.0, now - state.last_success),
        checked=None if state.last_check is None else max(0.0, now - state.last_check),
        trouble=trouble_of(one),
        message=shown_message(state, caller, environment) if told and one.fresh else None,
        server=" ".join(filter(None, (facts.server_version, facts.role))) if told and facts is not None else "",
        response=result.response_seconds if result is not None and one.fresh else None,
        stages=tuple(_stages(state, slowest)) if told and one.fresh else (),
    )


def trouble_of(one: Sighted) -> str:
    """What failed, and at which stage where that is not the same; empty for what is up."""
    result = one.state.result
    if result is None or one.up is not False:
        return ""
    if not one.fresh:
        return "not checked lately"
    stage = result.failed_stage
    return result.result if stage is None or stage == result.result else f"{result.result} at {stage}"


def _stages(state: ConnectionState, slowest: float) -> Iterator[Stage]:
    """Bars beside each other, to one scale on the page."""
    x = 0.0
    for name in STAGES:
        seconds = state.stages.get(name)
        if seconds is None:
            continue
        width = BAR * seconds / slowest if slowest else 0.0
        yield Stage(name=name, x=round(x, 1), width=round(max(width, 0.5), 1), took=span(seconds))
        x += width


def dependency_rows(config: Config, snapshot: Snapshot, said: Callable[[str], str] | None) -> list[DependencyRow]:
    """Every dependency that was looked at, the worst first, required ones before others."""
    now = time.time()
    rows = []
    for sight in sights(snapshot, config.dependencies):
        state = sight.state
        rows.append(
            DependencyRow(
                name=state.name,
                kind=state.kind,
                required=state.required,
                up=sight.up,
                age=None if state.last_success is None else max(0.0, now - state.last_success),
                trouble="" if sight.up is not False else (state.result or "") if sight.fresh else "not checked lately",
                message=said(state.message) if said is not None and state.message and sight.up is False else None,
                response=state.response if sight.fresh else None,
            )
        )
    return sorted(rows, key=lambda row: (_ORDER[row.up], not row.required))
