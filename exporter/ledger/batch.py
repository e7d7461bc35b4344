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

import msgspec

from exporter.domain import EXECUTION_BUCKETS, FINAL_STATUSES, Exemplar
from exporter.ledger import sketch
from exporter.ledger.finished import FAILURES, STATUS_INDEX, Finished
from exporter.ledger.jobs import JobRow
from exporter.ledger.tally import BUCKETS, Delta

#: Seconds; a difference of times above it (``infinity``, year 294276) is no duration.
LONGEST: Final = 1e10
_encode: Final = msgspec.json.Encoder().encode

CellKey = tuple[int, str, int]


class Cell:
    """Executions of one label and status that ended in one minute or hour."""

    __slots__ = ("count", "max", "retries", "sketch", "sum", "timed")

    def __init__(self) -> None:
        self.count = self.retries = self.timed = 0
        self.sum = self.max = 0.0
        self.sketch: sketch.Sketch = {}

    def add(self, other: Cell) -> None:
        """Add another cell to this one."""
        self.count += other.count
        self.retries += other.retries
        self.timed += other.timed
        self.sum += other.sum
        self.max = max(self.max, other.max)
        sketch.add(self.sketch, other.sketch)


class _Histograms:
    """The duration and wait histograms of one task type: buckets, then the sum."""

    __slots__ = ("attempts_known", "durations", "examples", "waits")

    def __init__(self) -> None:
        self.attempts_known = False
        self.durations: list[float] = [0] * (BUCKETS + 1)
        self.waits: list[float] = [0] * (BUCKETS + 1)
        self.examples: list[tuple[str, float, float] | None] = [None] * BUCKETS


class Recent(NamedTuple):
    """A row for the ring of recent executions; ``data`` is the JSON of domain.RecentExecution's fields."""

    at: float
    key: str
    status: int
    task_type: str
    data: bytes


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

    ``watches(job_id)`` says whether a job's success matters to its state; ``ring`` is how many recent executions are
    kept, ``ring_floor`` the time before which none is worth keeping.
    """

    def __init__(self, now: float, watches: Callable[[str], bool], ring: int, ring_floor: float) -> None:
        self._now = now
        self._watches = watches
        self._ring_floor = ring_floor
        self.cells: dict[CellKey, Cell] = {}
        self.worker_cells: dict[CellKey, Cell] = {}
        self.histograms: dict[str, _Histograms] = {}
        self.recent: deque[Recent] = deque(maxlen=ring)
        self.failed: list[Failure] = []
        self.job_rows: list[JobRow] = []
        self.newest: float | None = None

    def add(self, rows: Iterable[Finished]) -> None:  # noqa: PLR0912 - in one piece: a call costs as much as its work
        """Take in rows. What matters to jobs and error groups is left in ``job_rows`` and ``failed``."""
        cells, worker_cells, histograms = self.cells, self.worker_cells, self.histograms
        recent, floor, watches = self.recent.append, self._ring_floor, self._watches
        for row in rows:
            (
                key, _, execution_id, job_id, job_name, recurring_id, task_type, status, attempt, due, started,
                completed, worker, queue, message, code,
            ) = row  # fmt: skip
            index = STATUS_INDEX[status]
            known = completed is not None and -LONGEST < completed < LONGEST
            at: float = completed if known else self._now  # type: ignore[assignment]
            task_type = task_type or ""
            place = (int(at // 60), task_type, index)
            cell = cells.get(place)
            if cell is None:
                cell = cells[place] = Cell()
            cell.count += 1
            sums = histograms.get(task_type)
            if sums is None:
                sums = histograms[task_type] = _Histograms()
            if attempt is not None:
                sums.attempts_known = True
                if attempt:
                    cell.retries += 1
            if worker:
                place = (int(at // 3600), worker, index)
                other = worker_cells.get(place)
                if other is None:
                    other = worker_cells[place] = Cell()
                other.count += 1
                other.retries += bool(attempt)
            else:
                other = None
            if started is not None:
                if known and -LONGEST < (seconds := at - started) < LONGEST:
                    _observe(cell, other, sums, max(0.0, seconds), (execution_id, seconds, at))
                if due is not None and -LONGEST < (seconds := started - due) < LONGEST:
                    seconds = max(0.0, seconds)
                    sums.waits[bisect_left(EXECUTION_BUCKETS, seconds)] += 1
                    sums.waits[-1] += seconds
            if at >= floor:
                fields = (execution_id, job_id, job_name, task_type, queue, status, attempt, due, started, completed,
                          worker, message, code)  # fmt: skip
                recent(Recent(at, key, index, task_type, _encode(fields)))
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


def _observe(
    cell: Cell, other: Cell | None, sums: _Histograms, seconds: float, example: tuple[str, float, float]
) -> None:
    position = bisect_left(EXECUTION_BUCKETS, seconds)
    sums.durations[position] += 1
    sums.durations[-1] += seconds
    sums.examples[position] = example
    # sketch.bucket, written out: a call for each row would cost as much as the logarithm.
    index = ceil(log(seconds) * sketch.SCALE + sketch.OFFSET) if seconds > sketch.SHORTEST else 0
    for each in (cell, other) if other is not None else (cell,):
        each.timed += 1
        each.sum += seconds
        each.max = max(each.max, seconds)
        each.sketch[index] = each.sketch.get(index, 0) + 1


def _add_histograms(delta: Delta, task_type: str, sums: _Histograms) -> None:
    if any(sums.durations):
        delta.add("duration", task_type, sums.durations)
        examples = [None if e is None else Exemplar(e[0], max(0.0, e[1]), e[2]) for e in sums.examples]
        delta.exemplify("duration", task_type, examples)
    if any(sums.waits):
        delta.add("wait", task_type, sums.waits)
