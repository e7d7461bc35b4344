"""What a check found, as data: what ``--json`` prints and ``render`` puts into words. No I/O."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["fault", "warning", "note"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something to know. ``lines`` show the place; ``remedy`` is a statement to run, or advice."""

    level: Level
    text: str
    lines: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()


class EntityReport(msgspec.Struct, kw_only=True):
    """One SELECT of the profile: its columns (name -> type), what its absent ones cost, how many rows it gives.

    ``absent`` maps a canonical column that the SELECT does not give to what stays unknown without it. ``rows`` were
    counted where ``counted`` says so; else it is what the planner expects. ``newest`` is when the latest execution
    ended, and ``newest_age`` how many seconds ago by the server's clock, where an index finds it.
    """

    name: str
    columns: dict[str, str] = {}
    absent: dict[str, str] = {}
    rows: int | None = None
    counted: bool = False
    newest: float | None = None
    newest_age: float | None = None
    findings: list[Finding] = []


class StatementReport(msgspec.Struct, kw_only=True):
    """One statement of a poll: its plan, one line a node; with --analyze also time (ms), buffers (8 kB) and rows."""

    name: str
    what: str
    every: str
    plan: list[str] = []
    milliseconds: float | None = None
    buffers: int | None = None
    returned: int | None = None
    findings: list[Finding] = []


class StoreReport(msgspec.Struct, kw_only=True):
    """All that was found out about one store."""

    store: str
    server: str = ""
    version: str = ""
    database: str = ""
    role: str = ""
    profile: str = ""
    variant: str | None = None
    schema_version: str | None = None
    history: str = ""
    recognised_by: list[str] = []
    parameters: dict[str, str] = {}
    not_exact: list[str] = []
    not_mapped: dict[str, str] = {}
    entities: list[EntityReport] = []
    statements: list[StatementReport] = []
    findings: list[Finding] = []

    def all_findings(self) -> list[Finding]:
        """Of the store, its SELECTs and its statements."""
        of_entities = [finding for entity in self.entities for finding in entity.findings]
        of_statements = [finding for statement in self.statements for finding in statement.findings]
        return [*self.findings, *of_entities, *of_statements]

    @property
    def ok(self) -> bool:
        """Whether there is no fault; warnings are no fault."""
        return all(finding.level != "fault" for finding in self.all_findings())


def fault(text: str, *, lines: tuple[str, ...] = (), remedy: tuple[str, ...] = ()) -> Finding:
    """Something that keeps the store, or a part of it, from being read."""
    return Finding(level="fault", text=text, lines=lines, remedy=remedy)


def warning(text: str, *remedy: str) -> Finding:
    """Something that costs or hides."""
    return Finding(level="warning", text=text, remedy=remedy)


def note(text: str, *remedy: str) -> Finding:
    """Something to know that needs nothing now."""
    return Finding(level="note", text=text, remedy=remedy)
