"""Queries whose rows are what is now: every usage of postgres_exporter's files, and rows of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.packs import Asked, config_of, gauge, own, values, write
from support.postgres import Database

from exporter.domain import Histogram
from exporter.errors import PackError, StoreError

FILES = Path(__file__).parent / "files"
MakeAsked = Callable[..., Asked]


@pytest.fixture
def asked(database: Database, tmp_path: Path) -> Iterator[MakeAsked]:
    """Makes packs, asked by hand."""
    made: list[Asked] = []

    def make(text: Any, **options: Any) -> Asked:
        name = str(text) if isinstance(text, Path) else write(tmp_path, text)
        made.append(Asked(config_of(database.dsn, name, **options), tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


def foreign(query: str, **columns: Any) -> dict[str, Any]:
    """A file of postgres_exporter's form."""
    metrics = [{name: {"usage": usage} if isinstance(usage, str) else usage} for name, usage in columns.items()]
    return {"pg_x": {"query": query, "metrics": metrics}}


def test_published_queries_give_their_metrics(database: Database, asked: MakeAsked) -> None:
    with database.connect() as admin:
        admin.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE EXTENSION pg_stat_statements")
    one = asked(FILES / "postgres_exporter_queries.yaml")
    pack = "postgres_exporter_queries"
    assert values(one.ask("pg_replication", pack), "pg_replication_lag") == {(): 0}
    assert values(one.ask("pg_postmaster", pack), "pg_postmaster_start_time_seconds")[()] > 1.7e9  # type: ignore[operator]
    tables = one.ask("pg_stat_user_tables", pack)
    assert values(tables, "pg_stat_user_tables_n_tup_ins") == {(database.name, "public", "t"): 0}
    assert values(tables, "pg_stat_user_tables_last_vacuum") == {(database.name, "public", "t"): 0}
    with database.connect():  # a session that is idle
        idle = values(one.ask("pg_process_idle", pack), "pg_process_idle_seconds")
    assert idle
    assert all(isinstance(value, Histogram) and len(value.counts) == 10 for value in idle.values())
    with pytest.raises(PackError, match=r"pg_stat_statements.sql: column .total_time. does not exist"):
        one.ask("pg_stat_statements", pack)
    assert one.ask("pg_statio_user_tables", pack) is not None, "after a query that failed"


def test_published_test_files_give_what_can_be_shown(asked: MakeAsked, capsys: pytest.CaptureFixture[str]) -> None:
    pack = "postgres_exporter_user_queries_test"
    answer = asked(FILES / f"{pack}.yaml").ask("random", pack)
    [value] = values(answer, "random_histogram").values()
    assert isinstance(value, Histogram)
    assert value.count == 100
    told = capsys.readouterr().out
    for name in ("missing_bucket", "missing_sum_sum", "missing_count_count"):
        assert f"the SELECT gives no column {name}" in told
    assert "random_unexpected_bytes: bounds, buckets, sum and count of a row make no histogram" in told


def test_every_usage(asked: MakeAsked) -> None:
    query = """
      SELECT 'a"b\\c' || chr(10) AS name, 12.5::numeric AS num, true AS yes, '2026-01-01Z'::timestamptz AS at,
             '1.5'::text AS text, 'replica'::text AS role, '1m30s'::text AS took, interval '2 s' AS span, 7 AS extra,
             '16384'::oid AS oid, 'left out'::text AS other, 3 AS no,
             ARRAY[10, 1, 5]::numeric[] AS h, ARRAY[6, 1, 4] AS h_bucket, 20 AS h_sum, 9 AS h_count
      -- the end"""
    answer = asked(
        foreign(
            query,
            name="LABEL", num="GAUGE", yes="GAUGE", at="GAUGE", text="COUNTER", oid="gauge", took="DURATION",
            span="DURATION", no="DISCARD", h="HISTOGRAM",
            role={"usage": "MAPPEDMETRIC", "metric_mapping": {"primary": 0, "replica": 1}},
        )
    ).ask("pg_x")  # fmt: skip
    assert answer is not None
    label = ('a"b\\c\n',)
    found = {shown.name: (shown.kind, dict(shown.samples)[label]) for shown in answer.shown}
    assert found == {
        "pg_x_num": ("gauge", 12.5), "pg_x_yes": ("gauge", 1), "pg_x_at": ("gauge", 1767225600),
        "pg_x_text": ("counter", 1.5), "pg_x_oid": ("gauge", 16384), "pg_x_took_milliseconds": ("gauge", 90_000),
        "pg_x_span_milliseconds": ("gauge", 2000), "pg_x_role": ("gauge", 1), "pg_x_extra": ("untyped", 7),
        "pg_x_h": ("histogram", Histogram((1, 3, 2, 3), 20)),
    }  # fmt: skip


