"""Plans as EXPLAIN (FORMAT JSON, VERBOSE) gives them: walking them, reading their conditions, summing them up. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

Node = Mapping[str, Any]

_IDENTIFIER: Final = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_BARE: Final = re.compile(rf"(?:({_IDENTIFIER})\.)?({_IDENTIFIER})")
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
#: With its type, which may be one of a schema: 'active'::pgboss.job_state.
_CONSTANT: Final = re.compile(rf"'(?:[^']|'')*'(?:::(?:{_IDENTIFIER}\.)?(?:{_IDENTIFIER}|[\w\[\]])+(?: [a-z]+)*)?")
#: What must not stand inside the predicate of a partial index: subqueries, parameters, functions (now() and the like).
_UNSTABLE: Final = re.compile(r"SubPlan|InitPlan|\$\d|[A-Za-z_]\w*\(|CURRENT_|LOCALTIME|\bEXTRACT\b")
_SCANS: Final = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan")
#: Nodes that give the rows of those below them, and how these are related to them; subqueries in a list are not.
_PASSING: Final = (
    "Append", "Merge Append", "Subquery Scan", "Result", "ProjectSet", "Gather", "Gather Merge", "Sort",
    "Incremental Sort", "Unique", "Aggregate", "WindowAgg", "LockRows",
)  # fmt: skip
_WHOLE: Final = ("Outer", "Member", "Subquery")
_CUT: Final = 90


class Scan(msgspec.Struct, frozen=True):
    """A node that reads a relation. ``above`` are the nodes it feeds, the nearest last."""

    node: Node
    above: tuple[Node, ...]

    @property
    def relation(self) -> tuple[str, str]:
        """Schema and name."""
        return self.node["Schema"], self.node["Relation Name"]

    @property
    def alias(self) -> str:
        """What the plan's conditions call the relation."""
        return str(self.node["Alias"])

    @property
    def place(self) -> tuple[str, str, str]:
        """The relation and its alias: the same in another plan of the same statement."""
        return (*self.relation, self.alias)

    @property
    def conditions(self) -> str:
        """The Index Cond, also of a bitmap's indexes; "" where there is none."""
        if self.node["Node Type"] != "Bitmap Heap Scan":
            return str(self.node.get("Index Cond", ""))
        leaves = [node for node, _ in walk(self.node) if node["Node Type"] == "Bitmap Index Scan"]
        found = [str(leaf.get("Index Cond", "")) for leaf in leaves]
        # One branch of an OR that reads its whole index makes the scan as good as unconditional.
        return " AND ".join(found) if all(found) else ""

    @property
    def filters(self) -> str:
        """The conditions that are tried on each row."""
        return str(self.node.get("Filter", ""))

    @property
    def whole(self) -> tuple[str, str] | None:
        """What is read from one end to the other, the table or an index (schema, name); None: a part of it."""
        if self.node["Node Type"] == "Seq Scan":
            return self.relation
        if self.conditions:
            return None
        if self.node["Node Type"] == "Bitmap Heap Scan":
            leaves = [n for n, _ in walk(self.node) if n["Node Type"] == "Bitmap Index Scan" and "Index Cond" not in n]
            return self.relation[0], leaves[0]["Index Name"]
        return self.relation[0], self.node["Index Name"]

    @property
    def cut_short(self) -> bool:
        """Whether a LIMIT just above ends it early: nothing between them needs every row, no row is dropped."""
        return bool(self.above) and self.above[-1]["Node Type"] == "Limit" and not self.filters


def walk(node: Node, above: tuple[Node, ...] = ()) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """Every node with those that it feeds, in the order in which EXPLAIN prints them."""
    yield node, above
    for child in node.get("Plans", ()):
        yield from walk(child, (*above, node))


def scans(plan: Node) -> list[Scan]:
    """The nodes that read a table or an index of one."""
    return [Scan(node, above) for node, above in walk(plan) if node["Node Type"] in _SCANS]


def limited(plan: Node) -> bool:
    """Whether a LIMIT, OFFSET or FETCH ends what the plan as a whole gives: none that stands inside a join."""
    if plan["Node Type"] == "Limit":
        return True
    if plan["Node Type"] not in _PASSING:
        return False
    return any(limited(child) for child in plan.get("Plans", ()) if child["Parent Relationship"] in _WHOLE)


def conjuncts(condition: str) -> list[str]:
    """The parts of ``(a) AND (b)``, without the outermost parentheses of each."""
    text = _stripped(condition)
    parts, depth, start, masked = [], 0, 0, _masked(text)
    for i, char in enumerate(masked):
        depth += (char == "(") - (char == ")")
        if depth == 0 and masked.startswith(" AND ", i):
            parts.append(_stripped(text[start:i]))
            start = i + len(" AND ")
    return [part for part in [*parts, _stripped(text[start:])] if part]


