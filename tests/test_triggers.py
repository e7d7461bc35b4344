"""Jobs are triggered on real stores, a real Redis and over HTTP; what fails, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web
from psycopg import sql
from support import reviewer
from support.alerting import receiver, revealed
from support.ports import free_port
from support.postgres import Database
from support.procrastinate_jobs import Jobs
from support.redis_server import RedisServer, redis_server
from support.scheduler import native_store

from exporter import triggers
from exporter.config.model import Dsn, Duration, HttpTrigger, PostgresStore, Profile, RedisTrigger, SqlTrigger
from exporter.config.secrets import Secret
from exporter.errors import ActionConflict, ActionRefused, ActionUnavailable, NotFound, OutcomeUnknown, StoreError
from exporter.instruments import QueryInstruments
from exporter.ledger.ledger import Ledger
from exporter.snapshot import Hub
from exporter.stores.postgres import Store
from exporter.stores.trigger import ExecutionId, JobTrigger
from exporter.triggers import Order, Recorded, message

#: A slow machine is no server that does not answer.
PATIENT = Duration(60)


async def trigger(store: JobTrigger, order: Order) -> ExecutionId:
    return await triggers.trigger(store, order, revealed)


@contextlib.asynccontextmanager
async def opened(dsn: str, profile: Profile | str = "auto", **options: Any) -> AsyncIterator[JobTrigger]:
    config = PostgresStore(name="main", dsn=Dsn(dsn), profile=profile, **{"timeout": PATIENT, **options})
    async with Ledger(":memory:", budget=500) as ledger:
        store = Store(config, ledger=ledger, hub=Hub(), instruments=QueryInstruments(), budget=100)
        try:
            yield store.trigger
        finally:
            await store.close()


def job(database: Database, number: int) -> tuple[Any, ...]:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT status, next_run_at <= now(), type, schedule FROM jobs WHERE id = %s", [number]
        ).fetchone()
    assert row is not None
    return row


# -- a statement of the store


async def test_a_job_of_the_native_schema_is_due_at_once(database: Database) -> None:
    native_store(database)
    with database.connect() as connection:
        connection.execute("UPDATE jobs SET next_run_at = now() + interval '1 day'")
        connection.execute("UPDATE jobs SET status = 'RUNNING' WHERE id = 1")
        connection.execute("UPDATE jobs SET status = 'COMPLETED' WHERE id = 2")
    async with opened(database.dsn) as store:
        for number in ("1", "2", "4"):
            assert await trigger(store, Order(job_id=number)) is None
    assert job(database, 1) == ("RUNNING", True, "ONE_TIME", None), "running is no reason to refuse"
    assert job(database, 2) == ("QUEUED", True, "ONE_TIME", None)
    assert job(database, 4) == ("QUEUED", True, "RECURRING", "0 3 * * *")
    assert job(database, 3)[1] is False, "no other one"


@pytest.mark.parametrize("job_id", ["999", "nope", "1e0", "-1", str(2**70), "1; DROP TABLE jobs", "' OR 1=1 --", "1 "])
async def test_what_is_no_job_is_not_found(job_id: str, database: Database) -> None:
    native_store(database)
    async with opened(database.dsn) as store:
        if job_id == "1 ":  # PostgreSQL takes blanks round a number
            assert await trigger(store, Order(job_id=job_id)) is None
        else:
            with pytest.raises(NotFound, match="not found"):
                await trigger(store, Order(job_id=job_id))


async def test_procrastinate_gets_a_new_job_that_runs_as_the_old_one(database: Database) -> None:
    jobs = Jobs(database.dsn)
    expected = jobs.defer(1, 7)
    assert expected
    with database.connect() as connection:
        connection.execute("UPDATE procrastinate_jobs SET priority = 5, lock = 'l' WHERE id = 1")
    async with opened(database.dsn) as store:
        new = await trigger(store, Order(job_id="1"))
    assert isinstance(new, int)
    columns = "queue_name, task_name, priority, lock, queueing_lock, args"
    with database.connect() as connection:
        old, copy = connection.execute(
            f"SELECT {columns} FROM procrastinate_jobs WHERE id IN (1, %s) ORDER BY id", [new]
        ).fetchall()
        events = connection.execute("SELECT type::text FROM procrastinate_events WHERE job_id = %s", [new]).fetchall()
    assert old == copy
    assert events == [("deferred",)], "as if it had been deferred"


async def test_a_queueing_lock_of_procrastinate_is_kept(database: Database) -> None:
    Jobs(database.dsn)
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock) VALUES ('q', 't', 'one')"
        )
    async with opened(database.dsn) as store:
        with pytest.raises(ActionConflict, match="duplicate key"):
            await trigger(store, Order(job_id="1"))


async def test_a_periodic_task_of_procrastinate_runs_for_now(database: Database) -> None:
    Jobs(database.dsn)
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) SELECT 'q', 'nightly',"
            " '{\"timestamp\": 1000, \"a\": 1}', 'succeeded' FROM generate_series(1, 2)"
        )
        connection.execute(
            "INSERT INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp, job_id)"
            " VALUES ('nightly', 'p', 1000, 1), ('nightly', 'p', 2000, 2), ('other', '', 3000, NULL)"
        )
    async with opened(database.dsn) as store:
        assert await trigger(store, Order(job_id="nightly:p")) == 3
        with pytest.raises(NotFound):
            await trigger(store, Order(job_id="nightly"))
    with database.connect() as connection:
        row = connection.execute(
            "SELECT args->'a', extract(epoch FROM now()) - (args->>'timestamp')::bigint < 600, status::text"
            " FROM procrastinate_jobs WHERE id = 3"
        ).fetchone()
    assert row == (1, True, "todo")


async def test_a_role_that_may_not_is_told_so_and_one_that_may_needs_no_more(database: Database) -> None:
    native = native_store(database)
    async with opened(native.dsn) as store:
        with pytest.raises(ActionRefused, match=r"permission denied for table jobs.*the role may not: grant"):
            await trigger(store, Order(job_id="1"))
    role = sql.Identifier(f"monitor_{database.name}")
    with database.connect() as connection:
        connection.execute(sql.SQL("GRANT UPDATE (status, next_run_at, updated_at) ON jobs TO {}").format(role))
        connection.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(role))
    async with opened(native.dsn) as store:
        await trigger(store, Order(job_id="1"))
    assert job(database, 1)[1] is True


async def test_a_store_without_a_statement_says_what_to_set(reviewed: Database) -> None:
    async with opened(reviewed.dsn, reviewer.profile(trigger=None)) as store:
        with pytest.raises(ActionConflict, match=r"store main: nothing says how .* set stores\[\]\.trigger"):
            await trigger(store, Order(job_id="1"))


async def test_a_statement_of_the_configuration_goes_before_the_profiles(reviewed: Database) -> None:
    statement = "UPDATE {schema}.scheduled_tasks SET next_run_at = now() WHERE id = $1 RETURNING 'run-' || id"
    changed = reviewer.profile(parameters={"schema": "public"})
    async with opened(reviewed.dsn, changed, trigger=SqlTrigger(statement=statement)) as store:
        assert await trigger(store, Order(job_id="2")) == "run-2"
    assert len(reviewer.executions(reviewed)) == 1


async def test_a_locked_row_is_waited_for_in_vain_and_leaves_nothing(database: Database) -> None:
    native_store(database)
    async with opened(database.dsn) as store:
        with psycopg.connect(database.dsn) as other:
            other.execute("SELECT FROM jobs WHERE id = 1 FOR UPDATE")
            with pytest.raises(ActionUnavailable, match="locked by another session"):
                await trigger(store, Order(job_id="1"))
        await trigger(store, Order(job_id="1"))


async def test_what_is_refused_at_the_commit_was_not_done(reviewed: Database) -> None:
    with reviewed.connect() as connection:
        connection.execute(
            "CREATE TABLE held (id bigint REFERENCES scheduled_tasks DEFERRABLE INITIALLY DEFERRED);"
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO held VALUES (99); RETURN NEW; END $$;"
            "CREATE TRIGGER refuse AFTER INSERT ON task_executions FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    async with opened(reviewed.dsn, reviewer.profile()) as store:
        with pytest.raises(ActionConflict, match="violates foreign key"):
            await trigger(store, Order(job_id="1"))
    assert len(reviewer.executions(reviewed)) == 1


async def test_a_connection_that_breaks_at_the_commit_leaves_the_outcome_unknown(reviewed: Database) -> None:
    with reviewed.connect() as connection:
        connection.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON task_executions DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION die()"
        )
    async with opened(reviewed.dsn, reviewer.profile()) as store:
        with pytest.raises(OutcomeUnknown, match="broke off while the trigger was being committed"):
            await trigger(store, Order(job_id="1"))
        with pytest.raises(NotFound):
            await trigger(store, Order(job_id="99"))


async def test_a_store_that_is_down_was_not_asked() -> None:
    async with opened(f"postgresql://u@127.0.0.1:{free_port()}/x") as store:
        with pytest.raises(StoreError, match="no connection"):
            await trigger(store, Order(job_id="1"))


# -- Redis


def pushed(url: str, **options: Any) -> RedisTrigger:
    return RedisTrigger(**{"url": url, "list": "queue", "timeout": Duration(30), **options})


async def test_a_row_is_inserted_and_its_id_pushed(reviewed: Database, redis: RedisServer) -> None:
    redis.command("DEL", "queue")
    async with opened(reviewed.dsn, reviewer.profile(), trigger=pushed(redis.url)) as store:
        assert [await trigger(store, Order(job_id="1")) for _ in range(2)] == [2, 3], "while execution 1 runs"
        with pytest.raises(NotFound):
            await trigger(store, Order(job_id="77"))
    assert reviewer.executions(reviewed) == [(1, 1, "running"), (2, 1, "pending"), (3, 1, "pending")]
    assert [json.loads(text) for text in reversed(redis.messages("queue"))] == [
        {"task_id": 1, "execution_id": 2},
        {"task_id": 1, "execution_id": 3},
    ]


async def test_message_and_end_are_configured(reviewed: Database, redis: RedisServer) -> None:
    redis.command("DEL", "queue")
    options = pushed(redis.url, message='["run", {job_id}, {execution_id}]', end="right")
    async with opened(reviewed.dsn, reviewer.profile(trigger=None), trigger=options) as store:
        assert await trigger(store, Order(job_id="2")) is None
        assert await trigger(store, Order(job_id="1")) is None
        with pytest.raises(NotFound):
            await trigger(store, Order(job_id="77"))
    assert redis.messages("queue") == ['["run", 2, null]', '["run", 1, null]']
    assert len(reviewer.executions(reviewed)) == 1, "no statement, no row"


def test_an_id_stands_in_a_message_as_json() -> None:
    values = {"job_id": 'a"{execution_id}', "execution_id": None}
    assert message('{"j": {job_id}, "e": {execution_id}}', values) == '{"j": "a\\"{execution_id}", "e": null}'


async def test_a_redis_that_is_away_leaves_no_row(reviewed: Database) -> None:
    options = pushed(f"redis://127.0.0.1:{free_port()}/0")
    async with opened(reviewed.dsn, reviewer.profile(), trigger=options) as store:
        with pytest.raises(ActionUnavailable, match="Redis is away, nothing was done"):
            await trigger(store, Order(job_id="1"))
    assert len(reviewer.executions(reviewed)) == 1


async def test_a_redis_that_wants_a_password(reviewed: Database, tmp_path: Path) -> None:
    with redis_server(tmp_path, password="s3cret-pw") as server:
        for wrong in ({}, {"password": Secret("wrong-pw")}):
            async with opened(reviewed.dsn, reviewer.profile(), trigger=pushed(server.url, **wrong)) as store:
                with pytest.raises(ActionRefused, match="Redis refuses us") as refused:
                    await trigger(store, Order(job_id="1"))
                assert "wrong-pw" not in str(refused.value)
        assert len(reviewer.executions(reviewed)) == 1
        options = pushed(server.url, password=Secret("s3cret-pw"))
        async with opened(reviewed.dsn, reviewer.profile(), trigger=options) as store:
            assert await trigger(store, Order(job_id="1")) == 2
        assert len(server.messages("queue")) == 1


async def test_a_push_that_fails_leaves_a_row_that_can_be_pushed_again(reviewed: Database, redis: RedisServer) -> None:
    redis.command("SET", "taken", "no list")
    noted: list[Recorded] = []

    async def note(recorded: Recorded) -> None:
        noted.append(recorded)

    async with opened(reviewed.dsn, reviewer.profile(), trigger=pushed(redis.url, list="taken")) as store:
        with pytest.raises(OutcomeUnknown, match=r"WRONGTYPE.*the store has execution 2.*the same Idempotency-Key"):
            await trigger(store, Order(job_id="1", note=note))
        assert noted == [Recorded(execution_id=2)], "before the push"
        redis.command("DEL", "taken")
        assert await trigger(store, Order(job_id="1", recorded=noted[0])) == 2
    assert [execution for execution, *_ in reviewer.executions(reviewed)] == [1, 2], "one row"
    assert [json.loads(text) for text in redis.messages("taken")] == [{"task_id": 1, "execution_id": 2}]


async def test_a_redis_that_hangs_is_given_up(reviewed: Database) -> None:
    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        writer.close()

    port = free_port()
    async with await asyncio.start_server(hang, "127.0.0.1", port):
        options = pushed(f"redis://127.0.0.1:{port}/0", timeout=Duration(0.3))
        async with opened(reviewed.dsn, reviewer.profile(), trigger=options) as store:
            with pytest.raises(ActionUnavailable, match="nothing was done"):
                await trigger(store, Order(job_id="1"))
    assert len(reviewer.executions(reviewed)) == 1


# -- HTTP


async def test_a_request_is_sent_and_its_answer_has_the_id(reviewed: Database) -> None:
    answers = iter(
        [
            web.json_response({"execution_id": 7}, status=202),
            web.json_response({"id": "run-8", "other": True}),
            web.Response(status=204),
            web.json_response([1]),
        ]
    )
    async with receiver(lambda _: next(answers)) as server:
        config = HttpTrigger(url=f"{server.url}/jobs/{{job_id}}/run?now=1", token=Secret("t0k"), timeout=PATIENT)
        async with opened(reviewed.dsn, reviewer.profile(trigger=None), trigger=config) as store:
            order = Order(job_id="1", key="k-1", request_id="r-1")
            assert [await trigger(store, order) for _ in range(4)] == [7, "run-8", None, None]
            with pytest.raises(NotFound):
                await trigger(store, Order(job_id="77"))
    sent = server.requests[0]
    assert (sent.method, sent.path, json.loads(sent.body)) == (
        "POST", "/jobs/1/run?now=1", {"job_id": 1, "store": "main"}
    )  # fmt: skip
    told = {name: sent.headers[name] for name in ("idempotency-key", "x-request-id", "authorization")}
    assert told == {"idempotency-key": "k-1", "x-request-id": "r-1", "authorization": "Bearer t0k"}
    assert len(server.requests) == 4


async def test_an_id_is_no_path(reviewed: Database) -> None:
    with reviewed.connect() as connection:
        connection.execute("CREATE TABLE named AS SELECT '../a?b#c' AS id, 'QUEUED' AS status")
    named = Profile(jobs="SELECT n.id, n.status FROM named n")
    async with receiver(lambda _: web.Response()) as server:
        config = HttpTrigger(url=f"{server.url}/jobs/{{job_id}}/run", timeout=PATIENT)
        async with opened(reviewed.dsn, named, trigger=config) as store:
            await trigger(store, Order(job_id="../a?b#c"))
    assert server.requests[0].path == "/jobs/..%2Fa%3Fb%23c/run"


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (404, NotFound, "the scheduler knows none"),
        (409, ActionRefused, "refuses with status 409: busy"),
        (500, ActionRefused, "refuses with status 500: busy"),
        (301, ActionRefused, "refuses with status 301"),
    ],
)
async def test_an_answer_that_is_no_success(status: int, error: type[Exception], told: str, reviewed: Database) -> None:
    async with receiver(lambda _: web.Response(status=status, text="busy")) as server:
        config = HttpTrigger(url=server.url, timeout=PATIENT)
        async with opened(reviewed.dsn, reviewer.profile(), trigger=config) as store:
            with pytest.raises(error, match=told):
                await trigger(store, Order(job_id="1"))


async def test_no_answer_is_told_apart_from_no_connection(reviewed: Database) -> None:
    async with receiver(lambda _: web.Response()) as server:
        server.delay = 60
        config = HttpTrigger(url=server.url, timeout=Duration(1))
        async with opened(reviewed.dsn, reviewer.profile(), trigger=config) as store:
            with pytest.raises(OutcomeUnknown, match="may have triggered the job"):
                await trigger(store, Order(job_id="1"))
    config = HttpTrigger(url=f"http://127.0.0.1:{free_port()}/")
    async with opened(reviewed.dsn, reviewer.profile(), trigger=config) as store:
        with pytest.raises(ActionUnavailable, match="the scheduler is away: no connection"):
            await trigger(store, Order(job_id="1"))
