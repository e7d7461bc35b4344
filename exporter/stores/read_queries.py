"""The statements of single requests, wrapped round a profile's SELECTs. Pure: text in, text out.

As in ``queries``: ``id``, ``job_id`` and the cursor stay bare, parameters are cast to the column's type. An id that
cannot be of that type belongs to nothing and is not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from exporter.stores.found import Job, LoggedExecution, Operation
from exporter.stores.queries import Wrapped, quoted
from exporter.stores.session import Row

JOB_FIELDS: Final = tuple(Job.__struct_fields__)
LOGGED_FIELDS: Final = tuple(LoggedExecution.__struct_fields__)
OPERATION_FIELDS: Final = tuple(Operation.__struct_fields__)
#: A job with more executions than these is not counted to the end, and summed up from the newest ones.
COUNTED_MOST: Final = 1_000
SUMMED_MOST: Final = 10_000

_INTEGERS: Final = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_TEXTS: Final = ("text", "varchar", "bpchar", "name")
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMERIC: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def integral(column_type: str | None) -> bool:
    """Whether an id of this type is a whole number."""
    return column_type in _INTEGERS


def fits(value: str, column_type: str) -> bool:
    """Whether ``value`` is how PostgreSQL would write a value of this type."""
    if column_type in _INTEGERS:
        bound = _INTEGERS[column_type]
        return _WHOLE.fullmatch(value) is not None and -bound <= int(value) < bound
    if column_type == "uuid":
        return _UUID.fullmatch(value) is not None
    if column_type == "numeric":
        return _NUMERIC.fullmatch(value) is not None
    return "\0" not in value


def sample_id(column_type: str) -> str:
    """Some value of this type, for plans."""
    return {"uuid": "00000000-0000-4000-8000-000000000000"}.get(column_type, "0")


def id_equals(column: str, column_type: str, parameter: str) -> str:
    """``column = parameter`` so that the column's index serves; of a type nobody expects, by its text."""
    if column_type in _INTEGERS or column_type in ("uuid", "numeric"):
        return f"q.{column} = {parameter}::{column_type}"
    if column_type in _TEXTS:
        return f"q.{column} = {parameter}::text"
    return f"q.{column}::text = {parameter}::text"


def ids_among(column: str, column_type: str, parameter: str) -> str:
    """``column`` is one of the texts in the array ``parameter``."""
    if column_type in _INTEGERS or column_type in ("uuid", "numeric"):
        return f"q.{column} = ANY ({parameter}::{column_type}[])"
    if column_type in _TEXTS:
        return f"q.{column} = ANY ({parameter}::text[])"
    return f"q.{column}::text = ANY ({parameter}::text[])"


class Conditions(msgspec.Struct):
    """A WHERE clause and its parameters as they are added."""

    parameters: list[object] = msgspec.field(default_factory=list)
    texts: list[str] = msgspec.field(default_factory=list)

    def bind(self, value: object) -> str:
        """A placeholder for ``value``."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def add(self, text: str) -> None:
        """One more condition."""
        self.texts.append(text)

    @property
    def where(self) -> str:
        """The clause."""
        return f"WHERE {' AND '.join(self.texts)}" if self.texts else ""


def moment(wrapped: Wrapped, entity: str, column: str, operator: str, parameter: str) -> str:
    """A time column held against a parameter in Unix seconds; the column stays bare where it is a timestamp."""
    actual = wrapped.columns[entity][column]
    if actual == "timestamp with time zone":
        return f"q.{column} {operator} to_timestamp({parameter}::float8)"
    if actual in ("timestamp without time zone", "date"):
        return f"q.{column} {operator} (to_timestamp({parameter}::float8) AT TIME ZONE 'UTC')"
    return f"{wrapped.column(entity, column)} {operator} {parameter}::float8"


def lookup_entity(wrapped: Wrapped) -> str | None:
    """Where a job is looked up by its id."""
    return next((entity for entity in ("job_by_id", "jobs", "live_jobs") if wrapped.has(entity)), None)


def job_lookup(wrapped: Wrapped, entity: str) -> str:
    """The job whose id is $1."""
    where = f"WHERE {id_equals('id', wrapped.columns[entity]['id'], '$1')} LIMIT 1"
    return wrapped.select(entity, JOB_FIELDS, where)


def jobs_among(wrapped: Wrapped, entity: str) -> str:
    """The jobs whose ids are in the array $1."""
    return wrapped.select(entity, JOB_FIELDS, f"WHERE {ids_among('id', wrapped.columns[entity]['id'], '$1')}")


def jobs_after(wrapped: Wrapped, entity: str, *, first: bool) -> str:
    """The next $1 jobs in the order of their ids; after the first page those above $2."""
    kind = wrapped.columns[entity]["id"]
    cast = "text" if kind in _TEXTS else kind
    where = "" if first else f"WHERE q.id > $2::{cast} "
    return wrapped.select(entity, JOB_FIELDS, f"{where}ORDER BY q.id LIMIT $1::int8")


def recurring_jobs(wrapped: Wrapped) -> str:
    """The recurring jobs, at most $1, as the list of all has them."""
    return wrapped.select("jobs", JOB_FIELDS, "WHERE q.type::text = 'RECURRING' LIMIT $1::int8")


def due_jobs(wrapped: Wrapped) -> str:
    """Jobs that are due and have not started, at most $1."""
    entity = "live_jobs" if wrapped.has("live_jobs") else "jobs"
    status, due = wrapped.column(entity, "status"), wrapped.column(entity, "next_run_at")
    now = "extract(epoch FROM now())::float8"
    where = f"WHERE {status} = 'QUEUED' OR {status} = 'SCHEDULED' AND {due} <= {now} LIMIT $1::int8"
    return wrapped.select(entity, JOB_FIELDS, where)


def _by_start(wrapped: Wrapped) -> bool:
    """Whether a job's log is in the order of the starts: where the store has them; else it is in that of the cursor.

    Attempts that are kept within their job's row (``seek``) have an end each, but no start other than the last one's.
    """
    columns, cursor = wrapped.columns["executions"], wrapped.cursor
    return cursor.kind != "id" and cursor.seek is None and {"started_at", "completed_at"} <= columns.keys()


def _newest(wrapped: Wrapped, names: Sequence[str], where: str, limit: str, offset: str = "0") -> str:
    """``FROM`` a job's newest executions, newest first, with all that is needed for the columns ``names``.

    What never began stands where it ended. No index has both in one order: those that began are read by their start,
    for which there may be one, and the others apart.
    """
    source, page = wrapped.source("executions"), f"LIMIT {limit}::int8 OFFSET {offset}::int8"
    if not _by_start(wrapped):
        return f"FROM ({source}) q {where} ORDER BY q.{quoted(wrapped.cursor.column)} DESC {page}"
    listed = ", ".join(f"q.{quoted(name)}" for name in wrapped.columns["executions"] if name in {*names, "id"})
    most = f"LIMIT {limit}::int8 + {offset}::int8"
    began, ended = (wrapped.column("executions", name) for name in ("started_at", "completed_at"))
    return (
        f"FROM ((SELECT {listed} FROM ({source}) q {where} AND q.started_at IS NOT NULL"
        f" ORDER BY q.started_at DESC, q.id DESC {most})"
        f" UNION ALL (SELECT {listed} FROM ({source}) q {where} AND q.started_at IS NULL"
        f" ORDER BY q.completed_at DESC, q.id DESC {most})) q"
        f" ORDER BY coalesce({began}, {ended}) DESC, q.id DESC {page}"
    )


def log_page(wrapped: Wrapped, where: str, limit: str, offset: str) -> str:
    """A page of a job's log, newest first."""
    listed = ", ".join(wrapped.column("executions", name) for name in LOGGED_FIELDS)
    return f"SELECT {listed} {_newest(wrapped, LOGGED_FIELDS, where, limit, offset)}"


