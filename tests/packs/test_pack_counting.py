"""Rows of a pack's query are counted once: through restarts, late commits, deletions, and whatever the rows hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.packs import Asked, config_of, own, values, write
from support.postgres import Database
from support.scheduler import monitor

from exporter.domain import Histogram
from exporter.errors import PackError, StoreTooSlow
from exporter.packs import counting
from exporter.stores.rows import Width

TABLE = """
CREATE TABLE mail (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text, status text NOT NULL DEFAULT 'sent',
                   bytes double precision, took interval, done timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON mail (done);
"""
METRICS: dict[str, Any] = {
    "mail_total": {"type": "counter", "help": "Mails.", "labels": ["kind", "status"]},
    "mail_bytes_total": {"type": "counter", "help": "Bytes.", "value": "bytes"},
    "mail_seconds": {"type": "histogram", "help": "Time.", "value": "took", "buckets": [1, 10]},
}
BY_TIME = own("SELECT id, kind, status, bytes, took, done FROM mail -- all", METRICS, cursor={"column": "done"})
BY_ID = own(
    "SELECT id, kind, status, bytes, took FROM mail",
    METRICS,
    cursor={"column": "id", "kind": "id", "position": "SELECT max(id) FROM mail"},
)
MakeAsked = Callable[..., Asked]


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """The table, and who writes it."""
    with database.connect() as connection:
        connection.execute(TABLE)
        yield connection


@pytest.fixture
def asked(admin: psycopg.Connection[Any], database: Database, tmp_path: Path) -> Iterator[MakeAsked]:
    """Makes packs of one file, asked by hand as the role that the documents ask for."""
    made: list[Asked] = []
    dsn = monitor(database)

    def make(text: dict[str, Any], **options: Any) -> Asked:
        made.append(Asked(config_of(dsn, write(tmp_path, text), **options), tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


def send(connection: psycopg.Connection[Any], count: int = 1, **columns: Any) -> None:
    """Rows that end now."""
    names = ", ".join(columns)
    marks = ", ".join(["%s"] * len(columns))
    connection.execute(
        f"INSERT INTO mail ({names}) SELECT {marks} FROM generate_series(1, {count})", list(columns.values())
    )


@pytest.mark.parametrize("text", [BY_TIME, BY_ID], ids=["time", "id"])
def test_rows_are_counted_once_through_restarts_and_late_commits(
    text: dict[str, Any], admin: psycopg.Connection[Any], database: Database, asked: MakeAsked
) -> None:
    send(admin, 7, kind="old", bytes=1)
    one = asked(text, late_window=0.2)
    first = one.ask("q")
    assert values(first, "mail_total") == {("old", "sent"): 0}, "history is not counted, its labels are shown"
    assert values(first, "mail_bytes_total") == {(): 0}
    picked = random.Random(7)
    truth = {"a": 0, "b": 0}
    with database.connect(autocommit=False) as late:
        send(late, 3, kind="a", bytes=10)
        truth["a"] += 3
        for turn in range(12):
            kind, count = picked.choice("ab"), picked.randint(0, 40)
            send(admin, count, kind=kind, bytes=2, took="2 s")
            truth[kind] += count
            counted = values(one.ask("q"), "mail_total")
            if turn == 4:
                one.restart()
            if turn == 6:
                late.commit()
            if turn == 8:
                admin.execute("DELETE FROM mail WHERE kind = 'a'")
                one.stop()
                send(admin, 5, kind="b", bytes=2, took="2 s")
                truth["b"] += 5
                one.start()
            assert all(counted[k, "sent"] <= n for k, n in truth.items() if (k, "sent") in counted)
    answer = one.ask("q")
    shown = {kind: n for (kind, _), n in values(answer, "mail_total").items()}
    assert shown == {"old": 0, **truth}
    histogram = values(answer, "mail_seconds")[()]
    assert isinstance(histogram, Histogram)
    amount = truth["a"] + truth["b"] - 3
    assert histogram.counts == (0, amount, 0)
    assert values(answer, "mail_bytes_total")[()] == 2 * amount + 30
    assert answer is not None
    assert answer.exact is True


def test_catching_up_counts_in_slices(admin: psycopg.Connection[Any], asked: MakeAsked) -> None:
    one = asked(BY_TIME)
    one.ask("q")
    one.stop()
    send(admin, 30_000, kind="many", bytes=0.5)
    one.start()
    answer = one.ask("q")
    assert values(answer, "mail_total")["many", "sent"] == 30_000
    assert values(answer, "mail_bytes_total")[()] == 15_000


def test_a_file_that_changes_keeps_what_still_means_the_same(
    admin: psycopg.Connection[Any], asked: MakeAsked, tmp_path: Path
) -> None:
    one = asked(BY_TIME)
    one.ask("q")
    send(admin, 4, kind="a", bytes=1, took="2 s")
    assert values(one.ask("q"), "mail_total")["a", "sent"] == 4
    one.stop()
    changed = {
        **METRICS,
        "mail_total": {**METRICS["mail_total"], "labels": ["kind"]},
        "mail_new_total": {"type": "counter", "help": "New."},
    }
    write(tmp_path, own("SELECT * FROM mail", changed, cursor={"column": "done"}))
    one.start()
    send(admin, 2, kind="a", bytes=1)
    answer = one.ask("q")
    assert values(answer, "mail_total") == {("a",): 2}, "other labels are other series"
    assert values(answer, "mail_new_total") == {(): 2}
    assert values(answer, "mail_bytes_total") == {(): 6}


def test_known_label_values_are_there_from_the_beginning(admin: psycopg.Connection[Any], asked: MakeAsked) -> None:
    metric = {**METRICS["mail_total"], "labels": ["status"], "values": {"status": ["sent", "failed"]}}
    answer = asked(own("SELECT * FROM mail", {"mail_total": metric}, cursor={"column": "done"})).ask("q")
    assert values(answer, "mail_total") == {("sent",): 0, ("failed",): 0}


def test_the_budget_folds_label_sets_and_counts_them(admin: psycopg.Connection[Any], asked: MakeAsked) -> None:
    one = asked(BY_TIME, budget=4)
    one.ask("q")
    for number in range(9):
        send(admin, 2, kind=f"k{number}")
        one.ask("q")
    one.restart()
    send(admin, 1, kind="k0")
    send(admin, 1, kind="k8")
    answer = one.ask("q")
    found = values(answer, "mail_total")
    assert found == {("k0", "sent"): 3, ("k1", "sent"): 2, ("k2", "sent"): 2, ("other", "other"): 13}
    assert answer is not None
    assert {shown.name: shown.dropped for shown in answer.shown}["mail_total"] == 1, "since the start"


def test_values_that_add_nothing(
    admin: psycopg.Connection[Any], asked: MakeAsked, capsys: pytest.CaptureFixture[str]
) -> None:
    one = asked(BY_TIME)
    one.ask("q")
    for amount in ("NaN", "Infinity", "-Infinity", -3, None, 5):
        send(admin, 1, kind="a", bytes=amount)
    send(admin, 1, kind=None, took="-1 s")
    for _ in range(3):
        answer = one.ask("q")
        assert values(answer, "mail_bytes_total") == {(): 5}
        assert values(answer, "mail_total") == {("a", "sent"): 6, ("", "sent"): 1}
        assert values(answer, "mail_seconds") == {(): Histogram((0, 0, 0), 0.0)}
    told = capsys.readouterr().out
    assert told.count("which is no finite number; it is not counted") == 3  # nan, inf, -inf: once each
    assert told.count("column bytes: a value is negative") == 1
    assert told.count("column took: a value is negative") == 1


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (own("SELECT id, done FROM mails", {"x_total": METRICS["mail_bytes_total"]}, cursor={"column": "done"}),
         r"queries.yaml:\d+: q.sql: relation .mails. does not exist \(SQLSTATE 42P01\); does the table exist"),
        (own("SELECT id, don FROM mail", {"x_total": METRICS["mail_bytes_total"]}, cursor={"column": "done"}),
         r"q.sql: column .don. does not exist .* correct the column"),
        (own("SELECT id, status, done FROM mail", {"x_total": METRICS["mail_total"]}, cursor={"column": "done"}),
         r"q.metrics.x_total.labels: the SELECT gives no column .kind."),
        (own("SELECT id, status, done FROM mail", {"x_total": METRICS["mail_total"]}, cursor={"column": "donee"}),
         r"q.cursor.column: the SELECT gives no column .donee.; did you mean .done."),
        (own("SELECT done FROM mail", {"x_total": {"type": "counter", "help": "x"}}, cursor={"column": "done"}),
         r"q.key: the SELECT gives no column .id."),
        (own("SELECT * FROM mail", {"x_total": {"type": "counter", "help": "x"}}, cursor={"column": "id"}),
         r"q.cursor: column .id. is of type bigint; a cursor of kind timestamp needs"),
        (own("SELECT * FROM mail", {"x_total": {"type": "counter", "help": "x", "value": "kind"}},
             cursor={"column": "done"}),
         r"q.metrics.x_total.value: column .kind. is of type text, no number; cast it"),
        (own("SELECT id, id, done FROM mail", {"x_total": {"type": "counter", "help": "x"}}, cursor={"column": "done"}),
         r"q: the SELECT gives .id. more than once"),
    ],
)  # fmt: skip
def test_faults_name_the_place_and_the_remedy(
    query: dict[str, Any], told: str, admin: psycopg.Connection[Any], asked: MakeAsked
) -> None:
    with pytest.raises(PackError, match=told):
        asked(query).ask("q")


def test_a_table_that_comes_later_is_counted_then(admin: psycopg.Connection[Any], asked: MakeAsked) -> None:
    one = asked(own("SELECT * FROM later", {"x_total": {"type": "counter", "help": "x"}}, cursor={"column": "done"}))
    with pytest.raises(PackError):
        one.ask("q")
    admin.execute("CREATE TABLE later (LIKE mail INCLUDING ALL)")
    admin.execute("GRANT SELECT ON later TO PUBLIC")
    assert values(one.ask("q"), "x_total") == {(): 0}
    admin.execute("INSERT INTO later (kind) VALUES ('a')")
    assert values(one.ask("q"), "x_total") == {(): 1}


def test_its_own_timeout_ends_a_slow_query(admin: psycopg.Connection[Any], asked: MakeAsked) -> None:
    query = own(
        "SELECT m.*, pg_sleep(20) AS slept FROM (SELECT id, done FROM mail UNION ALL SELECT 0, now()) m",
        {"x_total": {"type": "counter", "help": "x"}},
        cursor={"column": "done"},
        timeout="300ms",
        key=["id", "slept"],
    )
    with pytest.raises(StoreTooSlow, match=r"q.timeout: no answer within the timeout; make the SELECT cheaper"):
        asked(query).ask("q")


def test_a_crowd_with_one_stamp_is_read_a_few_times(
    admin: psycopg.Connection[Any], asked: MakeAsked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SLICE_ROWS", (10, 20))
    crowded: list[int] = []
    told = Width.crowded
    monkeypatch.setattr(Width, "crowded", lambda width, *how: (crowded.append(1), told(width, *how))[1])
    one = asked(BY_TIME, late_window=2)
    one.ask("q")
    admin.execute("INSERT INTO mail (done) SELECT now() FROM generate_series(1, 300)")
    admin.execute("SELECT pg_sleep(1)")
    assert values(one.ask("q"), "mail_total") == {("", "sent"): 300}
    assert 1 <= len(crowded) <= 3
