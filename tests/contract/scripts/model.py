"""What a script is: what is written, statement by statement, and what is to be seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

UTC: Final = "clock_timestamp() AT TIME ZONE 'UTC'"


@dataclass(frozen=True, kw_only=True)
class Script:
    """``steps`` are written one after the other, with a poll after each; then everything is looked at.

    ``counted`` is by (task type, status), ``live`` unfinished one-time jobs by status, ``running`` by task type,
    ``workers`` by state, ``recurring`` (id, whether its next run is known), ``errors`` the messages, ``alone`` the
    statuses of some jobs by id, ``trigger`` a job that is triggered in the end, and the statement that counts what that
    has made.
    """

    schema: str
    steps: tuple[str, ...]
    before: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    counted: dict[tuple[str, str], int] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    workers: dict[str, int] | None = None
    recurring: frozenset[tuple[str, bool]] = frozenset()
    overdue: frozenset[str] = frozenset()
    errors: frozenset[str] = frozenset()
    alone: dict[str, str] = field(default_factory=dict)
    trigger: tuple[str, str] | None = None
