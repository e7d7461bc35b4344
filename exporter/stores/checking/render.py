"""A report as text for a terminal. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Final

from exporter.config.durations import format_duration
from exporter.stores.checking.report import EntityReport, Finding, StatementReport, StoreReport

_WIDTH = 118
_LABEL = 14
#: A profile's history in words.
KEPT: Final = {
    "none": "none: the scheduler keeps nothing of what finished; counts and durations are absent",
    "final": "a job's last attempt: attempts before it are not counted one by one",
    "per_attempt": "every attempt",
}


def text(report: StoreReport) -> str:
    """One section for the store, what is wrong at its end."""
    lines = [f"store {report.store}"]
    if report.server:
        lines += field("server", f"{report.server}, PostgreSQL {report.version}".removesuffix(", PostgreSQL "))
    if report.database:
        lines += field("database", f"{report.database}, as role {report.role}")
    if report.profile:
        lines += _profile(report)
    if any(entity.name == "executions" for entity in report.entities):
        lines += field("counting", "not provably exact, see below" if report.not_exact else "provably exact")
    for entity in report.entities:
        lines += _entity(entity)
    for name, cost in report.not_mapped.items():
        lines += ["", *field(name, f"not mapped; absent: {cost}")]
    if report.statements:
        lines += ["", "  What the polls run, and the plan of each:"]
    for statement in report.statements:
        lines += _statement(statement)
    lines += _findings(report)
    return "\n".join(lines)


def field(label: str, value: str) -> list[str]:
    """A label and its text, wrapped and aligned."""
    first, *rest = wrap(value, _WIDTH - _LABEL - 2, break_on_hyphens=False) or [""]
    return [f"  {label:<{_LABEL - 1}} {first}", *(" " * (_LABEL + 2) + line for line in rest)]


def _profile(report: StoreReport) -> Iterator[str]:
    by = f", recognised by its tables {', '.join(report.recognised_by)}" if report.recognised_by else ""
    variant = f", variant {report.variant!r}" if report.variant is not None else ""
    yield from field("profile", report.profile + variant + by)
    if report.schema_version is not None:
        yield from field("schema", f"version {report.schema_version}")
    if report.history:
        yield from field("history", KEPT[report.history])
    if report.parameters:
        yield from field("parameters", ", ".join(f"{name}: {value}" for name, value in report.parameters.items()))


def _entity(entity: EntityReport) -> Iterator[str]:
    faults = any(finding.level == "fault" for finding in entity.findings)
    yield ""
    yield from field(entity.name, ("FAULT, see below" if faults else "ok") + _rows(entity))
    if entity.newest is not None:
        yield from field("  newest", f"ended at {_utc(entity.newest)}, {_ago(entity.newest_age or 0.0)}")
    if entity.columns:
        yield from field("  columns", ", ".join(f"{name} {_short(kind)}" for name, kind in entity.columns.items()))
    for name, cost in entity.absent.items():
        yield from field("  absent", f"{name}: {cost}")


def _rows(entity: EntityReport) -> str:
    if entity.rows is None:
        return ""
    about = "" if entity.counted else "about "
    return f", {about}{entity.rows:,} row{'' if entity.rows == 1 else 's'}"


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _ago(age: float) -> str:
    told = format_duration(max(1, round(abs(age))))
    return f"{told} ago" if age >= 0 else f"in {told}"


def _short(kind: str) -> str:
    return {"timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp"}.get(kind, kind)


def _statement(statement: StatementReport) -> Iterator[str]:
    yield ""
    yield f"  {statement.name}: {statement.what} ({statement.every})"
    if statement.milliseconds is not None:
        buffers = statement.buffers or 0
        size = f"{buffers:,} buffers ({buffers * 8 / 1024:,.1f} MB)"
        yield f"    took {statement.milliseconds:,.1f} ms, read {size}, gave {statement.returned or 0:,} rows"
    yield from (f"    {line}" for line in statement.plan)


def _findings(report: StoreReport) -> Iterator[str]:
    placed: list[tuple[str, Finding]] = [("", finding) for finding in report.findings]
    parts: Sequence[EntityReport | StatementReport] = [*report.entities, *report.statements]
    placed += [(f"{part.name}: ", finding) for part in parts for finding in part.findings]
    for level in ("fault", "warning", "note"):
        for place, finding in placed:
            if finding.level == level:
                yield ""
                yield from _finding(level, place, finding)
    counts = {level: sum(f.level == level for _, f in placed) for level in ("fault", "warning")}
    told = [f"{n} {level}{'s' if n > 1 else ''}" for level, n in counts.items() if n]
    yield ""
    yield f"  {report.store}: {'ok' if report.ok else 'NOT OK'}" + (f", {', '.join(told)}" if told else "")


def _finding(level: str, place: str, finding: Finding) -> Iterator[str]:
    head = level.upper() if level == "fault" else level
    yield from field(head, place + finding.text)
    indent = " " * (_LABEL + 2)
    yield from (f"{indent}  {line}" for line in finding.lines)
    for remedy in finding.remedy:
        yield from _remedy(remedy, indent)


def _remedy(remedy: str, indent: str) -> Iterable[str]:
    """A statement stays on one line, for the clipboard; advice is wrapped."""
    if remedy.endswith(";"):
        return [f"{indent}  {remedy}"]
    return [f"{indent}{line}" for line in wrap(remedy, _WIDTH - len(indent), break_on_hyphens=False)]
