"""Failed executions grouped by what their messages have in common. Runs in the ledger's thread only.

A group's fingerprint is its message with numbers, ids, addresses and quoted parts folded, so that a thousand timeouts
of a thousand hosts are one line. At most GROUPS_KEPT groups are kept for each store, the latest ones.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from exporter.domain import ErrorGroup
from exporter.ledger.batch import Failure
from exporter.logs import masked_text

#: A message longer than this is compared by its beginning.
MESSAGE_CHARACTERS: Final = 500
GROUPS_KEPT: Final = 1_000
TASK_TYPES_KEPT: Final = 20
#: The message of the group that takes in what is more than GROUPS_KEPT groups at once.
MANY_OTHERS: Final = "(other messages)"
HOUR: Final = 3600

_FOLDS: Final = (
    (re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`"), "<quoted>"),
    (re.compile(r"\b\w+://[^\s,;)]+"), "<url>"),
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "<email>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b|\b0x[0-9a-fA-F]+\b"), "<id>"),
    (re.compile(r"\d+(?:[.:_-]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


class _Example(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a group shows of its latest execution."""

    message: str
    code: str | None = None
    job_id: str | None = None
    execution_id: str = ""
    task_types: list[str] = []


# Few: what repeats, repeats at once, and messages that name an id are all different; each takes 340 bytes.
@lru_cache(maxsize=256)
def fingerprint(message: str, code: str | None) -> tuple[str, str]:
    """A short stable id of a message's group, and the folded message."""
    folded = message
    for pattern, replacement in _FOLDS:
        folded = pattern.sub(replacement, folded)
    folded = folded.strip()
    return hashlib.sha256(f"{code or ''}\0{folded}".encode()).hexdigest()[:16], folded


class ErrorGroups:
    """What the failures of one slice add to the groups."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[float], _Example, dict[int, int]]] = {}

    def add(self, failures: Iterable[Failure]) -> None:
        """Take in failed executions."""
        for at, message, failure_code, task_type, job_id, execution_id in failures:
            text, code = message[:MESSAGE_CHARACTERS], failure_code
            key, _ = fingerprint(text, code)
            if key not in self._found and len(self._found) >= GROUPS_KEPT:
                text, code = MANY_OTHERS, None
                key, _ = fingerprint(text, code)
            if key not in self._found:
                self._found[key] = ([0, at, at], _Example(message=text, code=code), {})
            numbers, example, hours = self._found[key]
            numbers[0] += 1
            numbers[1] = min(numbers[1], at)
            if at >= numbers[2]:
                numbers[2] = at
                example.message, example.job_id, example.execution_id = text, job_id, execution_id
            if task_type not in example.task_types and len(example.task_types) < TASK_TYPES_KEPT:
                example.task_types.append(task_type)
            hour = int(at // HOUR) * HOUR
            hours[hour] = hours.get(hour, 0) + 1

    def told(self) -> list[ErrorGroup]:
        """The groups of these failures alone, the most frequent ones first."""
        return _most_frequent_first(
            _group(key, example, numbers[1], numbers[2], hours)
            for key, (numbers, example, hours) in self._found.items()
        )

    def write(self, db: sqlite3.Connection, store: int) -> None:
        """Add what was found to the state file."""
        for key, (numbers, found, hours) in self._found.items():
            (count, first, last), example = numbers, found
            row = db.execute(
                "SELECT count, first_seen, last_seen, data FROM error_group WHERE store = ? AND fingerprint = ?",
                (store, key),
            ).fetchone()
            if row is not None:
                known = msgspec.json.decode(row[3], type=_Example)
                types = dict.fromkeys([*known.task_types, *found.task_types])
                shown = found if last >= row[2] else known
                example = replace(shown, task_types=list(types)[:TASK_TYPES_KEPT])
                count, first, last = count + row[0], min(first, row[1]), max(last, row[2])
            data = msgspec.json.encode(example).decode()
            db.execute(
                "INSERT OR REPLACE INTO error_group VALUES (?, ?, ?, ?, ?, ?)", (store, key, count, first, last, data)
            )
            db.executemany(
                "INSERT INTO error_hour VALUES (?, ?, ?, ?)"
                " ON CONFLICT (store, start, fingerprint) DO UPDATE SET count = count + excluded.count",
                [(store, hour, key, n) for hour, n in hours.items()],
            )
        if self._found:
            _keep_latest(db, store)


def _keep_latest(db: sqlite3.Connection, store: int) -> None:
    db.execute(
        "DELETE FROM error_group WHERE store = ? AND fingerprint IN ("
        " SELECT fingerprint FROM error_group WHERE store = ? ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
        (store, store, GROUPS_KEPT),
    )


def prune(db: sqlite3.Connection, store: int, before: float) -> None:
    """Forget the groups whose latest failure ended before this moment, and the hours before it."""
    db.execute("DELETE FROM error_group WHERE store = ? AND last_seen < ?", (store, before))
    db.execute("DELETE FROM error_hour WHERE store = ? AND start < ?", (store, int(before // HOUR) * HOUR))
    db.execute(
        "DELETE FROM error_hour WHERE store = ? AND fingerprint NOT IN ("
        " SELECT fingerprint FROM error_group WHERE store = ?)",
        (store, store),
    )


def read(db: sqlite3.Connection, store: int, since: float) -> list[ErrorGroup]:
    """The groups with failures since the hour of ``since``, the most frequent ones first."""
    start = int(since // HOUR) * HOUR
    trends: dict[str, dict[int, int]] = {}
    hours = "SELECT fingerprint, start, count FROM error_hour WHERE store = ? AND start >= ? ORDER BY start"
    for key, hour, count in db.execute(hours, (store, start)):
        trends.setdefault(key, {})[hour] = count
    groups = []
    rows = "SELECT fingerprint, first_seen, last_seen, data FROM error_group WHERE store = ? AND last_seen >= ?"
    for key, first, last, data in db.execute(rows, (store, start)):
        trend = trends.get(key)
        if trend is None:
            continue
        groups.append(_group(key, msgspec.json.decode(data, type=_Example), first, last, trend))
    return _most_frequent_first(groups)


def _most_frequent_first(groups: Iterable[ErrorGroup]) -> list[ErrorGroup]:
    return sorted(groups, key=lambda group: (-group.count, -group.last_seen))


def _group(key: str, example: _Example, first: float, last: float, trend: dict[int, int]) -> ErrorGroup:
    return ErrorGroup(
        fingerprint=key,
        # Masked first: a token without its digits is not told from a word any more.
        message=fingerprint(masked_text(example.message), example.code)[1],
        code=example.code,
        count=sum(trend.values()),
        first_seen=first,
        last_seen=last,
        task_types=tuple(example.task_types),
        job_id=example.job_id,
        execution_id=example.execution_id,
        example=example.message,
        trend=trend,
    )
