"""What has been staged of one slice of rows and is not yet written. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.ledger.batch import Batch, Failure
from exporter.ledger.error_groups import ErrorGroups
from exporter.ledger.finished import Finished
from exporter.ledger.jobs import Changes, JobBook

#: Keys of a slice among which repeated ones are found.
KEYS_COMPARED: Final = 10_000
#: Failed executions of a slice that the log names; the others are counted there.
FAILURES_TOLD: Final = 20


class Slice:
    """What has been staged and not yet written."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.changes = Changes()
        self.errors = ErrorGroups()
        self.keys: set[int] = set()
        self.rows = self.late = self.duplicate = 0
        #: Failures with a message, of which the log names FAILURES_TOLD.
        self.failed = 0
        self.failures: list[Failure] = []

    def distinct(self, rows: Sequence[Finished]) -> Sequence[Finished]:
        """``rows`` without those that this slice has had lately: a profile's JOIN may repeat rows.

        The same key at another position is a row that ended in two ways, each told by a branch of its own. Hashes
        stand for keys and positions, and only KEYS_COMPARED of them: memory must not follow the number of rows.
        """
        keys = {hash(row[:2]) for row in rows}
        if len(self.keys) > KEYS_COMPARED:
            self.keys.clear()
        if len(keys) == len(rows) and keys.isdisjoint(self.keys):
            self.keys |= keys
            return rows
        fresh = []
        for row in rows:
            if (key := hash(row[:2])) not in self.keys:
                self.keys.add(key)
                fresh.append(row)
        self.duplicate += len(rows) - len(fresh)
        return fresh

    def take(self, rows: Sequence[Finished], book: JobBook, now: float, *, history: bool) -> None:
        """Add rows to the sums."""
        self.batch.add(rows)
        self.errors.add(self.batch.failed)
        self.failed += len(self.batch.failed)
        self.failures += self.batch.failed[: FAILURES_TOLD - len(self.failures)]
        self.batch.failed.clear()
        if not history:  # history is put in order when the slice is whole
            book.apply(self.batch.job_rows, self.changes, now, history=False)
            self.batch.job_rows.clear()
