"""What the rows of one slice add up to, before anything is written. The hottest loop of the program; no I/O.

Each row is put into the finest cells once - (minute, task type, status) and (hour, worker, status) - and into its task
type's histograms. Everything coarser (counters, hours) is added up from the cells, of which there are few.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from math import ceil, log
from typing import Final, NamedTuple

from exporter.domain import EXECUTION_BUCKETS, FINAL_STATUSES, Exemplar
from exporter.ledger.finished import FAILURES, STATUS_INDEX, Finished
from exporter.ledger.jobs import JobRow
from exporter.ledger.recent import entry
from exporter.ledger.sketch import OFFSET, SCALE, SHORTEST
from exporter.ledger.tally import BUCKETS, Delta

#: Seconds; a difference of times above it (``infinity``, year 294276) is no duration.
LONGEST: Final = 1e10

CellKey = tuple[int, str, int]


def ended(completed: float | None, now: float) -> float:
    """When an execution ended; ``now`` where the store does not know, or gives a time of no calendar."""
    return completed if completed is not None and -LONGEST < completed < LONGEST else now


class Cell:
    """Executions of one label and status that ended in one minute or hour.

    ``buckets`` has the sketch's bucket of each known duration: of many cells with few executions a list is the
    smallest form.
    """

    __slots__ = ("buckets", "count", "max", "retries", "sum")

    def __init__(self) -> None:
        self.count = self.retries = 0
        self.sum = self.max = 0.0
        self.buckets: list[int] = []

    def add(self, other: Cell) -> None:
        """Add another cell to this one."""
        self.count += other.count
        self.retries += other.retries
        self.sum += other.sum
        self.max = max(self.max, other.max)
        self.buckets += other.buckets


class _Histograms:
    """The duration and wait histograms of one task type: buckets, then the sum."""

    __slots__ = ("attempts_known", "durations", "examples", "waits")

    def __init__(self) -> None:
        self.attempts_known = False
        self.durations: list[float] = [0] * (BUCKETS + 1)
        self.waits: list[float] = [0] * (BUCKETS + 1)
        self.examples: list[tuple[str, float, float] | None] = [None] * BUCKETS


class Failure(NamedTuple):
    """A failed execution with its message, for the error groups."""

    at: float
    message: str
    code: str | None
    task_type: str
    job_id: str | None
    execution_id: str


class Batch:
    """The sums of one slice. ``now`` stands in for the end of an execution whose end the store does not know.

    ``watches(job_id)`` says whether a job's success matters to its state; what is not from before ``ring_floor``
    goes into ``recent``, whose length is bounded; ``minutes_from`` the one before which minutes are not told apart.
    """

    def __init__(
        self,
        now: float,
        watches: Callable[[str], bool],
        *,
        recent: deque[bytes],
        ring_floor: float,
        minutes_from: float,
    ) -> None:
        self._now = now
        self._watches = watches
        self._ring_floor = ring_floor
        self._minutes_from = minutes_from
        self.cells: dict[CellKey, Cell] = {}
        self.worker_cells: dict[CellKey, Cell] = {}
        self.histograms: dict[str, _Histograms] = {}
        #: For the ring (:func:`recent.entry`).
        self.recent = recent
        self.failed: list[Failure] = []
        self.job_rows: list[JobRow] = []
        self.newest: float | None = None

    def add(self, rows: Iterable[Finished]) -> None:  # noqa: PLR0912, PLR0915 - one loop: a call costs as much as its work
        """Take in rows. What is not a sum is left in ``recent``, ``job_rows`` and ``failed``."""
        cells, worker_cells, histograms = self.cells, self.worker_cells, self.histograms
        recent, floor, watches = self.recent.append, self._ring_floor, self._watches
        minutes_from = self._minutes_from
        for row in rows:
            (
                _, _, execution_id, job_id, job_name, recurring_id, task_type, status, attempt, due, started,
                completed, worker, _, message, code,
            ) = row  # fmt: skip
            index = STATUS_INDEX[status]
            known = completed is not None and -LONGEST < completed < LONGEST
            at: float = completed if known else self._now  # type: ignore[assignment]
            task_type = task_type or ""
            where = (int(at // 60) if at >= minutes_from else int(at // 3600) * 60, task_type, index)
            cell = cells.get(where)
            if cell is None:
                cell = cells[where] = Cell()
            cell.count += 1
            sums = histograms.get(task_type)
            if sums is None:
                sums = histograms[task_type] = _Histograms()
            if attempt is not None:
                sums.attempts_known = True
                if attempt:
                    cell.retries += 1
            if worker:
                where = (int(at // 3600), worker, index)
                other = worker_cells.get(where)
                if other is None:
                    other = worker_cells[where] = Cell()
                other.count += 1
                if attempt:
                    other.retries += 1
            else:
                other = None
            if started is not None:
                if known and -LONGEST < (seconds := at - started) < LONGEST:
                    if seconds < 0:
                        seconds = 0.0
                    place = bisect_left(EXECUTION_BUCKETS, seconds)
                    sums.durations[place] += 1
                    sums.durations[-1] += seconds
                    sums.examples[place] = (execution_id, seconds, at)
                    # sketch.bucket, written out
                    place = ceil(log(seconds) * SCALE + OFFSET) if seconds > SHORTEST else 0
                    cell.buckets.append(place)
                    cell.sum += seconds
                    if seconds > cell.max:  # noqa: PLR1730 - max() would be a call
                        cell.max = seconds
                    if other is not None:
                        other.buckets.append(place)
                        other.sum += seconds
                        if seconds > other.max:  # noqa: PLR1730
                            other.max = seconds
                if due is not None and -LONGEST < (seconds := started - due) < LONGEST:
                    if seconds < 0:
                        seconds = 0.0
                    sums.waits[bisect_left(EXECUTION_BUCKETS, seconds)] += 1
                    sums.waits[-1] += seconds
            if at >= floor:
                recent(entry(row, at))
            if message is not None and index in FAILURES:
                self.failed.append(Failure(at, message, code, task_type, job_id, execution_id))
            job = recurring_id or job_id
            if job is not None and (index or attempt != 0 or recurring_id is not None or watches(job)):
                recurs = recurring_id is not None
                self.job_rows.append(JobRow(at, job, index, attempt == 0, recurs, started, job_name, task_type))
            if known and (self.newest is None or at > self.newest):
                self.newest = at

    def into(self, delta: Delta) -> None:
        """Add the slice to the counters and histograms."""
        by_type: dict[str, list[int]] = {}
        retries: dict[str, int] = {}
        for (_, task_type, index), cell in self.cells.items():
            by_type.setdefault(task_type, [0] * len(FINAL_STATUSES))[index] += cell.count
            retries[task_type] = retries.get(task_type, 0) + cell.retries
        by_worker: dict[str, list[int]] = {}
        for (_, worker, index), cell in self.worker_cells.items():
            by_worker.setdefault(worker, [0] * len(FINAL_STATUSES))[index] += cell.count
        for task_type, counts in by_type.items():
            delta.add("executions", task_type, counts)
            sums = self.histograms[task_type]
            if sums.attempts_known:
                delta.add("retries", task_type, [retries[task_type]])
            _add_histograms(delta, task_type, sums)
        for worker, counts in by_worker.items():
            delta.add("worker", worker, counts)


def _add_histograms(delta: Delta, task_type: str, sums: _Histograms) -> None:
    if any(sums.durations):
        delta.add("duration", task_type, sums.durations)
        examples = [None if e is None else Exemplar(e[0], max(0.0, e[1]), e[2]) for e in sums.examples]
        delta.exemplify("duration", task_type, examples)
    if any(sums.waits):
        delta.add("wait", task_type, sums.waits)
