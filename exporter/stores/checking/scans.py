"""Which scans of a poll's plan cost more with every row of history, and the index that would end each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from exporter.stores.checking import plans
from exporter.stores.checking.plans import Node, Scan
from exporter.stores.checking.report import Finding, note, warning
from exporter.stores.checking.statements import Asked
from exporter.stores.queries import quoted

#: A table or index of up to so many rows may be read whole at every poll.
SMALL: Final = 10_000


class Relation(msgspec.Struct, frozen=True):
    """A row of plan_relations.sql: a table or index of a plan.

    ``root`` is the quoted name that an index is to be made on, ``leading`` the first columns of its whole indexes,
    ``indexed`` the first two of any index, also of a partial one.
    """

    rows: int
    root: str
    root_kind: str
    not_null: frozenset[str]
    enums: frozenset[str]
    leading: frozenset[str]
    indexed: frozenset[str] = frozenset()


Relations = Mapping[tuple[str, str], Relation]


def suspects(asked: Asked, plan: Node) -> list[Scan]:
    """The scans of a plan that read all of something, or (of finished executions) all but the cursor's stretch."""
    found = []
    for scan in plans.scans(plan):
        late_bound = asked.reads_finished and plans.bounded(scan.filters) is not None
        if (scan.whole is not None and not scan.cut_short) or late_bound:
            found.append(scan)
    return found


def judge(asked: Asked, plan: Node, without_scans: Node, relations: Relations) -> list[Finding]:
    """What to say of a statement that every poll runs.

    A small table is scanned even where an index would serve. So the plan that PostgreSQL makes with enable_seqscan off
    tells whether there is such an index; only where there is none does the size decide how loud to be.
    """
    stuck = {scan.place for scan in suspects(asked, without_scans)}
    found: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for scan in suspects(asked, plan):
        relation = relations.get(scan.relation)
        if relation is None or relation.root_kind == "f":
            continue  # a foreign table's plan is its own server's affair
        if scan.whole is None and _narrowed(asked, scan, relation):
            continue
        read = relations.get(scan.whole or scan.relation, relation).rows
        # Where most rows of a small table are wanted, its index is there and not taken with either plan.
        has_index = not scan.filters and plans.joined_column(scan) in relation.leading
        finding = _judged(asked, scan, relation, read, served=scan.place not in stuck or has_index)
        # The partitions of a table, and the places where a statement reads it, are told once: for each remedy.
        if finding is not None:
            found[finding.text, finding.remedy] = finding
    return list(found.values())


def _narrowed(asked: Asked, scan: Scan, relation: Relation) -> bool:
    """Whether a scan that tries the cursor's bounds row by row is led by an index that leaves the history out.

    By that of ``seek``; or the planner takes another than the cursor's, which is there, because it expects few rows.
    """
    column = plans.bare_column(plans.bounded(scan.filters) or "")
    return asked.seeks if column is None else column in relation.indexed


def _judged(asked: Asked, scan: Scan, relation: Relation, read: int, *, served: bool) -> Finding | None:
    large = read > SMALL
    if served:
        if not large:
            return None
        return note(
            f"the planner now reads {relation.root} whole ({_size(read)}), though an index could serve: cheaper, it"
            " thinks, and it turns to the index as the table grows. If the poll is slow, refresh its statistics:",
            f"ANALYZE {relation.root};",
        )
    text, remedy = _remedy(asked, scan, relation)
    if large:
        return warning(f"every poll reads {relation.root} whole ({_size(read)}): {text}", *remedy)
    has_own = bool(scan.filters) and asked.reads_finished
    if not has_own or plans.bare_column(plans.bounded(scan.filters) or "") in relation.leading:
        return None
    return note(f"{relation.root} is small now ({_size(read)}), but will be read whole when it grows: {text}", *remedy)


def _size(rows: int) -> str:
    return f"about {rows:,} rows"


def _remedy(asked: Asked, scan: Scan, relation: Relation) -> tuple[str, tuple[str, ...]]:
    """Why there is a scan, and what to run or to change."""
    if asked.reads_finished and (found := _finished_remedy(scan, relation)) is not None:
        return found
    fixed = plans.fixed_predicate(scan, relation.enums)
    looked_up = plans.joined_column(scan)
    if looked_up is not None and (fixed is None or asked.reads_finished):
        return f"no index serves the look-up by {looked_up}", _create(relation, looked_up, "")
    if not scan.filters:
        return _unconditional(asked)
    if fixed is not None:
        predicate, column = fixed
        return "no index leaves finished rows out", _create(relation, column, f" WHERE {predicate}")
    entity = {"queues": "live_jobs", "overdue": "live_jobs", "schedules": "jobs"}.get(asked.name, asked.name)
    return "its condition is on no bare column, so no index can serve it", (
        f"Write the condition on the column itself in `{entity}`, such as WHERE status IN (...), and index that.",
    )


def _unconditional(asked: Asked) -> tuple[str, tuple[str, ...]]:
    if asked.name == "position":
        return "no index gives the greatest id", ("Index the column that cursor.position takes the greatest of.",)
    return "it has no condition", ("Leave out what is over in the profile's SELECT, or delete it from the table.",)


def _finished_remedy(scan: Scan, relation: Relation) -> tuple[str, tuple[str, ...]] | None:
    """For a scan in the reading of finished executions, where the cursor is the reason."""
    held = plans.bounded(scan.filters)
    sought = plans.floored(scan.filters)
    if sought is not None and plans.bare_column(held or "") is None:
        return f"no index serves cursor.seek, column {sought}", _create(relation, sought, "")
    if held is not None:
        return _cursor_remedy(held, relation)
    if any(plans.bounded(str(node.get("Filter", ""))) for node in scan.above):
        return "the cursor's bounds do not reach the table", (
            "In `executions`: no GROUP BY, DISTINCT, window, OFFSET, LIMIT or MATERIALIZED at the top, UNION ALL"
            " not UNION, the same types in each of its branches.",
        )
    return None


def _cursor_remedy(held: str, relation: Relation) -> tuple[str, tuple[str, ...]]:
    """For a scan on which the cursor's bounds are tried row by row."""
    column = plans.bare_column(held)
    if column is None:
        return f"the cursor is computed, {held}, so no index can serve it", (
            "Give the bare column as the cursor, in its own type; `kind` says how to read it.",
        )
    # Nothing that has not ended is ever looked for, and most stores have little else that is NULL.
    where = "" if column in relation.not_null else f" WHERE {quoted(column)} IS NOT NULL"
    return f"no index serves the cursor, column {column}", _create(relation, column, where)


def _create(relation: Relation, column: str, where: str) -> tuple[str, ...]:
    """CREATE INDEX; a partitioned table's cannot be made concurrently."""
    if relation.root_kind == "p":
        return (
            f"CREATE INDEX ON {relation.root} ({quoted(column)}){where};",
            "On a partitioned table this locks out writes; to avoid it, make it ON ONLY the table, CONCURRENTLY on"
            " each partition, and attach those (ALTER INDEX ... ATTACH PARTITION).",
        )
    return (f"CREATE INDEX CONCURRENTLY ON {relation.root} ({quoted(column)}){where};",)