def log_count(wrapped: Wrapped, where: str) -> str:
    """How many executions there are, up to one more than COUNTED_MOST."""
    source = wrapped.source("executions")
    return f"SELECT count(*) FROM (SELECT FROM ({source}) q {where} LIMIT {COUNTED_MOST + 1}) c"


def log_summary(wrapped: Wrapped, where: str) -> str:
    """The newest executions of a job added up: how many of each final status, retries, durations, first, last, all."""
    names = ("status", "attempt", "started_at", "completed_at")
    status, attempt, started, ended = (wrapped.column("executions", name) for name in names)
    inner = (
        f"SELECT {status} AS status, {attempt} AS attempt, {started} AS started, {ended} - {started} AS lasted"
        f" {_newest(wrapped, names, where, str(SUMMED_MOST))}"
    )
    by_status = ", ".join(
        f"count(*) FILTER (WHERE status = '{name}')" for name in ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
    )
    return (
        f"SELECT {by_status}, count(*) FILTER (WHERE attempt > 0), avg(lasted), max(lasted), min(lasted),"
        f" min(started), max(started), count(*) FROM ({inner}) x"
    )


def first_start(wrapped: Wrapped, where: str) -> str:
    """When a job's oldest execution began."""
    order = "q.started_at, q.id" if _by_start(wrapped) else f"q.{quoted(wrapped.cursor.column)}"
    return wrapped.select("executions", ("started_at",), f"{where} ORDER BY {order} LIMIT 1")


def results_among(wrapped: Wrapped) -> str:
    """(id, attempt, result) of the executions whose ids are in the array $1."""
    where = f"WHERE {ids_among('id', wrapped.columns['executions']['id'], '$1')}"
    return wrapped.select("executions", ("id", "attempt", "result"), where)


def slice_of(wrapped: Wrapped, conditions: Sequence[str], *, results: bool) -> str:
    """Finished executions with the cursor in ($1, $2] that meet ``conditions``: their position, then LOGGED_FIELDS.

    Without ``results`` those are NULL: they may be long, and stored apart.
    """
    names = {name: wrapped.column("executions", name) for name in LOGGED_FIELDS}
    if not results:
        names["result"] = "NULL::text"
    where = " AND ".join([wrapped.between("$1", "$2"), *conditions])
    return (
        f"SELECT {wrapped.position}, {', '.join(names.values())} FROM ({wrapped.source('executions')}) q WHERE {where}"
    )


def operation_page(wrapped: Wrapped, where: str, limit: str) -> str:
    """Operations, the newest first where the store tells when they came."""
    columns = wrapped.columns["operations"]
    order = "ORDER BY q.insert_timestamp DESC" if "insert_timestamp" in columns else ""
    return wrapped.select("operations", OPERATION_FIELDS, f"{where} {order} LIMIT {limit}::int8")


def searched(wrapped: Wrapped, parameter: str) -> str:
    """Whether an execution's texts contain ``parameter``, which is in lower case."""
    present = wrapped.columns["executions"]
    names = [n for n in ("id", "job_id", "job_name", "task_type", "error_message") if n in present]
    joined = " || ' ' || ".join(f"coalesce(q.{name}::text, '')" for name in names)
    return f"strpos(lower({joined}), {parameter}::text) > 0"


def job_of(row: Row) -> Job:
    """A row of JOB_FIELDS."""
    return Job(**dict(zip(JOB_FIELDS, row, strict=True)))


def logged(row: Row) -> LoggedExecution:
    """A row of LOGGED_FIELDS."""
    return LoggedExecution(**dict(zip(LOGGED_FIELDS, row, strict=True)))
