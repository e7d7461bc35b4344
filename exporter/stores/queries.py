"""The statements wrapped round a profile's SELECTs. Pure: text in, text out.

Times leave PostgreSQL as Unix seconds (float8), ``infinity`` as NULL: year 10000 is a number then, and no row needs a
datetime. Casts stand in the select list only; the cursor column stays bare, its parameter is cast to its type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import psycopg

from exporter.config.model import Cursor, Profile
from exporter.domain import LIVE_STATUSES
from exporter.errors import ProfileError
from exporter.ledger.cursor import Position

#: canonical column -> how it is read; "time" is any timestamp, or a number of seconds, "brief" the beginning of a text,
#: "json" a JSON value as text.
JOB_COLUMNS: Final = {
    "id": "text", "name": "text", "task_type": "text", "queue": "text", "status": "text", "type": "text",
    "schedule": "text", "time_zone": "text", "next_run_at": "time", "last_run_at": "time", "created_at": "time",
    "updated_at": "time", "priority": "integer", "connection_id": "text",
}  # fmt: skip
EXECUTION_COLUMNS: Final = {
    "id": "text", "job_id": "text", "job_name": "text", "recurring_id": "text", "task_type": "text",
    "status": "text", "attempt": "integer", "scheduled_at": "time", "started_at": "time", "completed_at": "time",
    "worker_id": "text", "queue": "text", "error_message": "brief", "error_code": "text",
}  # fmt: skip
RUNNING_COLUMNS: Final = {
    "id": "text", "job_id": "text", "task_type": "text", "queue": "text", "attempt": "integer", "started_at": "time",
    "worker_id": "text", "job_name": "text", "connection_id": "text", "scheduled_at": "time",
}  # fmt: skip
WORKER_COLUMNS: Final = {
    "id": "text", "host": "text", "last_seen": "time", "connected_at": "time", "is_paused": "boolean",
    "is_draining": "boolean", "can_accept_work": "boolean", "actions_completed": "integer",
    "platform_properties": "json",
}  # fmt: skip
OPERATION_COLUMNS: Final = {
    "operation_id": "text", "client_operation_id": "text", "stage": "text", "worker_id": "text",
    "action_digest": "text", "command_digest": "text", "input_root_digest": "text", "priority": "integer",
    "timeout": "integer", "platform_properties": "json", "load_timestamp": "time", "insert_timestamp": "time",
}  # fmt: skip
CONNECTION_COLUMNS: Final = {
    "id": "text", "name": "text", "host": "text", "port": "integer", "database": "text", "user": "text",
    "sslmode": "text", "vault_path": "text",
}  # fmt: skip

#: Recurring jobs that are read of a store at most.
RECURRING_LISTED: Final = 10_000
#: Characters of a text that is read in brief, and of a JSON value, one more if there is more.
BRIEF: Final = 500
JSON_CHARACTERS: Final = 65_536

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "jobs": JOB_COLUMNS,
    "live_jobs": JOB_COLUMNS,
    "job_by_id": JOB_COLUMNS,
    # A poll has no use for results.
    "executions": {**EXECUTION_COLUMNS, "result": "json"},
    "running": RUNNING_COLUMNS,
    "workers": WORKER_COLUMNS,
    "operations": OPERATION_COLUMNS,
    "connections": CONNECTION_COLUMNS,
}
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "jobs": ("id", "status"),
    "live_jobs": ("id", "status"),
    "job_by_id": ("id", "status"),
    "executions": ("id", "status"),
    "running": ("id",),
    "workers": ("id",),
    "operations": ("stage",),
    "connections": ("id", "host"),
}
#: The types of a time, and of a number.
TIMESTAMPS: Final = ("timestamp with time zone", "timestamp without time zone", "date")
WHOLE: Final = ("smallint", "integer", "bigint")
NUMBERS: Final = (*WHOLE, "numeric", "real", "double precision")
#: Seconds by which the stamp of an attempt may lie after that of its row's end: both come from one write.
SEEK_MARGIN: Final = 60
#: cursor kind -> the types its column may have
CURSOR_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "timestamp": ("timestamp with time zone",),
    "naive_timestamp": ("timestamp without time zone",),
    # A real of now stands for two minutes: what is stamped so is behind, or ahead, by half of that.
    "epoch": (*WHOLE, "numeric", "double precision"),
    "epoch_ms": ("bigint", "numeric", "double precision"),
    "id": ("smallint", "integer", "bigint", "numeric"),
}
_NAMES: Final = {
    "timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone", "int2": "smallint",
    "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision", "bool": "boolean",
}  # fmt: skip


def type_name(column: psycopg.Column) -> str:
    """A column's type as SQL spells it."""
    name = column.type_display.partition("(")[0]
    return _NAMES.get(name, name)


