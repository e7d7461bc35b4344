"""What is wrong, in the order in which somebody on call has to know it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import Final

import msgspec

from exporter.alertmanager import ActiveAlerts
from exporter.config.alerting import Thresholds
from exporter.domain import Alert, FailingJob, OverdueJob
from exporter.httpd.context import Check
from exporter.pages.servers import Connections, DependencyRow, StoreRow, trouble_of
from exporter.pages.words import age, clip
from exporter.pages.work import Lists, RunningRow, Totals

#: So many things of a line are named, the worst ones.
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
            text = f"The exporter itself: {check.name.replace('_', ' ')}" + (f" {check.detail}" if check.detail else "")
            yield Problem(Grave.BAD if check.required else Grave.WARNING, text, "sidecar")
    for store in stores:
        yield from _of_store(store)
    if found.down:
        total = len(found.sighted)
        what = "connection" if total == 1 else "connections"
        text = f"{found.down:,} of {total:,} {what} {'is' if found.down == 1 else 'are'} down"
        stages = ", ".join(f"{stage} {n:,}" for stage, n in found.stages)
        named = found.sighted[: min(found.down, NAMED)]
        names = ", ".join(f"{clip(one.state.name, 40)} ({trouble_of(one)})" for one in named)
        text += f": {names}" if found.down <= NAMED else f", failing at {stages}" if stages else ""
        yield Problem(Grave.BAD, text, "connections")
    away = [row for row in dependencies if row.up is False]
    for grave, required in ((Grave.BAD, True), (Grave.WARNING, False)):
        yield from _of_dependencies([row for row in away if row.required is required], grave)


def _of_dependencies(down: Sequence[DependencyRow], grave: Grave) -> Iterator[Problem]:
    if len(down) == 1:
        yield Problem(grave, f"Dependency {clip(down[0].name)} is down: {down[0].trouble}", "dependencies")
    elif down:
        which = _which((f"{clip(row.name, 40)} ({row.trouble})" for row in down), len(down))
        yield Problem(grave, f"{len(down):,} dependencies are down{which}", "dependencies")


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


def of_work(numbers: Totals, lists: Lists, thresholds: Thresholds) -> Iterator[Problem]:
    """What the scheduler does, for whoever may read it."""
    if numbers.stuck:
        which = _which((f"{_job(row)} for {age(row.lasts)}" for row in lists.running if row.stuck), numbers.stuck)
        yield Problem(Grave.BAD, f"{_n(numbers.stuck, 'execution is', 'executions are')} stuck{which}", "running")
    if numbers.orphaned:
        text = f"{_n(numbers.orphaned, 'execution has lost its', 'executions have lost their')} worker"
        which = _which((_job(row) for row in lists.running if row.lost), numbers.orphaned)
        yield Problem(Grave.BAD, text + which, "running")
    if numbers.overdue:
        which = _which((f"{clip(_name(row.job), 40)} by {age(row.late)}" for row in lists.overdue), numbers.overdue)
        yield Problem(Grave.BAD, f"{_n(numbers.overdue, 'job is', 'jobs are')} overdue{which}", "overdue")
    if numbers.lost:
        which = _which((clip(row.id, 40) for row in lists.workers if row.state == "lost"), numbers.lost)
        yield Problem(Grave.WARNING, f"{_n(numbers.lost, 'worker is', 'workers are')} lost{which}", "workers")
    if lists.failing:
        worst = lists.failing[0].job
        text = f"{_n(len(lists.failing), 'job keeps', 'jobs keep')} failing"
        text += f"; {clip(_name(worst), 40)} has failed {worst.streak:,} times in a row"
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
    critical = [alert for alert in alerts.firing if alert.labels.get("severity") == "critical"]
    others = [alert for alert in alerts.firing if alert.labels.get("severity") != "critical"]
    if critical:
        text = _n(len(critical), "critical alert fires", "critical alerts fire")
        yield Problem(Grave.BAD, text + _alerts(critical, len(critical)), "alerts")
    total = alerts.total - len(critical)
    if total:
        yield Problem(Grave.WARNING, _n(total, "alert fires", "alerts fire") + _alerts(others, total), "alerts")


def _alerts(listed: Iterable[Alert], total: int) -> str:
    """The alerts that fire most often, by name."""
    kinds = Counter(alert.labels.get("alertname", "") for alert in listed).most_common(NAMED)
    names = [clip(name, 60) + (f" ({n:,})" if n > 1 else "") for name, n in kinds]
    return _which(names, total, told=sum(n for _, n in kinds))


def _which(names: Iterable[str], total: int, *, told: int | None = None) -> str:
    """The first of ``names``, and how many of ``total`` they leave out; ``told``: how many they stand for."""
    # What is stuck by now may be more than was counted by the poll.
    named = list(islice(names, min(NAMED, total)))
    rest = total - (len(named) if told is None else told)
    return "" if not named else ": " + ", ".join(named) + (f", and {rest:,} more" if rest > 0 else "")


def _job(row: RunningRow) -> str:
    return clip(row.execution.job_name or row.execution.task_type, 40)


def _name(job: FailingJob | OverdueJob) -> str:
    return job.job_name or job.job_id


def _n(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
