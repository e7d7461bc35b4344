"""The canonical model: what any scheduler's rows are turned into. Frozen, free of I/O.

Belongs here: entities and values that stores produce and that metrics and the API read. Does not: configuration
(``exporter.config``), SQL (``exporter.stores``), wire shapes (``exporter.api``).

Times are Unix seconds (float, UTC) as PostgreSQL computed them; ids are text.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

JOB_STATUSES: Final = ("PENDING", "SCHEDULED", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")
LIVE_STATUSES: Final = ("PENDING", "SCHEDULED", "QUEUED", "RUNNING")
JOB_TYPES: Final = ("ONE_TIME", "RECURRING")
#: The final states of an execution, in the order in which counters keep them.
FINAL_STATUSES: Final = ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
OPERATION_STAGES: Final = ("queued", "cache_check", "executing", "completed")
WORKER_STATES: Final = ("active", "paused", "draining", "lost")

#: Upper bounds of the execution histograms in seconds; +Inf is implied. Fixed: changing them resets the counters.
EXECUTION_BUCKETS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 14400.0)
#: The label value that takes in what the series budget leaves out.
OTHER: Final = "other"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What showing a store depends on: the series budget of each metric, the name patterns of critical jobs.

    ``profile`` is the name of the profile in use, None before the store was reached.
    """

    series_per_metric: int
    critical_jobs: tuple[str, ...] = ()
    profile: str | None = None


class Exemplar(msgspec.Struct, frozen=True):
    """One execution as an example for a histogram bucket: its id, the observed seconds, when it ended."""

    execution_id: str
    value: float
    timestamp: float


class Histogram(msgspec.Struct, frozen=True):
    """A histogram's state: observations in each bucket (not cumulative, +Inf last) and their sum in seconds."""

    counts: tuple[int, ...]
    sum: float
    exemplars: tuple[Exemplar | None, ...] = ()

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)


class FailingJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose latest finished executions failed ``streak`` times in a row (at least once)."""

    job_id: str
    job_name: str
    task_type: str
    streak: int
    last_failure: float


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger has counted for one store, cumulative since its first poll.

    ``executions`` and ``workers`` hold one count for each of FINAL_STATUSES, in that order; ``last_success`` and
    ``last_started`` are by job id, of jobs worth remembering; ``read_at`` is the server clock of the last poll and
    ``upto`` the cursor position up to which it read; ``version`` grows with whatever is written.
    """

    executions: dict[str, tuple[int, ...]] = msgspec.field(default_factory=dict)
    retries: dict[str, int] = msgspec.field(default_factory=dict)
    durations: dict[str, Histogram] = msgspec.field(default_factory=dict)
    waits: dict[str, Histogram] = msgspec.field(default_factory=dict)
    workers: dict[str, tuple[int, ...]] = msgspec.field(default_factory=dict)
    failing: tuple[FailingJob, ...] = ()
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    newest: float | None = None
    late: int = 0
    duplicate: int = 0
    last_success: dict[str, float] = msgspec.field(default_factory=dict)
    last_started: dict[str, float] = msgspec.field(default_factory=dict)
    read_at: float | None = None
    upto: float | None = None
    backfill: Backfill | None = None
    version: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Finished executions added up: ``counts`` for each of FINAL_STATUSES; ``retries`` had an attempt before.

    ``timed`` is how many have a known duration; ``sum``, ``max`` and the quantiles (within 2%) are theirs, in seconds.
    ``unknown``: statuses in lower case, and "retries", that nobody told; FAILED then holds whatever was no success.
    """

    counts: tuple[int, ...]
    retries: int
    timed: int
    sum: float
    max: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    unknown: frozenset[str] = frozenset()

    @property
    def mean(self) -> float | None:
        """The mean duration in seconds; None where none is known."""
        return self.sum / self.timed if self.timed else None


class TrendHour(msgspec.Struct, frozen=True, kw_only=True):
    """One hour (its start, Unix seconds) with executions: ``counts`` for each of FINAL_STATUSES."""

    start: int
    counts: tuple[int, ...]


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What ended from ``start`` (a whole minute or hour) to ``end`` (the latest poll), by task type or by worker.

    ``covered_since`` is since when nothing is missing: later than ``start`` while history is still being read, or where
    it is not read; None before the first poll. What the series budget leaves out is under the label ``other``.
    ``counted`` is False of a store that lists no executions: nothing is known then.
    """

    start: float
    end: float
    covered_since: float | None
    overall: Figures
    by_label: dict[str, Figures]
    trend: tuple[TrendHour, ...]
    counted: bool = True


class RecentExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A finished execution in the ring of recent ones. ``error_message`` is cut to 500 characters."""

    id: str
    job_id: str | None
    job_name: str | None
    task_type: str
    queue: str | None
    status: str
    attempt: int | None
    scheduled_at: float | None
    started_at: float | None
    completed_at: float | None
    worker_id: str | None
    error_message: str | None
    error_code: str | None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failures whose messages differ only in numbers, ids and quoted parts; ``message`` is what they share.

    ``count`` and ``trend`` (executions by the hour's start) are of the period asked for, first and last seen of all
    time; ``example``, ``job_id`` and ``execution_id`` are the latest failure's.
    """

    fingerprint: str
    message: str
    code: str | None
    count: int
    first_seen: float
    last_seen: float
    task_types: tuple[str, ...]
    job_id: str | None
    execution_id: str
    example: str
    trend: dict[int, int]


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """How far history has been read into the statistics: ``ratio`` 0 to 1, ``executions`` found so far.

    ``reached`` is back to when nothing is missing; ``complete`` that nothing is left to be read; ``problem`` why it
    ended early, if it did.
    """

    ratio: float
    complete: bool
    executions: int
    reached: float
    problem: str | None = None


class Exactness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every execution of a store is provably counted once; ``reasons`` says what stands against it."""

    reasons: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """True when nothing stands against exactness."""
        return not self.reasons


class Executions(msgspec.Struct, frozen=True, kw_only=True):
    """The part that the ``executions`` collector publishes. ``outcomes``: others the store cannot tell.

    ``attempts``: the profile has which attempt an execution was.
    """

    counts: Counts
    exactness: Exactness
    caught_up: bool
    cursor_time: float | None
    oldest_open: float | None
    outcomes: tuple[str, ...] = FINAL_STATUSES
    attempts: bool = True


class JobCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs by (status, type) over the whole table; by (status, "") and ``by_type`` where the two are known apart."""

    by_status: dict[tuple[str, str], int]
    by_type: dict[str, int] | None = None
    total: int | None = None


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """One queue's unfinished jobs: due and not started, not yet due, running; since when the oldest is due."""

    ready: int
    scheduled: int
    running: int
    oldest_ready: float | None


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """Unfinished jobs: by queue, and by (status, type); ``overdue_count`` is None where jobs are never due later."""

    queues: dict[str, QueueState]
    by_status: dict[tuple[str, str], int]
    overdue: tuple[OverdueJob, ...]
    overdue_count: int | None


class OverdueJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job past its next run plus grace that has not started; ``due`` is when it should have."""

    job_id: str
    job_name: str
    task_type: str
    due: float


class RecurringJob(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring job: when it runs next (from the store, or from cron text and time zone) and last succeeded.

    Without a status it is known by its runs alone: the store lists it nowhere.
    """

    job_id: str
    name: str
    task_type: str
    status: str | None
    schedule: str | None
    time_zone: str | None
    next_run: float | None
    last_success: float | None
    overdue_since: float | None


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """The recurring jobs of a store."""

    jobs: tuple[RecurringJob, ...]


class RunningExecution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that runs now."""

    id: str
    job_id: str
    task_type: str
    queue: str | None
    attempt: int | None
    started_at: float | None
    worker_id: str | None
    job_name: str | None = None
    connection_id: str | None = None
    scheduled_at: float | None = None


class RunningByType(msgspec.Struct, frozen=True, kw_only=True):
    """Running executions of one task type; the store may know no workers (``orphaned``), no starts (``stuck``)."""

    running: int
    stuck: int | None
    orphaned: int | None
    oldest_start: float | None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What runs now: by task type, by worker, the oldest one by one. ``attributed``: the store says who runs what."""

    by_task_type: dict[str, RunningByType]
    by_worker: dict[str, int]
    oldest: tuple[RunningExecution, ...]
    attributed: bool = True


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as the store knows it; ``state`` is one of WORKER_STATES, ``platform_properties`` a JSON object."""

    id: str
    host: str | None
    last_seen: float | None
    connected_at: float | None
    state: str
    is_paused: bool | None
    is_draining: bool | None
    can_accept_work: bool | None
    actions_completed: int | None
    platform_properties: str | None = None
    running: int | None = None  # executions, where the store tells them by worker


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """The workers of a store. ``told`` and ``total`` are the store's own numbers, by state as far as it tells them."""

    workers: tuple[Worker, ...]
    told: dict[str, int] | None = None
    total: int | None = None
    executing: dict[str, tuple[str, ...]] | None = None  # operations by worker, where workers tell them


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    """Operations by stage; ``executing`` has the ids of those that a worker is busy with, by worker."""

    by_stage: dict[str, int]
    executing: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert and one time that it fired. Times are Unix seconds; ``ends_at`` is None while it goes on.

    ``state`` is active, suppressed or unprocessed where Alertmanager was asked; firing or resolved in the history.
    ``silenced_by`` and ``inhibited_by`` have the ids of silences and the fingerprints of alerts.
    """

    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    state: str
    starts_at: float
    ends_at: float | None = None
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()


AuditResult = Literal["success", "refused", "failed", "unknown"]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what, with which result: success, refused, failed, or unknown where nobody can tell.

    ``actor`` is a token's or a user's name, or ``anonymous``; ``client`` the address that asked; ``target`` what was
    acted on; ``detail`` a short text for people, free of secrets.
    """

    at: float
    action: str
    actor: str
    result: AuditResult
    target: str | None = None
    request_id: str | None = None
    client: str | None = None
    detail: str | None = None
