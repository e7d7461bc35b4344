"""Fill a database with a scheduler's history in the native schema: the same rows for the same numbers and moment.

    python -m benchmarks.generate --executions 10000000 --jobs 1000000 [--dsn postgresql://...] [--days 30]

Rows are made by the server (INSERT ... SELECT generate_series) with a fixed seed, indexes are built after the load,
VACUUM ANALYZE ends it. Without ``--dsn`` the store is kept in the benchmarks' own server (``kept``), where the
benchmarks find it again. About 10 task types, 20 workers, 92% success, 30 error messages, log-normal durations.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from exporter.stores.native import ddl

SEED = 0.42
TABLES = ("jobs", "executions")
#: Executions that run, beside those that have finished; their ids are the greatest.
RUNNING = 40

Say = Callable[[str], None]


def generate(
    dsn: str, *, executions: int, jobs: int, days: float = 30, schema: str = "public", say: Say = print
) -> None:
    """Make the native schema in ``schema`` if it is not there, and fill its empty tables."""
    with psycopg.connect(dsn) as connection:
        _refuse_if_filled(connection, schema)
        connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        connection.execute("SET LOCAL synchronous_commit = off")
        if _table(connection, schema, "executions") is None:
            connection.execute(ddl(schema).encode())
        rebuild = _drop_indexes(connection, schema)
        connection.execute("SELECT setseed(%s)", [SEED])
        numbers = {"executions": executions, "jobs": jobs, "days": days, "running": RUNNING}
        for what in ("jobs", "executions", "others"):
            _timed(say, what, lambda what=what: _fill(connection, schema, what, numbers))  # type: ignore[misc]
        for name, statement in rebuild:
            _timed(say, name, lambda statement=statement: connection.execute(statement))  # type: ignore[misc]
        for table in TABLES:
            qualified = sql.Identifier(schema, table)
            connection.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {}").format(
                    sql.Literal(qualified.as_string(connection)), qualified
                )
            )
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in (*TABLES, "workers", "operations"):
            vacuum = sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(schema, table))
            _timed(say, f"vacuum {table}", lambda vacuum=vacuum: connection.execute(vacuum))  # type: ignore[misc]


def _fill(connection: psycopg.Connection[Any], schema: str, name: str, numbers: dict[str, float]) -> None:
    text = Path(__file__).with_name("sql").joinpath(f"{name}.sql").read_text()
    for part in text.split(";\n"):
        statement = sql.SQL(part).format(schema=sql.Identifier(schema))
        connection.execute(statement, numbers)


def _table(connection: psycopg.Connection[Any], schema: str, table: str) -> object:
    name = sql.Identifier(schema, table).as_string(connection)
    found = connection.execute("SELECT to_regclass(%s)", [name]).fetchone()
    return found[0] if found is not None else None


def _refuse_if_filled(connection: psycopg.Connection[Any], schema: str) -> None:
    for table in TABLES:
        if _table(connection, schema, table) is None:
            continue
        query = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(schema, table))
        if connection.execute(query).fetchone() is not None:
            raise SystemExit(f"{schema}.{table} has rows already: generate into an empty database")


def _drop_indexes(connection: psycopg.Connection[Any], schema: str) -> list[tuple[str, sql.SQL]]:
    """Drop the indexes of the large tables; returns their names and what builds them anew."""
    found = connection.execute(
        "SELECT c.relname, t.relname, p.conname, pg_get_constraintdef(p.oid), pg_get_indexdef(c.oid) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid"
        " LEFT JOIN pg_constraint p ON p.conindid = c.oid AND p.contype = 'p'"
        " WHERE t.relnamespace = %s::regnamespace AND t.relname = ANY (%s) ORDER BY p.conname IS NULL, c.relname",
        [sql.Identifier(schema).as_string(connection), list(TABLES)],
    ).fetchall()
    rebuild: list[tuple[str, sql.SQL]] = []
    for index, table, constraint, definition, statement in found:
        qualified = sql.Identifier(schema, table)
        if constraint is None:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(schema, index)))
            rebuild.append((index, sql.SQL(statement)))
            continue
        name = sql.Identifier(constraint)
        connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(qualified, name))
        added = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(qualified, name).as_string(connection)
        rebuild.append((index, sql.SQL(added + definition)))
    return rebuild


def _timed(say: Say, what: str, work: Callable[[], object]) -> None:
    started = time.monotonic()
    work()
    say(f"{what:<32}{time.monotonic() - started:8.1f} s")


def main() -> None:
    """Generate into the database of ``--dsn``, or into one of the kept server."""
    from benchmarks import kept  # noqa: PLC0415 - it generates what it does not find

    parser = argparse.ArgumentParser(description="Fill a database with a scheduler's history in the native schema.")
    parser.add_argument("--dsn", help="an existing database; without it one is made in benchmarks/.data")
    parser.add_argument("--executions", type=int, default=10_000_000)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--schema", default="public")
    arguments = parser.parse_args()
    sizes = {"executions": arguments.executions, "jobs": arguments.jobs}
    if arguments.dsn:
        generate(arguments.dsn, **sizes, days=arguments.days, schema=arguments.schema)
        return
    with kept.server() as server:
        store = kept.store(server, **sizes)
        print(f"kept as database {store.name}, {store.megabytes():,} MB")


if __name__ == "__main__":
    main()