def test_values_that_cannot_be_shown_are_left_out_and_told_once(
    asked: MakeAsked, capsys: pytest.CaptureFixture[str]
) -> None:
    query = """
      SELECT * FROM (VALUES (1, NULL::float8, 'x', -1), (2, 'NaN', '5', 2), (3, 'Infinity', NULL, 3), (4, 2.5, '6', 4))
        AS v (id, g, t, c)"""
    one = asked(foreign(query, id="LABEL", g="GAUGE", t="GAUGE", c="COUNTER"))
    for _ in range(3):
        answer = one.ask("pg_x")
        assert values(answer, "pg_x_g") == {("4",): 2.5}
        assert values(answer, "pg_x_t") == {("2",): 5, ("4",): 6}
        assert values(answer, "pg_x_c") == {("2",): 2, ("3",): 3, ("4",): 4}
    told = capsys.readouterr().out
    assert told.count("pg_x_g: a value is nan, which is no finite number") == 1
    assert told.count("pg_x_t: a value is not a number") == 1
    assert told.count("pg_x_c: a counter's value is negative") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (own("SELECT 1 AS v FROM generate_series(1, 2)", {"x": gauge()}), "two rows have the same labels"),
        (own("SELECT repeat('x', 300) || i AS l, 1 AS v FROM generate_series(1, 2) i", {"x": gauge(labels=["l"])}),
         "the first 200 characters count"),
        (own("SELECT i AS l, 1 AS v FROM generate_series(1, 10001) i", {"x": gauge(labels=["l"])}),
         "more than 10,000 rows"),
        (own("SELECT 1 AS w", {"x": gauge()}), r"q.metrics.x.value: the SELECT gives no column .v."),
        (own("SELECT 'a' AS v", {"x": gauge()}), r"column v is of type text, no number"),
        (own("SELEC 1", {"x": gauge()}), r"q.sql: syntax error at or near"),
        (own("DELETE FROM pg_class", {"x": gauge()}), r"q.sql: syntax error|cannot"),
        (own("SELECT nextval('s') AS v", {"x": gauge()}), r"q.sql: cannot execute nextval\(\) in a read-only"),
        (own("SELECT v FROM secret", {"x": gauge()}), r"GRANT SELECT on the table"),
        (own("SELECT 1 / 0 AS v", {"x": gauge()}), r"q.sql: division by zero"),
        (own("SELECT v FROM slow, pg_sleep(9)", {"x": gauge()}, timeout="200ms"), r"q.timeout: no answer within"),
        (foreign("SELECT 1 AS v", v="GAUGE", l="LABEL"), r"pg_x.metrics: the SELECT gives no column .l."),
    ],
)  # fmt: skip
def test_faults(text: Any, told: str, database: Database, tmp_path: Path) -> None:
    with database.connect() as admin:
        admin.execute(
            "CREATE SEQUENCE s; CREATE TABLE secret (v int); CREATE TABLE slow (v int); INSERT INTO slow VALUES (1)"
        )
        admin.execute(f"CREATE ROLE r_{database.name} LOGIN PASSWORD 'x'; GRANT ALL ON slow, s TO PUBLIC")
    one = Asked(config_of(database.dsn_as(f"r_{database.name}", "x"), write(tmp_path, text)), tmp_path)
    try:
        name = next(iter(one.collectors)).rpartition(":")[2]
        for _ in range(2):
            with pytest.raises((PackError, StoreError), match=told):
                one.ask(name)
    finally:
        one.close()


def test_the_greatest_values_keep_their_series(asked: MakeAsked) -> None:
    text = own("SELECT i AS l, i AS v FROM generate_series(1, 50) i", {"x": gauge(labels=["l"])})
    answer = asked(text, budget=3).ask("q")
    assert values(answer, "x") == {("50",): 50, ("49",): 49, ("48",): 48}
    assert answer is not None
    assert answer.shown[0].dropped == 47


def test_conditions(database: Database, asked: MakeAsked) -> None:
    column = {"metrics": [{"v": {"usage": "GAUGE"}}]}
    conditions = {
        "old": {"runonserver": "<10"}, "new": {"runonserver": ">=10.0.0 <99"}, "elsewhere": {"target_databases": ["x"]},
        "here": {"target_databases": [database.name]}, "no": {"predicate_query": "SELECT false"},
        "yes": {"predicate_query": "SELECT true"}, "none": {"predicate_query": "SELECT true WHERE false"},
        "primary": {"primary": True}, "text": {"predicate_query": "SELECT 'yes'"},
    }  # fmt: skip
    one = asked({name: {"query": "SELECT 1 AS v", **column, **more} for name, more in conditions.items()})
    shown = {name for name in conditions if name != "text" and one.ask(name) is not None}
    assert shown == {"new", "here", "yes", "primary"}
    with pytest.raises(PackError, match=r"text.predicate_query: expected one boolean column"):
        one.ask("text")


def test_a_name_that_columns_make_must_be_free(asked: MakeAsked, capsys: pytest.CaptureFixture[str]) -> None:
    text = {
        "pg_x": {"query": "SELECT 1 AS v_y, 2 AS w, 3 AS \"odd name\"", "metrics": [{"w": {"usage": "GAUGE"}}]},
        "pg_x_v": {"query": "SELECT 1 AS y", "metrics": [{"y": {"usage": "GAUGE"}}]},
    }  # fmt: skip
    answer = asked(text).ask("pg_x")
    assert answer is not None
    assert [shown.name for shown in answer.shown] == ["pg_x_w"]
    told = capsys.readouterr().out
    assert "column v_y: the name pg_x_v_y is taken by ./queries.yaml:" in told
    assert "column odd name: expected a metric's name" in told
