"""The native schema's DDL."""

from __future__ import annotations

from exporter.stores.sql import statement


def ddl(schema: str) -> str:
    """The DDL of the native schema, for psql: tables, checks, indexes, in the given PostgreSQL schema."""
    quoted = '"' + schema.replace('"', '""') + '"'
    return statement("native").replace("{schema}", quoted)