def quoted(name: str) -> str:
    """A column's name as an identifier: exactly as the store gave it, capitals and blanks included."""
    return '"' + name.replace('"', '""') + '"'


class Wrapped(msgspec.Struct, frozen=True):
    """A profile's SELECTs together with the columns that the live store gave them (name -> type)."""

    profile: Profile
    columns: Mapping[str, Mapping[str, str]]

    def has(self, entity: str) -> bool:
        """Whether the profile maps ``entity``."""
        return entity in self.columns

    def source(self, entity: str) -> str:
        """The profile's SELECT for ``entity``."""
        sql: str | None = getattr(self.profile, entity)
        if sql is None:
            raise ProfileError(f"profile {self.profile.name!r} has no {entity}")
        # The line's end closes a comment that the SELECT may end with.
        return sql + "\n"

    def column(self, entity: str, name: str) -> str:
        """The expression that reads a canonical column from row ``q``; NULL where the profile does not have it."""
        kind = COLUMNS[entity][name]
        actual = self.columns[entity].get(name)
        if kind == "time":
            if actual is None:
                return "NULL::float8"
            if actual in TIMESTAMPS:
                return f"CASE WHEN isfinite(q.{name}) THEN extract(epoch FROM q.{name})::float8 END"
            # A cursor says its unit; any other number is one of seconds.
            cursor = self.profile.cursor if entity == "executions" else None
            milliseconds = cursor is not None and cursor.kind == "epoch_ms" and cursor.column == name
            number = f"q.{name}::float8 / 1000" if milliseconds else f"q.{name}::float8"
            # NaN is above infinity there.
            return number if actual in WHOLE else f"CASE WHEN abs(q.{name}::float8) < 'infinity' THEN {number} END"
        if kind in ("brief", "json"):
            most = BRIEF if kind == "brief" else JSON_CHARACTERS + 1
            return "NULL::text" if actual is None else f"left(q.{name}::text, {most})"
        cast = {"integer": "int8"}.get(kind, kind)
        return f"NULL::{cast}" if actual is None else f"q.{name}::{cast}"

    def select(self, entity: str, names: Sequence[str], where: str = "") -> str:
        """Read ``names`` of every row of ``entity`` that ``where`` (over ``q``) lets through."""
        listed = ", ".join(self.column(entity, name) for name in names)
        return f"SELECT {listed} FROM ({self.source(entity)}) q {where}"

    @property
    def cursor(self) -> Cursor:
        """The cursor of ``executions``."""
        if self.profile.cursor is None:
            raise ProfileError(f"profile {self.profile.name!r} has executions but no cursor")
        return self.profile.cursor

    @property
    def watches_running(self) -> bool:
        """Whether stamps are those of the start, and what runs is known with its: nothing is missed then."""
        started = self.has("running") and "started_at" in self.columns["running"]
        return started and not self.cursor.at_end and self.cursor.kind != "id"

    @property
    def granularity(self) -> float:
        """How long one value of the cursor stands for, in seconds: a whole second, a millisecond; else 0."""
        if self.columns["executions"][self.cursor.column] not in WHOLE:
            return 0.0
        return {"epoch": 1.0, "epoch_ms": 0.001}.get(self.cursor.kind, 0.0)

    def finished(self) -> str:
        """Finished executions with the cursor in ($1, $2]: key, position, then the columns of ``Finished``."""
        return f"{self._finished} WHERE {self.between('$1', '$2')}"

    def some_finished(self, rest: str) -> str:
        """Finished executions as :meth:`finished` gives them, ``rest`` (over ``q``) instead of bounds."""
        return f"{self._finished} {rest}"

    def latest(self) -> str:
        """The latest position at or below $1."""
        bare, kind = f"q.{quoted(self.cursor.column)}", self.columns["executions"][self.cursor.column]
        return (
            f"SELECT {self.position} FROM ({self.source('executions')}) q"
            f" WHERE {bare} <= {self._bound('$1', kind)} ORDER BY {bare} DESC LIMIT 1"
        )

    def passed(self, *, above: bool) -> str:
        """Keys and positions at or below $1, and ``above`` $3, the highest first, at most $2 of them."""
        bare, kind = f"q.{quoted(self.cursor.column)}", self.columns["executions"][self.cursor.column]
        lowest = f" AND {bare} > {self._bound('$3', kind)}" if above else ""
        return (
            f"SELECT {self._keys}, {self.position} FROM ({self.source('executions')}) q"
            f" WHERE {bare} <= {self._bound('$1', kind)}{lowest} ORDER BY {bare} DESC LIMIT $2::int8"
        )

    @property
    def _keys(self) -> str:
        return " || chr(31) || ".join(f"coalesce(q.{quoted(name)}::text, '')" for name in self.key)

    @property
    def _finished(self) -> str:
        listed = ", ".join(self.column("executions", name) for name in EXECUTION_COLUMNS)
        return f"SELECT {self._keys}, {self.position}, {listed} FROM ({self.source('executions')}) q"

    @property
    def position(self) -> str:
        """A finished execution's position: the cursor in seconds, or the id."""
        bare = f"q.{quoted(self.cursor.column)}"
        return {
            "timestamp": f"extract(epoch FROM {bare})::float8",
            "naive_timestamp": f"extract(epoch FROM {bare})::float8",
            "epoch": f"{bare}::float8",
            "epoch_ms": f"{bare}::float8 / 1000",
            "id": f"{bare}::int8",
        }[self.cursor.kind]

    def between(self, low: str, high: str) -> str:
        """The condition that the cursor lies in (``low``, ``high``], two parameters, in seconds or ids."""
        columns, cursor = self.columns["executions"], self.cursor
        kind, bare = columns[cursor.column], f"q.{quoted(cursor.column)}"
        condition = f"{bare} > {self._bound(low, kind)} AND {bare} <= {self._bound(high, kind)}"
        if cursor.seek is None:
            return condition
        earliest = low if cursor.kind == "id" else f"({low}::float8 - {SEEK_MARGIN})"
        earliest = self._bound(earliest, columns[cursor.seek])
        return f"{condition} AND q.{quoted(cursor.seek)} > {earliest}"

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell one execution from another."""
        return tuple(name for name in self.profile.key if name in self.columns["executions"]) or ("id",)

    def _bound(self, parameter: str, column_type: str) -> str:
        kind = self.cursor.kind
        if kind == "timestamp":
            return f"to_timestamp({parameter}::float8)"
        if kind == "naive_timestamp":
            return f"(to_timestamp({parameter}::float8) AT TIME ZONE 'UTC')"
        if kind == "epoch" and column_type in WHOLE:
            return f"floor({parameter}::float8)::int8"
        if kind == "epoch_ms" and column_type == "bigint":
            return f"floor({parameter}::float8 * 1000)::int8"
        if kind == "epoch_ms":
            return f"({parameter}::float8 * 1000)::{column_type}"
        return f"{parameter}::int8" if kind == "id" else f"{parameter}::float8::{column_type}"

    def job_counts(self) -> str:
        """The number of jobs by status and type, over the whole table."""
        status, kind = self.column("jobs", "status"), self.column("jobs", "type")
        return f"SELECT {status}, coalesce({kind}, 'ONE_TIME'), count(*) FROM ({self.source('jobs')}) q GROUP BY 1, 2"

    def _live(self) -> tuple[str, str, str]:
        """Which entity lists unfinished jobs, the predicate that leaves only those, and when a job is due."""
        entity = "live_jobs" if self.has("live_jobs") else "jobs"
        statuses = ", ".join(f"'{status}'" for status in LIVE_STATUSES)
        due = f"coalesce({self.column(entity, 'next_run_at')}, {self.column(entity, 'created_at')})"
        return entity, f"WHERE {self.column(entity, 'status')} IN ({statuses})", due

    def queues(self) -> str:
        """Unfinished jobs by queue, status, type and whether they are due: their number and the oldest due time."""
        entity, where, due = self._live()
        status, kind, queue = (self.column(entity, n) for n in ("status", "type", "queue"))
        now = "extract(epoch FROM now())::float8"
        # PENDING jobs wait for something else than the clock: they are never due.
        ready = f"({status} = 'QUEUED' OR {status} = 'SCHEDULED' AND {self.column(entity, 'next_run_at')} <= {now})"
        return (
            f"SELECT coalesce({queue}, ''), {status}, coalesce({kind}, 'ONE_TIME'), {ready}, count(*), min({due})"
            f" FROM ({self.source(entity)}) q {where} GROUP BY 1, 2, 3, 4"
        )

    def overdue(self) -> str:
        """One-time jobs past their run by more than $1 seconds and not started: the $2 oldest, and how many in all."""
        entity, _, _ = self._live()
        due = self.column(entity, "next_run_at")
        status, kind = self.column(entity, "status"), self.column(entity, "type")
        return (
            f"SELECT {self.column(entity, 'id')}, {self.column(entity, 'name')}, {self.column(entity, 'task_type')},"
            f" {due}, count(*) OVER () FROM ({self.source(entity)}) q"
            f" WHERE {status} IN ('SCHEDULED', 'QUEUED') AND coalesce({kind}, 'ONE_TIME') = 'ONE_TIME'"
            f" AND {due} < extract(epoch FROM now())::float8 - $1::float8 ORDER BY {due} LIMIT $2::int8"
        )

    def recurring(self) -> str:
        """The recurring jobs, at most $1 of them."""
        names = (
            "id",
            "name",
            "task_type",
            "status",
            "schedule",
            "time_zone",
            "next_run_at",
            "last_run_at",
            "created_at",
        )
        return self.select("jobs", names, "WHERE q.type::text = 'RECURRING' LIMIT $1::int8")

    def listed_connections(self) -> str:
        """The servers to check, at most $1 of them."""
        return self.select("connections", tuple(CONNECTION_COLUMNS), "ORDER BY 1 LIMIT $1::int8")

    def operation_counts(self) -> str:
        """Operations by stage."""
        return f"SELECT {self.column('operations', 'stage')}, count(*) FROM ({self.source('operations')}) q GROUP BY 1"

    def executing(self) -> str:
        """Worker and id of operations that are being executed, at most $1 of them."""
        where = "WHERE q.stage::text = 'executing' AND q.worker_id IS NOT NULL LIMIT $1::int8"
        return self.select("operations", ("worker_id", "operation_id"), where)


def bounds(cursor: Cursor, low: Position, high: Position) -> tuple[Position, Position]:
    """A reading's bounds as the parameters of :meth:`Wrapped.finished`."""
    return (int(low), int(high)) if cursor.kind == "id" else (float(low), float(high))
