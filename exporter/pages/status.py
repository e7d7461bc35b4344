"""The page at ``/``: what is wrong first, then everything that is known, each with its age.

It is made of the snapshot and of what the state file tells in time: no store, no server and no Alertmanager is asked
for it, so it is there when all of them are down. It shows what the asker's role may read and no more: who may not read
JSON sees what the probes tell anyone.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from exporter import alertmanager
from exporter.alertmanager import ActiveAlerts, active_alerts
from exporter.api.known import Known
from exporter.api.masking import shown_error
from exporter.api.scheduler_health import is_own
from exporter.config.model import Alerting, Config
from exporter.httpd.context import Check, Context
from exporter.httpd.endpoint import Query
from exporter.httpd.roles import Caller, Role
from exporter.logs import masked_text
from exporter.pages import servers, work
from exporter.pages.firing import AlertRow, alert_rows
from exporter.pages.frame import Frame, frame_of
from exporter.pages.lists import Listed, Pager
from exporter.pages.remembered import Remembered, Told
from exporter.pages.responses import page_response
from exporter.pages.template import template
from exporter.pages.trend import Trend, trend
from exporter.pages.verdict import Verdict, of_alerts, of_servers, of_work, verdict
from exporter.snapshot import Snapshot

T = TypeVar("T")

#: Rows of each list on one page.
SIZES: Final = {
    "stores": 10,
    "alerts": 10,
    "running": 10,
    "overdue": 10,
    "failing": 10,
    "failures": 10,
    "workers": 10,
    "types": 10,
    "connections": 15,
    "dependencies": 10,
}
#: Seconds for which visitors without a credential are shown the same page, and how many such pages are kept.
SHARED: Final = 1.0
KEPT: Final = 16


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What anyone may know."""

    stores: Listed[servers.StoreRow]
    found: servers.Connections
    connections: list[servers.ConnectionRow]
    connections_page: Listed[servers.Sighted]
    dependencies: Listed[servers.DependencyRow]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What may be known by whoever may read."""

    totals: work.Totals
    trend: Trend | None
    figures_age: float | None
    ages: dict[str, float]
    running: Listed[work.RunningRow]
    overdue: Listed[work.OverdueRow]
    failing: Listed[work.FailingRow]
    failures: Listed[work.FailureRow]
    workers: Listed[work.WorkerRow]
    types: Listed[work.TypeRow]
    alerts: Listed[AlertRow] | None
    held_back: int
    workers_mapped: bool


class StatusPage:
    """Answers with the page."""

    def __init__(self) -> None:
        self._remembered = Remembered()
        self._checked: tuple[float, list[Check]] = (float("-inf"), [])
        #: Pages that are the same for everybody of a role, by what was asked, and when they were made (monotonic).
        self._made: OrderedDict[tuple[object, ...], tuple[float, str]] = OrderedDict()

    async def __call__(self, context: Context, call: Query[Any]) -> web.StreamResponse:
        """The page of this moment for whoever asks."""
        frame, pager = frame_of(context, call), Pager(call.request.query, SIZES)
        if call.caller.known:
            return page_response(await self.html(context, call.caller, pager, frame), frame)
        # Nobody pays for this page: a flood of visitors shares one for a second.
        key, now = (call.caller.role, frame.root, frame.here, frame.jobs, frame.sign_in), time.monotonic()
        kept = self._made.pop(key, None)
        if kept is None or now - kept[0] > SHARED:
            kept = (now, await self.html(context, call.caller, pager, frame))
        self._made[key] = kept
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return page_response(kept[1], frame)

    async def html(self, context: Context, caller: Caller, pager: Pager, frame: Frame) -> str:
        """The page as HTML."""
        config, now = context.config(), time.time()
        snapshot = context.hub.current
        stores = [(one, Known(snapshot, one.name)) for one in config.stores]
        reads = caller.role >= Role.VIEWER
        said = masked_text if caller.role >= Role.ADMIN else None
        rows = [servers.store_row(known, now, said) for _, known in stores]
        rows.sort(key=lambda row: (row.up is not False, not row.failing))
        found = servers.connections([target.name for target in config.connections.targets], snapshot)
        dependencies = servers.dependency_rows(config, snapshot, said)
        problems = list(of_servers(self._own_checks(context), rows, found, dependencies))
        shown = pager.page("connections", found.sighted, SIZES["connections"])
        health = Health(
            stores=pager.page("stores", rows, SIZES["stores"]),
            found=found,
            connections=servers.connection_rows(shown, caller, config.setting, told=reads),
            connections_page=shown,
            dependencies=pager.page("dependencies", dependencies, SIZES["dependencies"]),
        )
        done = None
        if reads:
            known = [one for _, one in stores]
            told = await self._remembered.of(context, known)
            lists = work.Lists(
                running=work.running_rows(stores, now),
                overdue=work.overdue_rows(known, now),
                failing=work.failing_rows(known, config.alerting.thresholds.consecutive_failures),
                workers=work.worker_rows((one, told[one.store].workers) for one in known),
            )
            alerts = active_alerts(snapshot)
            gathered = _Gathered(stores=known, told=told, lists=lists, alerts=alerts, alerting=config.alerting, now=now)
            done = gathered.work(pager, lambda text: shown_error(text, caller, config.setting))
            problems += of_work(done.totals, lists, config.alerting.thresholds)
            problems += of_alerts(alerts, asked=context.alerts.configured)
        anything = any(row.up is not None for row in rows) or found.unknown < len(found.sighted)
        return template("status.html.j2").render(
            frame=frame,
            now=now,
            verdict=_verdict(problems, config, anything=anything),
            health=health,
            work=done,
            silences=config.alerting.alertmanager is not None,
            alerts_asked=context.alerts.configured,
            alerts_age=_alerts_age(snapshot, now),
            least=config.alerting.thresholds.success_ratio_24h,
            several=len(config.stores) > 1,
            telemetry_path=config.web.telemetry_path,
        )

    def _own_checks(self, context: Context) -> list[Check]:
        """What the probes say of the sidecar itself; asked once a second, for they go through every target."""
        now = time.monotonic()
        if now - self._checked[0] > SHARED:
            checks = [check for check in (*context.liveness(), *context.readiness()) if is_own(check)]
            self._checked = (now, checks)
        return self._checked[1]


class _Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What lists of work are made of."""

    stores: list[Known]
    told: dict[str, Told]
    lists: work.Lists
    alerts: ActiveAlerts | None
    alerting: Alerting
    now: float

    def work(self, pager: Pager, said: Callable[[str | None], str | None]) -> Work:
        """The lists as they are asked for; ``said`` writes errors."""
        figures = {name: one.executions for name, one in self.told.items() if one.executions is not None}
        failed = [(name, one) for name, each in self.told.items() for one in each.failures]
        failed.sort(key=lambda pair: -(pair[1].completed_at or 0.0))
        alerts = self.alerts

        def page(name: str, rows: Sequence[T]) -> Listed[T]:
            return pager.page(name, rows, SIZES[name])

        return Work(
            totals=work.totals(self.stores, figures.values()),
            trend=trend(figures.values(), self.now),
            figures_age=max((max(0.0, self.now - one.end) for one in figures.values()), default=None),
            ages=work.ages(self.stores, self.now),
            running=page("running", self.lists.running),
            overdue=page("overdue", self.lists.overdue),
            failing=page("failing", self.lists.failing),
            failures=page("failures", failed).each(
                lambda pair: work.FailureRow(pair[0], pair[1], said(pair[1].error_message))
            ),
            workers=page("workers", self.lists.workers),
            types=page("types", work.type_rows(figures)),
            alerts=page("alerts", alert_rows(alerts.firing, self.alerting)) if alerts is not None else None,
            held_back=alerts.held_back if alerts is not None else 0,
            workers_mapped=any(one.maps("workers") is not False for one in self.stores),
        )


def _alerts_age(snapshot: Snapshot, now: float) -> float | None:
    """Seconds since Alertmanager told of the alerts that are shown."""
    part = snapshot.part(alertmanager.COLLECTOR, alertmanager.SOURCE)
    if part is None or part.collected_at is None or active_alerts(snapshot) is None:
        return None
    return now - part.collected_at


def _verdict(problems: list[Any], config: Config, *, anything: bool) -> Verdict:
    nothing_to_ask = not (config.stores or config.connections.targets)
    return verdict(problems, known=anything or nothing_to_ask)
