"""The statements of a scheduler's workers: what a transaction does to the rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg

STATUSES = ("SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
TASK_TYPES = ("mail", "report", "import", "export", "billing", "backup")
#: Where completed_at comes from.
STAMPS: dict[str, LiteralString] = {"now": "now()", "clock": "clock_timestamp()", "app": "%(app)s::timestamptz"}

#: (id, attempt): what is counted once.
Key = tuple[int, int]
#: task type, status, worker
Outcome = tuple[str, str, str]

_RETURNING: LiteralString = " RETURNING e.id, e.attempt, e.task_type, e.status, e.worker_id"
_STARTED: LiteralString = "CASE WHEN random() > 0.02 THEN {stamp} - random() * interval '40 s' END"
_INSERT: LiteralString = (
    "INSERT INTO executions AS e (job_id, task_type, status, scheduled_at, started_at, completed_at, worker_id)"
    " SELECT row_number() OVER (), f.task_type, f.status, now() - interval '60 s', "
    + _STARTED
    + ", {stamp}, %(worker)s"
    " FROM unnest(%(types)s::text[], %(statuses)s::text[]) AS f (task_type, status)" + _RETURNING
)
_START: LiteralString = (
    "INSERT INTO executions AS e (task_type, started_at, worker_id)"
    " SELECT f.task_type, clock_timestamp(), %(worker)s FROM unnest(%(types)s::text[]) AS f (task_type) RETURNING e.id"
)
_FINISH: LiteralString = (
    "UPDATE executions AS e SET status = f.status, completed_at = {stamp}"
    " FROM unnest(%(ids)s::bigint[], %(statuses)s::text[]) AS f (id, status)"
    " WHERE e.id = f.id AND e.status = 'RUNNING'" + _RETURNING
)
# Rows that were seen finished with just this attempt; whoever else is at them now goes first.
_THESE: LiteralString = (
    "WITH f AS (SELECT x.id, w.status FROM executions AS x"
    " JOIN unnest(%(ids)s::bigint[], %(attempts)s::int[], %(statuses)s::text[]) AS w (id, attempt, status)"
    " ON x.id = w.id AND x.attempt = w.attempt WHERE x.status <> 'RUNNING' FOR UPDATE OF x SKIP LOCKED) "
)
_RETRY: LiteralString = _THESE + (
    "UPDATE executions AS e SET attempt = e.attempt + 1, status = f.status, completed_at = {stamp},"
    " started_at = " + _STARTED + ", worker_id = %(worker)s FROM f WHERE e.id = f.id" + _RETURNING
)
_RETRY_LATER: LiteralString = _THESE + (
    "UPDATE executions AS e SET attempt = e.attempt + 1, status = 'RUNNING', completed_at = NULL,"
    " started_at = clock_timestamp(), worker_id = %(worker)s FROM f WHERE e.id = f.id RETURNING e.id"
)
_PRUNE: LiteralString = _THESE + "DELETE FROM executions AS e USING f WHERE e.id = f.id RETURNING e.id"


@dataclass
class Work:
    """What one transaction has done so far; true once it has committed."""

    finished: dict[Key, Outcome] = field(default_factory=dict)
    started: list[int] = field(default_factory=list)
    pruned: int = 0
    retried: int = 0
    #: Rows that were running before and are finished here: they run again if this rolls back.
    taken: list[int] = field(default_factory=list)

    def add(self, other: Work) -> None:
        """Take in what a savepoint kept."""
        self.finished.update(other.finished)
        self.started += other.started
        self.taken += other.taken
        self.pruned += other.pruned
        self.retried += other.retried


class Worker:
    """Makes one writer's statements."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self._name = name
        self._rng = rng

    def _parameters(self, rows: int, app: datetime, extra: str) -> dict[str, Any]:
        types = (*TASK_TYPES, extra)
        return {
            "worker": self._name,
            "app": app,
            "types": [self._rng.choice(types) for _ in range(rows)],
            "statuses": [self._rng.choice(STATUSES) for _ in range(rows)],
        }

    async def insert(self, connection: Connection, rows: int, app: datetime, extra: str) -> Work:
        """Executions that appear finished."""
        found = await self._execute(connection, _INSERT, self._parameters(rows, app, extra))
        return Work(finished=_finished(found))

    async def start(self, connection: Connection, rows: int, app: datetime, extra: str) -> Work:
        """Executions that run from now on."""
        found = await self._execute(connection, _START, self._parameters(rows, app, extra))
        return Work(started=[row[0] for row in found])

    async def finish(self, connection: Connection, ids: list[int], app: datetime) -> Work:
        """Running ones end."""
        found = await self._execute(connection, _FINISH, {**self._parameters(len(ids), app, ""), "ids": ids})
        return Work(finished=_finished(found), taken=ids)

    async def retry(self, connection: Connection, keys: Sequence[Key], app: datetime) -> Work:
        """Finished ones, counted already, run again in place: at once to the end, or for some time."""
        parameters = {**self._parameters(len(keys), app, ""), **_columns(keys)}
        if self._rng.random() < 0.3:
            found = await self._execute(connection, _RETRY_LATER, parameters)
            return Work(started=[row[0] for row in found], retried=len(found))
        found = await self._execute(connection, _RETRY, parameters)
        return Work(finished=_finished(found), retried=len(found))

    async def prune(self, connection: Connection, keys: Sequence[Key], app: datetime) -> Work:
        """Finished ones, counted already, are deleted."""
        found = await self._execute(connection, _PRUNE, {**self._parameters(len(keys), app, ""), **_columns(keys)})
        return Work(pruned=len(found))

    async def _execute(
        self, connection: Connection, statement: LiteralString, parameters: dict[str, Any]
    ) -> list[tuple[Any, ...]]:
        stamp = STAMPS[self._rng.choice(list(STAMPS))]
        cursor = await connection.execute(statement.replace("{stamp}", stamp), parameters)
        return await cursor.fetchall()


Connection = psycopg.AsyncConnection[Any]


def _columns(keys: Sequence[Key]) -> dict[str, list[int]]:
    return {"ids": [key[0] for key in keys], "attempts": [key[1] for key in keys]}


def _finished(rows: Sequence[tuple[Any, ...]]) -> dict[Key, Outcome]:
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}
