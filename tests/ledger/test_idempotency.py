"""Keys of actions: claimed once, also across a restart; forgotten after a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.ledger import idempotency
from exporter.ledger.idempotency import Idempotency, Known
from exporter.ledger.ledger import Ledger


async def test_a_key_is_claimed_once(tmp_path: Path) -> None:
    async with Ledger(str(tmp_path), budget=500) as ledger:
        keys = Idempotency(ledger)
        assert await keys.begin("ops", "k1", "trigger main 42") is None
        assert await keys.begin("ops", "k1", "trigger main 43") == Known("trigger main 42", None, False)
        assert await keys.begin("other", "k1", "trigger main 42") is None, "another one's key"
        await keys.note("ops", "k1", '{"execution_id":7}', done=False)
    async with Ledger(str(tmp_path), budget=500) as ledger:
        keys = Idempotency(ledger)
        assert await keys.begin("ops", "k1", "trigger main 42") == Known("trigger main 42", '{"execution_id":7}', False)
        await keys.note("ops", "k1", '{"execution_id":7}', done=True)
        assert await keys.begin("ops", "k1", "x") == Known("trigger main 42", '{"execution_id":7}', True)
        await keys.release("ops", "k1")
        assert await keys.begin("ops", "k1", "x") is None


async def test_keys_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Ledger(str(tmp_path), budget=500) as ledger:
        keys = Idempotency(ledger)
        await keys.begin("ops", "day", "x")
        await ledger.write(lambda db: db.execute("UPDATE idempotency SET at = at - 86401").rowcount)
        assert await keys.begin("ops", "day", "y") is None
        monkeypatch.setattr(idempotency, "KEPT", 2)
        for key in ("k1", "k2", "k3"):
            await keys.begin("ops", key, "x")
        left = await ledger.read(lambda db: db.execute("SELECT key FROM idempotency ORDER BY at").fetchall())
        assert left == [("k2",), ("k3",)]
