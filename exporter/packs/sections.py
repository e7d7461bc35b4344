"""The two forms that a pack's file may have, as sections: our own, and postgres_exporter's query files."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from exporter.config.base import Positive, Section, Sql, Text
from exporter.config.model import Cursor


class OwnMetric(Section, frozen=True, kw_only=True):
    """A metric: which columns its labels and its value are."""

    type: Literal["gauge", "counter", "histogram"]
    help: Text
    labels: tuple[Text, ...] = ()
    value: Text | None = None
    buckets: tuple[float, ...] = ()
    values: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - msgspec copies it


class OwnQuery(Section, frozen=True, kw_only=True):
    """A SELECT; with a cursor its rows are counted, else they are gauges."""

    sql: Sql
    metrics: dict[str, OwnMetric]
    cursor: Cursor | None = None
    key: Annotated[tuple[Text, ...], Meta(min_length=1)] = ("id",)
    interval: Positive | None = None
    timeout: Positive | None = None


class OwnPack(Section, frozen=True, kw_only=True):
    """A file of our own form: queries by name."""

    queries: dict[str, OwnQuery]
    description: str = ""


class ForeignColumn(Section, frozen=True, kw_only=True):
    """What a column of a postgres_exporter query is."""

    usage: Text
    description: str = ""
    metric_mapping: dict[str, float] = {}  # noqa: RUF012 - msgspec copies it
    mapping: dict[str, float] = {}  # noqa: RUF012 - msgspec copies it
    pg_version: Text | None = None
    name: Text | None = None


class ForeignQuery(Section, frozen=True, kw_only=True):
    """A query of a postgres_exporter file, with what its relatives have added."""

    query: str = ""
    metrics: tuple[dict[str, ForeignColumn], ...] = ()
    master: bool = False
    primary: bool = False
    cache_seconds: Annotated[int, Meta(ge=0)] = 0
    runonserver: str = ""
    predicate_query: str = ""
    target_databases: tuple[Text, ...] = ()
    name: Text | None = None
