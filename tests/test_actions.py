"""An action is done once for its key, whoever asks how often, and whatever ends the process; each is audited."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support import reviewer
from support.alerting import receiver, revealed
from support.ports import free_port
from support.postgres import Database
from support.redis_server import RedisServer

from exporter.actions import Actions, Asker, Outcome
from exporter.config.model import Dsn, Duration, HttpTrigger, PostgresStore, RedisTrigger
from exporter.errors import ActionConflict, ActionUnavailable, NotFound, OutcomeUnknown
from exporter.instruments import QueryInstruments
from exporter.ledger.audit import AuditTrail
from exporter.ledger.idempotency import Idempotency
from exporter.ledger.ledger import Ledger
from exporter.snapshot import Hub
from exporter.stores.postgres import Store

OPS = Asker(actor="ops", client="10.0.0.1", request_id="r-1")
KEYED = Asker(actor="ops", client="10.0.0.1", request_id="r-1", key="k-1")
#: A slow machine is no server that does not answer.
PATIENT = Duration(60)


@dataclass
class World:
    actions: Actions
    ledger: Ledger

    async def audited(self) -> list[tuple[str, str, str, str | None]]:
        """Action, actor, result and detail of each entry."""
        sql = "SELECT action, actor, result, data FROM audit ORDER BY id"
        rows = await self.ledger.read(lambda db: db.execute(sql).fetchall())
        return [(*row[:3], json.loads(row[3]).get("detail")) for row in rows]


@contextlib.asynccontextmanager
async def world(state: Path, dsn: str, **options: Any) -> AsyncIterator[World]:
    options = {"profile": reviewer.profile(), "timeout": PATIENT, **options}
    config = PostgresStore(name="main", dsn=Dsn(dsn), **options)
    async with Ledger(str(state), budget=500) as ledger:
        store = Store(config, ledger=ledger, hub=Hub(), instruments=QueryInstruments(), budget=100)
        actions = Actions(
            store=lambda name: store.trigger if name == "main" else None,
            reveal=revealed,
            audit=AuditTrail(ledger),
            keys=Idempotency(ledger),
        )
        try:
            yield World(actions, ledger)
        finally:
            await actions.close()
            await store.close()


def count(database: Database) -> int:
    return len(reviewer.executions(database)) - 1


async def test_without_a_key_each_request_is_an_execution(reviewed: Database, tmp_path: Path) -> None:
    async with world(tmp_path, reviewed.dsn) as w:
        done = await asyncio.gather(*(w.actions.trigger(OPS, "main", "1") for _ in range(3)))
        assert sorted(done) == [Outcome(2), Outcome(3), Outcome(4)]
        with pytest.raises(NotFound):
            await w.actions.trigger(OPS, "main", "77")
        with pytest.raises(ActionUnavailable, match="store other is not read"):
            await w.actions.trigger(OPS, "other", "1")
        assert sorted(await w.audited()) == [
            ("trigger", "ops", "failed", "job 77: not found"),
            ("trigger", "ops", "success", "execution 2"),
            ("trigger", "ops", "success", "execution 3"),
            ("trigger", "ops", "success", "execution 4"),
        ]


async def test_a_key_is_one_execution_also_at_the_same_time_and_after_a_restart(
    reviewed: Database, tmp_path: Path
) -> None:
    async with world(tmp_path, reviewed.dsn) as w:
        done = await asyncio.gather(*(w.actions.trigger(KEYED, "main", "1") for _ in range(20)))
        assert {outcome.execution_id for outcome in done} == {2}
        assert await w.actions.trigger(KEYED, "main", "1") == Outcome(2, again=True)
        other = Asker(actor="other", key="k-1")
        assert await w.actions.trigger(other, "main", "1") == Outcome(3), "a key is its owner's"
    async with world(tmp_path, reviewed.dsn) as w:
        assert await w.actions.trigger(KEYED, "main", "1") == Outcome(2, again=True)
        with pytest.raises(ActionConflict, match="stands for another action"):
            await w.actions.trigger(KEYED, "main", "2")
        assert (await w.audited())[-2:] == [
            ("trigger", "ops", "success", "execution 2; not done again"),
            ("trigger", "ops", "failed", "Idempotency-Key: it stands for another action already; take a new one"),
        ]
    assert count(reviewed) == 2


async def test_a_key_under_way_stands_for_nothing_else(reviewed: Database, tmp_path: Path) -> None:
    async with receiver(lambda _: web.Response()) as server:
        server.delay = 0.5
        async with world(tmp_path, reviewed.dsn, trigger=HttpTrigger(url=server.url, timeout=PATIENT)) as w:
            first = asyncio.create_task(w.actions.trigger(KEYED, "main", "1"))
            await server.arrived.wait()
            with pytest.raises(ActionConflict, match="stands for another action"):
                await w.actions.trigger(KEYED, "main", "2")
            assert await first == Outcome(None)
            assert await w.actions.trigger(KEYED, "main", "1") == Outcome(None, again=True)
    assert len(server.requests) == 1


async def test_what_was_not_done_may_be_tried_again_with_its_key(reviewed: Database, tmp_path: Path) -> None:
    away = RedisTrigger(url=f"redis://127.0.0.1:{free_port()}", list="queue", timeout=Duration(1))
    async with world(tmp_path, reviewed.dsn, trigger=away) as w:
        with pytest.raises(ActionUnavailable):
            await w.actions.trigger(KEYED, "main", "1")
    async with world(tmp_path, f"postgresql://u@127.0.0.1:{free_port()}/x") as w:
        with pytest.raises(ActionUnavailable, match="no connection"):
            await w.actions.trigger(KEYED, "main", "1")
    async with world(tmp_path, reviewed.dsn) as w:
        assert await w.actions.trigger(KEYED, "main", "1") == Outcome(2)
        assert [result for _, _, result, _ in await w.audited()] == ["failed", "failed", "success"]


async def test_a_row_that_was_not_pushed_is_pushed_by_the_same_key(
    reviewed: Database, redis: RedisServer, tmp_path: Path
) -> None:
    redis.command("SET", "taken", "no list")
    config = RedisTrigger(url=redis.url, list="taken", timeout=PATIENT)
    async with world(tmp_path, reviewed.dsn, trigger=config) as w:
        with pytest.raises(OutcomeUnknown, match="the store has execution 2"):
            await w.actions.trigger(KEYED, "main", "1")
    redis.command("DEL", "taken")
    async with world(tmp_path, reviewed.dsn, trigger=config) as w:  # also after a restart
        assert await w.actions.trigger(KEYED, "main", "1") == Outcome(2)
        assert await w.actions.trigger(KEYED, "main", "1") == Outcome(2, again=True)
        assert [result for _, _, result, _ in await w.audited()] == ["unknown", "success", "success"]
    assert [json.loads(text)["execution_id"] for text in redis.messages("taken")] == [2]
    assert count(reviewed) == 1


async def test_what_nobody_can_tell_is_not_done_again(reviewed: Database, tmp_path: Path) -> None:
    async with receiver(lambda _: web.Response()) as server:
        server.delay = 60
        config = HttpTrigger(url=server.url, timeout=Duration(1))
        async with world(tmp_path, reviewed.dsn, trigger=config) as w:
            with pytest.raises(OutcomeUnknown):
                await w.actions.trigger(KEYED, "main", "1")
            with pytest.raises(ActionConflict, match="nobody can tell what became of it"):
                await w.actions.trigger(KEYED, "main", "1")
    assert len(server.requests) == 1


async def test_what_has_begun_goes_on_without_its_asker(reviewed: Database, tmp_path: Path) -> None:
    async with receiver(lambda _: web.json_response({"id": 9})) as server:
        server.delay = 0.5
        async with world(tmp_path, reviewed.dsn, trigger=HttpTrigger(url=server.url, timeout=PATIENT)) as w:
            asked = asyncio.create_task(w.actions.trigger(KEYED, "main", "1"))
            await server.arrived.wait()
            asked.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asked
            await w.actions.close()
            assert await w.audited() == [("trigger", "ops", "success", "execution 9")]
            assert await w.actions.trigger(KEYED, "main", "1") == Outcome(9, again=True)


async def test_without_a_state_file_a_key_cannot_be_kept_but_an_action_can_be_done(
    reviewed: Database, tmp_path: Path
) -> None:
    async with Ledger(str(tmp_path), budget=500), world(tmp_path, reviewed.dsn) as w:
        with pytest.raises(ActionUnavailable, match="Idempotency-Key cannot be remembered"):
            await w.actions.trigger(KEYED, "main", "1")
        assert count(reviewed) == 0
        assert await w.actions.trigger(OPS, "main", "1") == Outcome(2)
