"""EXPLAIN for the statements of a poll, under the timeouts of a poll."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from exporter.config.durations import format_duration
from exporter.config.model import PostgresStore
from exporter.errors import StoreError, StoreTooSlow, StoreUnavailable
from exporter.stores.checking import plans
from exporter.stores.checking.plans import Node
from exporter.stores.checking.report import Finding, StatementReport, fault, warning
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.checking.scans import Relation, Relations, judge, suspects
from exporter.stores.checking.statements import Asked
from exporter.stores.session import Session, Transaction
from exporter.stores.sql import statement


class Explainer:
    """Explains statements one by one, each in a transaction of its own. ``scanned`` names those with a warning,
    ``read`` has the tables of all (schema, name).

    The plans are custom ones, made for the parameters' values. Generic ones are no worse: the reading is bounded on
    both sides, and so PostgreSQL expects it to be narrow whatever the values.
    """

    def __init__(self, session: Session, store: PostgresStore, *, analyze: bool) -> None:
        self._session = session
        self._store = store
        self._analyze = analyze
        self.scanned: set[str] = set()
        self.read: set[tuple[str, str]] = set()

    async def explain(self, asked: Asked) -> StatementReport:
        """The plan, what to say of it and, with ``analyze``, what running it took."""
        report = StatementReport(name=asked.name, what=asked.what, every=asked.every)
        try:
            async with self._session.transaction(asked.seconds) as transaction:
                plan = (await _explain(transaction, asked))["Plan"]
                report.plan = plans.summary(plan)
                self.read |= {scan.relation for scan in plans.scans(plan)}
                if asked.every_poll:
                    report.findings = await self._judge(transaction, asked, plan)
                if self._analyze:
                    report.findings += await self._run(transaction, asked, report)
        except StoreUnavailable:
            raise
        except StoreError as e:
            cause = e.__cause__
            text = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
            report.findings.append(fault(f"cannot be planned: {text or e}"))
        if asked.name == "jobs":
            report.every = self._seldom(report.milliseconds)
        return report

    async def _judge(self, transaction: Transaction, asked: Asked, plan: Node) -> list[Finding]:
        if not suspects(asked, plan):
            return []
        without = (await _explain(transaction, asked, scans=False))["Plan"]
        found = judge(asked, plan, without, await _relations(transaction, (plan, without)))
        if any(finding.level == "warning" for finding in found):
            self.scanned.add(asked.name)
        return found

    async def _run(self, transaction: Transaction, asked: Asked, report: StatementReport) -> list[Finding]:
        try:
            explained = await _explain(transaction, asked, analyze=True)
        except StoreTooSlow:
            limit = format_duration(asked.seconds)
            return [warning(f"did not end within its timeout of {limit}; a poll would give it up likewise")]
        plan = explained["Plan"]
        report.plan = plans.summary(plan)
        report.milliseconds = explained["Execution Time"]
        report.buffers = plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
        report.returned = int(plan["Actual Rows"] * plan["Actual Loops"])
        return []

    def _seldom(self, milliseconds: float | None) -> str:
        """How often the load budget lets the full count run: it reads the whole table, whatever its indexes."""
        store = self._store
        seconds = 1.0 if milliseconds is None else milliseconds / 1000
        told = "a count of 1 s" if milliseconds is None else "at this cost"
        interval = format_duration(max(store.interval, round(seconds / store.max_db_load)))
        return f"reads the whole table; under max_db_load {store.max_db_load:g} {told} runs every {interval}"


async def _explain(
    transaction: Transaction, asked: Asked, *, analyze: bool = False, scans: bool = True
) -> dict[str, Any]:
    options = "ANALYZE, BUFFERS, VERBOSE, FORMAT JSON" if analyze else "VERBOSE, FORMAT JSON"
    async with savepoint(transaction):
        if not scans:
            await transaction.fetch("explain", "SELECT set_config('enable_seqscan', 'off', true)")
        # The line's end: the statement may end with a comment.
        rows = await transaction.fetch("explain", f"EXPLAIN ({options}) {asked.sql}\n", *asked.parameters)
    explained: dict[str, Any] = rows[0][0][0]
    return explained


async def _relations(transaction: Transaction, found: Iterable[Node]) -> Relations:
    """The tables and indexes that the plans read."""
    wanted: set[tuple[str, str]] = set()
    for plan in found:
        for scan in plans.scans(plan):
            wanted |= {scan.relation, scan.whole or scan.relation}
    schemas, names = [schema for schema, _ in wanted], [name for _, name in wanted]
    rows = await transaction.fetch("explain", statement("plan_relations"), schemas, names)
    return {
        (schema, name): Relation(
            rows=estimate,
            root=root,
            root_kind=kind,
            not_null=frozenset(not_null),
            enums=frozenset(enums),
            leading=frozenset(leading),
            indexed=frozenset(indexed),
        )
        for schema, name, estimate, root, kind, not_null, enums, leading, indexed in rows
    }
