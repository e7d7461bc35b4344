"""Where executions come from, and what of that stands against counting each of them: in words, for the proof.

An id cursor is exact only where PostgreSQL itself numbers the rows as they are inserted. Whoever takes numbers ahead
(Hibernate's pooled optimizer, a HiLo generator, a sequence's cache) commits low ones long after higher ones were read,
and no transaction shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from exporter.stores.checking import plans
from exporter.stores.checking.hidden import Read
from exporter.stores.checking.plans import Node
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import Wrapped, quoted
from exporter.stores.session import Transaction
from exporter.stores.sql import statement

Column = tuple[str, str, str]

_CAST: Final = re.compile(r"\((?P<inner>.*)\)::[\w ]+")
_APPENDS: Final = ("Append", "Merge Append")
_BY_TIME: Final = "Take a cursor by the end's time"


def relation_doubts(read: list[Read]) -> list[str]:
    """What the relations that executions are read from tell: rows that come from elsewhere come late, and unseen."""
    doubts = []
    for one in read:
        if one.hides:
            doubts.append(
                f"row-level security may hide rows of {one.relation} from the role, in silence: they would not be"
                " counted. `scheduler-exporter profile check` prints the policy that shows them"
            )
        if one.kind == "f":
            doubts.append(
                f"{one.relation} is a foreign table: transactions that are open on its server cannot be seen. Point the"
                " dsn at that server"
            )
        if one.kind == "m":
            doubts.append(
                f"{one.relation} is a materialized view: what ended more than late_window before a REFRESH began is"
                " not counted. Read the tables below it"
            )
        if one.replicated:
            doubts.append(
                f"{one.relation} is filled by logical replication: what arrives more than late_window after its end is"
                " not counted. Point the dsn at the server that publishes it"
            )
    return doubts


async def plan_doubts(transaction: Transaction, wrapped: Wrapped) -> list[str]:
    """What the SELECT's plan tells: a LIMIT; of an id cursor, ids that are not given as rows are inserted."""
    sql = f"SELECT q.{quoted(wrapped.cursor.column)} FROM ({wrapped.source('executions')}) q"
    async with savepoint(transaction):
        rows = await transaction.fetch("explain", f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}")
    plan: Node = rows[0][0][0]["Plan"]
    doubts = []
    if plans.limited(plan):
        doubts.append("`executions` ends with LIMIT: what that leaves out is not counted. Leave it out")
    return [*doubts, *await _id_doubts(transaction, plan)] if wrapped.cursor.kind == "id" else doubts


async def _id_doubts(transaction: Transaction, plan: Node) -> list[str]:
    if not plans.scans(plan):  # a partitioned table that has no partition yet
        return []
    sources = list(_sources(plan))
    columns = sorted({column for column in sources if column is not None})
    rows = await transaction.fetch(
        "server", statement("numbered"), *(list(c) for c in zip(*(columns or [("", "", "")]), strict=True))
    )
    doubts = list(dict.fromkeys(doubt for row in rows for doubt in _numbered(*row)))
    if None in sources or len(rows) < len(columns):
        doubts.append(f"the cursor's ids are not those of a table alone: a low one may come late. {_BY_TIME}")
    if len(sequences := {row[2] for row in rows if row[2] is not None}) > 1:
        doubts.append(
            f"the cursor's ids come from several sequences ({', '.join(sorted(sequences))}): those of one that is"
            f" behind are not counted. {_BY_TIME}"
        )
    return doubts


def _numbered(relation: str, column: str, sequence: str | None, cache: int | None, step: int | None) -> Iterator[str]:
    if sequence is None or cache is None or step is None:
        yield (
            f"{relation}.{column} has no identity and no default from a sequence: whoever inserts a row brings its id,"
            f" and one that is used late is not counted. {_BY_TIME}"
        )
        return
    if cache > 1:
        yield (
            f"the cursor's sequence {sequence} has CACHE {cache}: ids are drawn long before they are used. ALTER"
            f" SEQUENCE {sequence} CACHE 1, or take a cursor by the end's time"
        )
    if step > 1:
        yield (
            f"the cursor's sequence {sequence} has INCREMENT {step}: where programs take ids in blocks of so many,"
            f" those used late are not counted. {_BY_TIME}"
        )
    if step < 0:
        yield f"the cursor's sequence {sequence} counts down: new rows lie below those that were read. {_BY_TIME}"


def _sources(plan: Node) -> Iterator[Column | None]:
    """The columns of tables (schema, table, column) that a plan's one output comes from; None for what is computed."""
    while plan["Node Type"] in ("Gather", "Gather Merge"):
        plan = plan["Plans"][0]
    if plan["Node Type"] in _APPENDS:
        for child in plan.get("Plans", ()):
            yield from _sources(child)
        return
    output = plan.get("Output", ())
    yield _followed(plan, output[0]) if output else None


def _followed(plan: Node, expression: str) -> Column | None:
    cast = _CAST.fullmatch(expression)
    found = plans.column(cast["inner"] if cast else expression)
    if found is None:
        return None
    alias, name = found
    nodes: list[dict[str, Any]] = [dict(node) for node, _ in plans.walk(plan) if node.get("Alias") == alias]
    for node in nodes:
        if "Relation Name" in node and "Schema" in node:
            return node["Schema"], node["Relation Name"], name
        if node["Node Type"] == "Subquery Scan":
            (child,) = node["Plans"]
            same = [e for e in child.get("Output", ()) if (c := plans.column(e)) is not None and c[1] == name]
            return _followed(child, same[0]) if len(same) == 1 else None
    return None