def _masked(text: str) -> str:
    """The text with what is quoted made unlike anything: no parenthesis, operator or word inside counts."""
    return _QUOTED.sub(lambda match: "\0" * len(match[0]), text)


def _stripped(text: str) -> str:
    """Without the pairs of parentheses that enclose all of it."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")"):
        depth = 0
        for i, char in enumerate(_masked(text)):
            depth += (char == "(") - (char == ")")
            if depth == 0 and i < len(text) - 1:
                return text
        text = text[1:-1].strip()
    return text


def bounded(condition: str) -> str | None:
    """What a condition holds between two bounds, ``x`` of ``(x > 1) AND (x <= 2)``; None where there is no such."""
    parts = conjuncts(condition)
    highs = [part.rpartition(" <= ")[0] for part in parts if " <= " in part]
    return next((x for x in highs if any(part.startswith(f"{x} > ") for part in parts)), None)


def floored(condition: str) -> str | None:
    """The column of ``x > '...'::timestamp``, a moment with no upper bound beside it, if it is a bare one."""
    held = bounded(condition)
    for part in conjuncts(condition):
        side, operator, moment = part.partition(" > ")
        if operator and side != held and "::timestamp" in moment and (column := bare_column(side)) is not None:
            return column
    return None


def bare_column(expression: str) -> str | None:
    """The column's name, unquoted, if the expression is nothing but a column."""
    found = column(expression)
    return None if found is None else found[1]


def column(expression: str) -> tuple[str | None, str] | None:
    """The relation's alias and the column's name, unquoted, if the expression is nothing but a column."""
    match = _BARE.fullmatch(_stripped(expression))
    if match is None:
        return None
    alias = match[1]
    return None if alias is None else unquoted(alias), unquoted(match[2])


def unquoted(name: str) -> str:
    """An identifier's name."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def joined_column(scan: Scan) -> str | None:
    """The column by which rows of the scanned relation are looked up for those of another, if it is a bare one."""
    joins = [str(node[key]) for node in scan.above for key in ("Hash Cond", "Merge Cond", "Join Filter") if key in node]
    own = (f"{scan.alias}.", f'"{scan.alias}".')
    for condition in (scan.filters, *reversed(joins)):
        for part in conjuncts(condition):
            # varchar is compared as text, by the same index.
            sides = [_stripped(side.strip().removesuffix("::text")) for side in part.split(" = ")]
            columns = [bare_column(side) for side in sides]
            if len(sides) != 2 or None in columns:
                continue
            mine = [column for side, column in zip(sides, columns, strict=True) if side.startswith(own)]
            if len(mine) == 1:
                return mine[0]
    return None


def fixed_predicate(scan: Scan, not_immutable: frozenset[str]) -> tuple[str, str] | None:
    """The part of the scan's Filter that a partial index may have, and the first column in it.

    ``not_immutable`` are columns whose cast to text no index may have (enums).
    """
    alias = re.escape(scan.alias)
    prefix = re.compile(rf'(?<![\w."])(?:"{alias}"|{alias})\.')
    kept, first = [], None
    for part in conjuncts(scan.filters):
        own = prefix.sub("", part)
        rest = _CONSTANT.sub("", own)
        cast = re.search(rf"\(({_IDENTIFIER})\)::text", own)
        columns = [unquoted(name) for name in re.findall(_IDENTIFIER, rest)]
        if _UNSTABLE.search(rest) or "." in rest or not columns:
            continue
        if cast is not None and unquoted(cast[1]) in not_immutable:
            continue
        kept.append(f"({own})")
        first = first or columns[0]
    return (" AND ".join(kept), first) if first is not None else None


def summary(plan: Node) -> list[str]:
    """The plan, one line a node, children indented."""
    lines = []
    for node, above in walk(plan):
        text = str(node["Node Type"])
        if "Index Name" in node:
            text += f" using {node['Index Name']}"
        if "Relation Name" in node:
            text += f" on {node['Schema']}.{node['Relation Name']}"
        if "Subplan Name" in node:
            text = f"{node['Subplan Name']}: {text}"
        condition = next((f" {key} {node[key]}" for key in ("Index Cond", "Filter") if key in node), "")
        cut = condition if len(condition) <= _CUT else condition[: _CUT - 3] + "..."
        rows = node.get("Actual Rows")
        count = f"~{node['Plan Rows']:,} rows" if rows is None else f"{rows:,.0f} rows x {node['Actual Loops']:,.0f}"
        lines.append("  " * len(above) + f"{text} ({count}){cut}")
    return lines
