"""What is wrong, in the order in which somebody on call has to know it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final

import msgspec

from exporter.alertmanager import ActiveAlerts
from exporter.config.alerting import Thresholds
from exporter.httpd.context import Check
from exporter.pages.servers import Connections, DependencyRow, StoreRow
from exporter.pages.words import age, clip
from exporter.pages.work import FailingRow, Totals

#: So many things that are down are named one by one.
NAMED: Final = 3


class Grave(IntEnum):
    """How bad it is."""

    BAD = 0
    WARNING = 1
    NOTE = 2


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, in a line; ``where`` is the section that has more."""

    grave: Grave
    text: str
    where: str


class Verdict(msgspec.Struct, frozen=True):
    """The worst first. ``known``: anything has been asked yet."""

    problems: tuple[Problem, ...]
    known: bool

    @property
    def state(self) -> str:
        """bad, warning, good, or unknown."""
        worst = min((problem.grave for problem in self.problems), default=Grave.NOTE)
        return {Grave.BAD: "bad", Grave.WARNING: "warning"}.get(worst, "good" if self.known else "unknown")

    @property
    def headline(self) -> str:
        """In a few words."""
        bad = sum(problem.grave is Grave.BAD for problem in self.problems)
        warnings = sum(problem.grave is Grave.WARNING for problem in self.problems)
        if bad:
            return f"{bad} {'thing is' if bad == 1 else 'things are'} broken"
        if warnings:
            return f"{warnings} {'thing needs' if warnings == 1 else 'things need'} a look"
        return "All is well" if self.known else "Nothing is known yet"


def verdict(problems: Iterable[Problem], *, known: bool) -> Verdict:
    """The verdict on what was found."""
    return Verdict(tuple(sorted(problems, key=lambda problem: problem.grave)), known)


def of_servers(
    checks: Iterable[Check], stores: Iterable[StoreRow], found: Connections, dependencies: Iterable[DependencyRow]
) -> Iterator[Problem]:
    """What anyone may know: the probes tell it, too."""
    for check in checks:
        if not check.ok:
            text = f"The sidecar itself: {check.name.replace('_', ' ')}" + (f" {check.detail}" if check.detail else "")
            yield Problem(Grave.BAD if check.required else Grave.WARNING, text, "sidecar")
    for store in stores:
        yield from _of_store(store)
    if found.down:
        total = len(found.sighted)
        what = "connection" if total == 1 else "connections"
        text = f"{found.down:,} of {total:,} {what} {'is' if found.down == 1 else 'are'} down"
        stages = ", ".join(f"{stage} {n:,}" for stage, n in found.stages)
        names = ", ".join(clip(one.state.name, 40) for one in found.sighted[: min(found.down, NAMED)])
        text += f": {names}" if found.down <= NAMED else f", failing at {stages}" if stages else ""
        yield Problem(Grave.BAD, text, "connections")
    for row in dependencies:
        if row.up is False:
            grave = Grave.BAD if row.required else Grave.WARNING
            yield Problem(grave, f"Dependency {clip(row.name)} is down: {row.trouble}", "dependencies")


def _of_store(store: StoreRow) -> Iterator[Problem]:
    name = clip(store.name)
    if store.up is False:
        since = "has never answered" if store.age is None else f"last answered {age(store.age)} ago"
        yield Problem(Grave.BAD, f"Store {name} is down; it {since}", "stores")
    elif store.failing:
        names = ", ".join(question.name for question in store.failing)
        yield Problem(Grave.WARNING, f"Store {name} does not answer everything: {names}", "stores")
    if store.exact is False:
        yield Problem(Grave.NOTE, f"Store {name}: counting is not provably exact", "stores")
    if not store.caught_up:
        yield Problem(Grave.NOTE, f"Store {name} is catching up with what finished meanwhile", "stores")


def of_work(numbers: Totals, failing: list[FailingRow], thresholds: Thresholds) -> Iterator[Problem]:
    """What the scheduler does, for whoever may read it."""
    if numbers.stuck:
        yield Problem(Grave.BAD, f"{_n(numbers.stuck, 'execution is', 'executions are')} stuck", "running")
    if numbers.orphaned:
        text = f"{_n(numbers.orphaned, 'execution has', 'executions have')} lost their worker"
        yield Problem(Grave.BAD, text.replace("has lost their", "has lost its"), "running")
    if numbers.overdue:
        yield Problem(Grave.BAD, f"{_n(numbers.overdue, 'job is', 'jobs are')} overdue", "overdue")
    if numbers.lost:
        yield Problem(Grave.WARNING, f"{_n(numbers.lost, 'worker is', 'workers are')} lost", "workers")
    if failing:
        worst = failing[0].job
        text = f"{_n(len(failing), 'job keeps', 'jobs keep')} failing"
        text += f"; {clip(worst.job_name or worst.job_id)} has failed {worst.streak:,} times in a row"
        yield Problem(Grave.WARNING, text, "failing")
    if numbers.ended and numbers.bad is not None:
        good = 1 - numbers.bad / numbers.ended
        if good < thresholds.success_ratio_24h:
            expected = f"{thresholds.success_ratio_24h:.0%} are expected"
            text = f"Only {numbers.success} of the executions of 24 hours succeeded; {expected}"
            yield Problem(Grave.WARNING, text, "executions")


def of_alerts(alerts: ActiveAlerts | None, *, asked: bool) -> Iterator[Problem]:
    """Alerts that fire and are not silenced; that nobody can tell is worth a look, too."""
    if not asked:
        return
    if alerts is None:
        yield Problem(Grave.WARNING, "Alerts cannot be read: Alertmanager is away", "alerts")
        return
    critical = sum(alert.labels.get("severity") == "critical" for alert in alerts.firing)
    others = alerts.total - critical
    if critical:
        yield Problem(Grave.BAD, f"{_n(critical, 'critical alert fires', 'critical alerts fire')}", "alerts")
    if others:
        yield Problem(Grave.WARNING, f"{_n(others, 'alert fires', 'alerts fire')}", "alerts")


def _n(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
