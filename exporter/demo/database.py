"""The shop's database: its roles, the scheduler's schema, and what the sidecar may see of it.

``python -m exporter.demo.database`` makes the schema alone, in the database of ``SCHEDULER_EXPORTER_DEMO_DSN``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from psycopg import sql

from exporter.demo.postgres import PostgresServer
from exporter.demo.workspace import secret

NAME: Final = "shop"
OWNER: Final = "shop"
MONITOR: Final = "monitor"
DSN_VARIABLE: Final = "SCHEDULER_EXPORTER_DEMO_DSN"
"""The environment variable of the owner's DSN for its workers: it holds a password, so it is no argument."""


class ShopDatabase(msgspec.Struct, frozen=True):
    """How to reach it: as the application, and as the sidecar."""

    owner_dsn: str
    monitor_dsn: str
    monitor_password_file: Path


def create_shop(server: PostgresServer, directory: Path) -> ShopDatabase:
    """Make roles, database and schema; in a directory that was kept, those that are there stay."""
    passwords = {role: secret(directory / f"{role}.password") for role in (OWNER, MONITOR)}
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for role, password in passwords.items():
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            command = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
            admin.execute(command.format(sql.Identifier(role), sql.Literal(password)))
        admin.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(MONITOR)))
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone() is None:
            create = sql.SQL("CREATE DATABASE {} OWNER {}")
            admin.execute(create.format(sql.Identifier(NAME), sql.Identifier(OWNER)))
    owner_dsn = server.dsn(NAME, OWNER, passwords[OWNER])
    create_schema(owner_dsn)
    return ShopDatabase(
        owner_dsn=owner_dsn,
        monitor_dsn=server.dsn(NAME, MONITOR, passwords[MONITOR]),
        monitor_password_file=directory / f"{MONITOR}.password",
    )


def create_schema(owner_dsn: str) -> None:
    """Make the scheduler's tables, unless they are there; the role ``monitor`` may read them."""
    from procrastinate.schema import SchemaManager  # noqa: PLC0415 - an extra: needed by the demo alone

    with psycopg.connect(owner_dsn) as owner:
        if owner.execute("SELECT to_regclass('procrastinate_jobs')").fetchone() == (None,):
            owner.execute(SchemaManager.get_schema())
        owner.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(sql.Identifier(MONITOR)))


if __name__ == "__main__":
    create_schema(os.environ[DSN_VARIABLE])
