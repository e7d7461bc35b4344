"""``pack check``: every query of every pack run once on its store, as it will be asked; nothing is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from exporter.config.model import Config, PostgresStore
from exporter.config.problems import nearest
from exporter.errors import ConfigError, PackError, StoreError
from exporter.instruments import QueryInstruments
from exporter.packs.asking import explained
from exporter.packs.chosen import Packs
from exporter.packs.model import Query
from exporter.packs.snapshots import Snapshot
from exporter.packs.statement import prepare
from exporter.packs.telling import Complaints
from exporter.stores import catalog
from exporter.stores.checking.explain import Explainer
from exporter.stores.checking.statements import STEADY_IDS, STEADY_SECONDS, Asked
from exporter.stores.credentials import StoreCredentials
from exporter.stores.queries import bounds
from exporter.stores.reader import CLOCK
from exporter.stores.session import Session, Transaction
from exporter.vault.references import Secrets

#: Milliseconds of a second.
_MS: Final = 1000.0


class MetricReport(msgspec.Struct, kw_only=True):
    """A metric: its labels, its series now (of one that is counted: None)."""

    name: str
    type: str
    labels: list[str]
    series: int | None = None
    dropped: int = 0


class QueryReport(msgspec.Struct, kw_only=True):
    """A query: what it gave, how long it took (ms), its plan, what is wrong with it."""

    pack: str
    query: str
    place: str
    counts: bool
    metrics: list[MetricReport] = []
    asked: bool = True
    milliseconds: float | None = None
    plan: list[str] = []
    faults: list[str] = []
    warnings: list[str] = []


class StoreReport(msgspec.Struct, kw_only=True):
    """The packs of one store."""

    store: str
    queries: list[QueryReport] = []
    fault: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the store was reached and no query is wrong; warnings are no fault."""
        return self.fault is None and not any(query.faults for query in self.queries)


async def check_packs(
    config: Config,
    packs: Packs,
    names: Sequence[str],
    say: Callable[[str], None],
    *,
    as_json: bool = False,
    secrets: Secrets | None = None,
) -> int:
    """Try the packs of the stores of these names, all when there are none; 0 when every query works, else 1.

    JSON: ``{"ok": ..., "stores": [...]}``. Raises ConfigError for a name that no store has.
    """
    stores = [store for store in config.stores if isinstance(store, PostgresStore)]
    known = [store.name for store in stores]
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(known) or "none"
        raise ConfigError([f"no store is named {name!r}{nearest(name, known)} (stores: {listed})" for name in unknown])
    reports = []
    for store in stores:
        if not names or store.name in names:
            report = await _store(store, packs, secrets or Secrets(), config.limits.series_per_metric)
            reports.append(report)
            if not as_json:
                say("\n".join(_text(report)))
    ok = all(report.ok for report in reports)
    if as_json:
        shown = [{"ok": report.ok, **msgspec.to_builtins(report)} for report in reports]
        say(msgspec.json.format(msgspec.json.encode({"ok": ok, "stores": shown}), indent=2).decode())
    elif not len(packs):
        say("no packs are configured: nothing to check")
    return 0 if ok else 1


async def _store(store: PostgresStore, packs: Packs, secrets: Secrets, budget: int) -> StoreReport:
    report = StoreReport(store=store.name)
    credentials = StoreCredentials(store, secrets, "scheduler-exporter pack check")
    session = Session(store.name, credentials, store.timeout, QueryInstruments())
    try:
        for pack, query in packs.queries(store.name):
            one = QueryReport(pack=pack, query=query.name, place=query.place, counts=query.cursor is not None)
            report.queries.append(one)
            try:
                await _try(store, session, query, one, budget)
            except PackError as e:
                one.faults.append(str(e))
            except StoreError as e:
                if session.backend_pid is None:
                    raise
                one.faults.append(str(explained(query, e)))
    except StoreError as e:
        report.fault = " ".join(str(e).split())
    finally:
        await session.close()
        await credentials.close()
    return report


async def _try(store: PostgresStore, session: Session, query: Query, report: QueryReport, budget: int) -> None:
    if query.cursor is not None:
        await _count(store, session, query, report)
        return
    complaints = Complaints(store.name, query.place, query.name, said=report.warnings.append)
    snapshot = Snapshot(report.pack, query, complaints, budget, lambda *_: None)
    began = time.perf_counter()
    async with session.transaction(query.timeout or store.timeout) as transaction:
        answer = await snapshot.ask(transaction)
    report.milliseconds = (time.perf_counter() - began) * _MS
    report.asked = answer is not None
    for shown in answer.shown if answer is not None else ():
        report.metrics.append(
            MetricReport(
                name=shown.name,
                type=shown.kind,
                labels=list(shown.labels),
                series=len(shown.samples),
                dropped=shown.dropped,
            )
        )


async def _count(store: PostgresStore, session: Session, query: Query, report: QueryReport) -> None:
    async with session.transaction(query.timeout or store.timeout) as transaction:
        statement = await prepare(transaction, query)
        server = await catalog.server(transaction)
        exactness = await catalog.exactness(transaction, statement.wrapped, server, store)
        high = await _high(transaction, statement.wrapped.cursor.position)
    report.warnings += [f"counting is not provably exact: {reason}" for reason in exactness.reasons]
    report.metrics = [MetricReport(name=m.name, type=m.kind, labels=list(m.labels)) for m in query.metrics]
    steady = STEADY_IDS if statement.wrapped.cursor.kind == "id" else STEADY_SECONDS
    asked = Asked(
        name=query.name,
        what="rows of the last minute",
        sql=statement.rows,
        parameters=bounds(statement.wrapped.cursor, high - steady, high),
        every="",
        seconds=query.timeout or store.timeout,
        reads_finished=True,
    )
    found = await Explainer(session, store, analyze=True).explain(asked)
    report.milliseconds, report.plan = found.milliseconds, found.plan
    for finding in found.findings:
        told = report.faults if finding.level == "fault" else report.warnings
        told.append(": ".join((finding.text, *finding.remedy)))


async def _high(transaction: Transaction, position: str | None) -> float:
    """Up to where a poll would read now."""
    if position is None:
        return float((await transaction.fetch("check", CLOCK))[0][0])
    return int((await transaction.fetch("position", position))[0][0] or 0)


def _text(report: StoreReport) -> Iterator[str]:
    yield f"store {report.store}"
    if report.fault is not None:
        yield f"  FAULT     {report.fault}"
    for query in report.queries:
        wrong = "FAULT" if query.faults else "ok"
        took = "" if query.milliseconds is None else f", {query.milliseconds:.1f} ms"
        asked = "" if query.asked else ", not for this server"
        yield f"  {query.pack}: {query.query}: {wrong}{took}{asked}"
        for metric in query.metrics:
            labels = f"{{{', '.join(metric.labels)}}}" if metric.labels else ""
            series = "counted" if metric.series is None else f"{metric.series} series"
            left = f", {metric.dropped} left out" if metric.dropped else ""
            yield f"    {metric.type:<9} {metric.name}{labels}: {series}{left}"
        yield from (f"    plan      {line}" for line in query.plan)
        yield from (f"    warning   {text}" for text in query.warnings)
        yield from (f"    fault     {text}" for text in query.faults)
