"""Profiles as people get them wrong: each mistake is told in words that lead to the remedy; none breaks anything."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.checking import findings, report
from support.counting import Counter
from support.postgres import Database, execute

from exporter.config.model import Cursor, Duration, Profile

RUNS = """
CREATE TABLE runs (id bigserial PRIMARY KEY, started timestamptz, ended timestamptz);
CREATE INDEX ON runs (ended);
INSERT INTO runs (started, ended) SELECT now() - n * interval '61.7 s', now() - n * interval '61.7 s' + interval '3 s'
FROM generate_series(1, 40) n;
ANALYZE runs
"""
JOBS = "SELECT id, 'QUEUED' AS status FROM"
RUN = "SELECT id, 'SUCCESS' AS status, {} AS completed_at FROM runs"
ENDED = Cursor(column="completed_at")


def by_id(position: str, unfinished: str | None = None) -> Profile:
    cursor = Cursor(column="id", kind="id", position=position, unfinished=unfinished)
    return Profile(executions="SELECT id, 'SUCCESS' AS status FROM runs", cursor=cursor, key=("id",))


def by_time(executions: str, cursor: Cursor = ENDED) -> Profile:
    return Profile(executions=executions, cursor=cursor, key=("id",))


MISTAKES = {
    "a parameter's name": (
        Profile(jobs=f"{JOBS} {{schem}}.runs", parameters={"schema": "public"}),
        "'schem' is no parameter of the profile (known: schema); did you mean \"schema\"?",
    ),
    "a statement that writes": (
        Profile(jobs="INSERT INTO runs (ended) VALUES (now()) RETURNING id, 'QUEUED' AS status"),
        "Expected a SELECT: a profile only reads, and INSERT does not.",
    ),
    "a parenthesis": (Profile(jobs=f"{JOBS} runs WHERE (id = 1"), "is a parenthesis or a comma left open?"),
    "the least id": (by_id("SELECT min(id) FROM runs"), "cursor.position gives 1, and there is an execution 40"),
}


@pytest.mark.parametrize("which", MISTAKES)
async def test_what_cannot_work_is_a_fault(database: Database, which: str) -> None:
    execute(database, RUNS)
    profile, told = MISTAKES[which]
    (found,) = findings(await report(database.dsn, profile), "fault")
    assert told in " ".join((found["text"], *found["lines"]))


#: Seconds that all else takes less than, on a machine however busy.
TIMEOUT = 2
DOUBTFUL = {
    "a LIMIT": (by_time(RUN.format("ended") + " ORDER BY ended DESC LIMIT 10"), "`executions` ends with LIMIT"),
    "a LIMIT in a branch": (
        by_time(RUN.format("ended") + " UNION ALL (" + RUN.format("ended") + " OFFSET 60)"),
        "`executions` ends with LIMIT",
    ),
    "a LIMIT of jobs": (Profile(jobs=f"{JOBS} runs LIMIT 100"), "it ends with LIMIT"),
    "whole minutes": (
        by_time(RUN.format("date_trunc('minute', ended)")),
        "whole multiples of 1m: what ends within one is behind it by then",
    ),
    "whole days": (by_time(RUN.format("date_trunc('day', ended, 'UTC')")), "a `counting.late_window` of more than 1d"),
    "the start": (
        by_time(RUN.format("started").replace("'SUCCESS'", "started AS started_at, 'SUCCESS'")),
        "in each of 40 executions the cursor, completed_at, is started_at",
    ),
    "too slow": (
        Profile(jobs="SELECT id, 'QUEUED' AS status, pg_sleep(10) FROM runs"),
        f"it is too slow: sample: longer than the timeout of {TIMEOUT} s",
    ),
}


@pytest.mark.parametrize("which", DOUBTFUL)
async def test_what_loses_is_a_warning(database: Database, which: str) -> None:
    execute(database, RUNS)
    profile, told = DOUBTFUL[which]
    store = await report(database.dsn, profile, **({"timeout": Duration(TIMEOUT)} if which == "too slow" else {}))
    level = "note" if which == "the start" else "warning"  # nor is it one, where nothing takes any time
    assert told in " ".join(one["text"] for one in findings(store, level))


async def test_a_limit_of_a_look_up_is_none_of_the_whole(database: Database) -> None:
    execute(database, RUNS)
    of_each = "(SELECT r.started FROM runs r WHERE r.id = runs.id ORDER BY r.id LIMIT 1)"
    lateral = f"{RUN.format('ended')} JOIN LATERAL {of_each} s ON true"
    profile = by_time(
        lateral.replace("SELECT id", "SELECT runs.id, s.started AS started_at").replace("ended", "runs.ended")
    )
    assert findings(await report(database.dsn, profile)) == []


async def test_tables_that_were_never_analysed_are_named(database: Database) -> None:
    execute(database, RUNS.replace("ANALYZE runs", "CREATE TABLE empty (id int)"))
    profile = Profile(jobs=f"{JOBS} runs", running="SELECT id FROM empty")
    (found,) = findings(await report(database.dsn, profile), "note")
    assert "never analysed, so rows in the plans are guesses, and the plans may change: public.runs." in found["text"]
    execute(database, *found["remedy"])
    assert findings(await report(database.dsn, profile), "note") == []


def test_no_row_is_no_id(database: Database, tmp_path: Path) -> None:
    """ORDER BY ... LIMIT 1 of an empty table gives no row, where max() gives NULL."""
    execute(database, RUNS, "DELETE FROM runs")
    of = "SELECT id FROM runs {} ORDER BY id DESC LIMIT 1"
    profile = by_id(of.format(""), of.format("WHERE id > $1 AND ended IS NULL"))
    with closing(Counter(database.dsn, profile, tmp_path)) as counter:
        counter.poll()
        execute(database, "INSERT INTO runs (ended) VALUES (now())")
        counter.poll()
        assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (1, ())


def test_a_running_sidecar_says_what_loses_too(database: Database, tmp_path: Path) -> None:
    execute(database, RUNS)
    for which in ("a LIMIT", "whole minutes"):
        profile, told = DOUBTFUL[which]
        with closing(Counter(database.dsn, profile, tmp_path / which)) as counter:
            counter.poll()
            counter.backfill()
            counter.poll()
            assert told in " ".join(counter.exactness_reasons())
    profile, _ = DOUBTFUL["whole minutes"]
    with closing(Counter(database.dsn, profile, tmp_path / "long", late_window=61)) as counter:
        counter.poll()
        counter.backfill()
        counter.poll()
        assert counter.exactness_reasons() == ()
