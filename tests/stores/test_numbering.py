"""What gives ids is another one: a table made anew, a sequence restarted, a server that lost what it had."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import structlog
from support.counting import WORK_BY_ID, Counter
from support.faulty_servers import LOCALHOST, give
from support.polling import until
from support.postgres import Database, execute, fresh_database, running_server
from support.replica import running_replica

from exporter.config.model import Cursor, Profile
from exporter.errors import StoreUnavailable
from exporter.stores import proof

WORK = "CREATE TABLE work (id bigserial PRIMARY KEY, ended timestamptz)"
DONE = "INSERT INTO {} (ended) SELECT clock_timestamp() FROM generate_series(1, {})"
BY_TIME = Profile(
    executions="SELECT id, 'SUCCESS' AS status, ended AS completed_at FROM work",
    cursor=Cursor(column="completed_at"),
    key=("id",),
)


@pytest.fixture(autouse=True)
def looking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "LOOK_SECONDS", 0.0)


#: What gives ids a second time, past those that were read, and what is told of it.
AGAIN = {
    "dropped": (("DROP TABLE work", WORK), "public.work was made anew"),
    "emptied": (("TRUNCATE work RESTART IDENTITY",), "public.work_id_seq was restarted"),
    "restarted": (("DELETE FROM work", "ALTER SEQUENCE work_id_seq RESTART"), "public.work_id_seq was restarted"),
    "swapped": (
        ("CREATE TABLE next (id bigserial, ended timestamptz)", "DROP TABLE work", "ALTER TABLE next RENAME TO work"),
        "public.work was made anew",
    ),
}


@pytest.mark.parametrize("how", AGAIN)
def test_ids_given_again_while_nobody_looked_are_told_at_once(database: Database, tmp_path: Path, how: str) -> None:
    statements, told = AGAIN[how]
    execute(database, WORK)
    with closing(Counter(database.dsn, WORK_BY_ID, tmp_path)) as counter:
        counter.poll()
        execute(database, DONE.format("work", 10))
        counter.poll()
        counter.kill()
        execute(database, *statements, DONE.format("work", 15))
        counter.start()
        counter.poll()
        assert counter.totals()["SUCCESS"] == 15, "10 of 15 are not counted: else nothing need be told any more"
        assert told in " ".join(counter.exactness_reasons())
        counter.kill()
        counter.start()
        counter.poll()
        assert counter.exactness_reasons() == (), "as long as the process runs, as all that may have been missed"


def test_a_sequence_that_is_restarted_between_two_polls_and_passed_is_told(database: Database, tmp_path: Path) -> None:
    execute(database, WORK, DONE.format("work", 10))
    with closing(Counter(database.dsn, WORK_BY_ID, tmp_path)) as counter:
        counter.poll()
        execute(database, "TRUNCATE work RESTART IDENTITY", DONE.format("work", 15))
        counter.poll()
        counter.poll()
        (reason,) = counter.exactness_reasons()
        assert "public.work_id_seq was restarted" in reason


NOT_AGAIN = {
    "written anew": ("VACUUM FULL work", "CLUSTER work USING work_pkey"),
    "emptied": ("TRUNCATE work",),
    "a column more": ("ALTER TABLE work ADD IF NOT EXISTS x int DEFAULT random()",),
    "nothing": (),
}


@pytest.mark.parametrize("how", NOT_AGAIN)
def test_ids_that_go_on_stay_exact(database: Database, tmp_path: Path, how: str) -> None:
    execute(database, WORK)
    with closing(Counter(database.dsn, WORK_BY_ID, tmp_path)) as counter:
        for _ in range(2):
            counter.poll()
            execute(database, DONE.format("work", 10))
            counter.poll()
            counter.kill()
            execute(database, *NOT_AGAIN[how], DONE.format("work", 5))
            counter.start()
            counter.poll()
        assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (30, ())


def test_partitions_come_and_go(database: Database, tmp_path: Path) -> None:
    made = "CREATE TABLE work_{0} PARTITION OF work FOR VALUES FROM ({1}) TO ({2})"
    execute(
        database,
        "CREATE TABLE work (id bigint GENERATED ALWAYS AS IDENTITY, ended timestamptz) PARTITION BY RANGE (id)",
        made.format(1, 1, 11),
    )
    with closing(Counter(database.dsn, WORK_BY_ID, tmp_path)) as counter:
        counter.poll()
        execute(database, DONE.format("work", 10), made.format(2, 11, 100), DONE.format("work", 10))
        counter.poll()
        execute(database, "ALTER TABLE work DETACH PARTITION work_1", "DROP TABLE work_1", DONE.format("work", 5))
        counter.poll()
        counter.poll()
        assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (25, ())


def test_a_server_that_went_back_is_told(tmp_path: Path) -> None:
    """A copy of its files put back: no promotion, the same identifier."""
    with running_server() as server, fresh_database(server) as database:
        execute(database, WORK, DONE.format("work", 10))
        server.stop()
        copy = server.directory / "copy"
        shutil.copytree(server.data, copy)
        give(copy)
        server.start()
        with closing(Counter(database.dsn, WORK_BY_ID, tmp_path)) as counter:
            counter.poll()
            execute(database, DONE.format("work", 100))
            counter.poll()
            counter.poll()  # how far it had come is written with the poll after the look
            assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (100, ())
            counter.kill()
            server.stop()
            shutil.rmtree(server.data)
            copy.rename(server.data)
            server.start()
            counter.start()
            counter.poll()
            assert "or restored to an earlier state" in " ".join(counter.exactness_reasons())


def test_a_promotion_ends_no_doubt(tmp_path: Path, open_directory: Callable[[str], Path]) -> None:
    """What was late on the standby is lost; what the primary had not sent yet may get its ids again."""
    with structlog.testing.capture_logs() as log, running_replica(open_directory("promoted")) as (primary, port):
        login = f"user=postgres password={primary.password} dbname=postgres"
        replica = f"host={LOCALHOST} port={port} {login}"
        both = f"host={LOCALHOST},{LOCALHOST} port={primary.port},{port} {login}"
        with (
            psycopg.connect(replica, autocommit=True) as admin,
            closing(Counter(replica, BY_TIME, tmp_path / "t")) as standby,
            closing(Counter(f"{both} target_session_attrs=read-write", WORK_BY_ID, tmp_path / "i")) as follows,
            closing(Counter(both, WORK_BY_ID, tmp_path / "e")) as either,
        ):
            with psycopg.connect(primary.dsn(), autocommit=True) as writer:
                writer.execute(WORK)
                until(lambda: admin.execute("SELECT to_regclass('work')").fetchone() != (None,), 30)
                for counter in (standby, follows, either):
                    counter.poll()
                assert "is a standby" in " ".join(standby.exactness_reasons())
                assert follows.exactness_reasons() == either.exactness_reasons() == ()
                admin.execute("SELECT pg_wal_replay_pause()")
                writer.execute(DONE.format("work", 3).encode())
                until(lambda: _received(admin, writer), 30)
            for counter in (follows, either):
                counter.poll()
            primary.stop("immediate")
            until(lambda: _polls(either), 30)
            admin.execute("SELECT pg_wal_replay_resume()")
            until(lambda: admin.execute("SELECT count(*) FROM work").fetchone() == (3,), 30)
            either.poll()
            assert either.totals()["SUCCESS"] == 3, "a standby that lags gives no id a second time"
            admin.execute("SELECT pg_promote()")
            admin.execute(DONE.format("work", 3).encode())
            until(lambda: _polls(follows), 30)
            for _ in range(2):
                standby.poll()
                either.poll()
            (reason,) = standby.exactness_reasons()
            assert "the server was a standby until now" in reason
            assert [c.totals()["SUCCESS"] for c in (standby, follows, either)] == [6, 6, 6]
            assert "the server was promoted" in " ".join(follows.exactness_reasons())
    assert not [line for line in log if "nothing stands against" in line["event"]]


def _received(replica: psycopg.Connection, primary: psycopg.Connection) -> bool:
    (written,) = primary.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,)
    return replica.execute("SELECT pg_last_wal_receive_lsn() >= %s::pg_lsn", (written,)).fetchone() == (True,)


def _polls(counter: Counter) -> bool:
    try:
        counter.poll()
    except StoreUnavailable:
        return False
    return bool(counter.exactness_reasons())
