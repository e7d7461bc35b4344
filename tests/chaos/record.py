"""What the writers know to be committed, what became of their transactions, and how fast they have to be."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from chaos.plan import Plan
from chaos.work import Connection, Key, Outcome, Work

COMMITTED = "transactions committed"
ROLLED_BACK = "rolled back"
SAVEPOINT = "savepoints rolled back"
CUT_OFF = "ended by a crash"
UNCERTAIN = "COMMITs not answered"
PREPARED = "prepared"
PREPARED_BACK = "prepared, rolled back"
RETRIED = "rows retried in place"
PRUNED = "rows deleted"
#: What happens in every run: without one of these it would prove less than it says.
USUAL = (COMMITTED, ROLLED_BACK, SAVEPOINT, CUT_OFF, PREPARED, PREPARED_BACK, RETRIED, PRUNED)


@dataclass
class Record:
    """Shared by all writers; one thread."""

    committed: dict[Key, Outcome] = field(default_factory=dict)
    #: Transactions by what became of them, rows by what was done to them.
    happened: Counter[str] = field(default_factory=Counter)
    #: Finished rows that are certainly counted.
    counted: deque[Key] = field(default_factory=lambda: deque(maxlen=4000))
    longest: float = 0.0

    def commit(self, work: Work, seconds: float) -> None:
        """``work`` is in the database, ``seconds`` after its transaction began."""
        again = self.committed.keys() & work.finished.keys()
        assert not again, f"finished twice: {again}"
        self.committed.update(work.finished)
        self.happened[COMMITTED] += 1
        self.happened[RETRIED] += work.retried
        self.happened[PRUNED] += work.pruned
        if work.finished:
            self.longest = max(self.longest, seconds)

    def take(self, rows: int) -> list[Key]:
        """Some rows to retry or to prune."""
        return [self.counted.popleft() for _ in range(min(rows, len(self.counted)))]


@dataclass
class Pace:
    """Spreads the executions wanted over the run, however fast the machine is."""

    plan: Plan
    issued: int = 0

    def rows(self, rng: random.Random, elapsed: float) -> int:
        """For the next statement: a few, or as many as make up for what is missing by now."""
        if rng.random() < 0.3:
            return rng.randint(1, 3)
        due = 1.05 * self.plan.executions * min(1.0, elapsed / self.plan.seconds) - self.issued
        return max(1, min(500, int(rng.uniform(0.5, 2.0) * due / self.plan.writers)))


async def is_committed(connection: Connection, tag: str) -> bool:
    """Whether a transaction whose COMMIT got no answer did commit."""
    return bool(await _one(await connection.execute("SELECT count(*) FROM chaos.audit WHERE tag = %s", [tag])))


async def is_prepared(connection: Connection, gid: str) -> bool:
    """Whether a prepared transaction waits for its end."""
    return bool(await _one(await connection.execute("SELECT count(*) FROM pg_prepared_xacts WHERE gid = %s", [gid])))


async def _one(cursor: Any) -> int:
    row = await cursor.fetchone()
    return int(row[0])
