"""What a scheduler's own tables say, however it keeps them: what metrics and JSON are held against.

Times are Unix seconds, ids are text. None is what the tables cannot tell: whatever is made of it has to be absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OUTCOMES: Final = ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
LIVE: Final = ("PENDING", "SCHEDULED", "QUEUED", "RUNNING")
#: What the sidecar is configured with: so much later than they should something is late, lost or stuck (s).
PATIENCE: Final = 1.0
#: A store's options that say so.
IMPATIENT: Final = {"grace": "1s", "worker_lost_after": "1s", "stuck_after": {"default": "1s"}}


@dataclass(frozen=True, kw_only=True)
class Between:
    """A number that the tables leave open: nothing says when it was looked at, or it was told for a while only."""

    low: float
    high: float

    def __add__(self, other: Between) -> Between:
        return Between(low=self.low + other.low, high=self.high + other.high)

    def widened(self, share: float) -> Between:
        """With room for an error of this share."""
        return Between(low=self.low * (1 - share), high=self.high * (1 + share))


#: 0, or not there: what was seen for a moment, if somebody looked then.
PERHAPS: Final = Between(low=0.0, high=0.0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished execution. ``retry``: it was not the first attempt; ``recurs`` is the recurring job that it was of.
    ``said``: a failure has a message.

    ``passing`` names the fields that the tables tell only until the job runs again: who looks too late sees none of
    them. Of those, ``began`` is the earliest that it can have been.
    """

    job: str
    task_type: str
    status: str
    ended: float
    began: float | None = None
    due: float | None = None
    retry: bool | None = None
    worker: str | None = None
    passing: frozenset[str] = frozenset()
    recurs: str | None = None
    said: bool = True

    @property
    def failed(self) -> bool:
        return self.status in ("FAILED", "TIMEOUT")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A one-time job in any status. ``waits_since`` is its due time, or when it was made where it has none."""

    id: str
    task_type: str
    status: str
    queue: str = ""
    due: float | None = None
    waits_since: float | None = None

    def ready(self, now: float) -> bool:
        """Whether it waits for nothing but a worker."""
        return self.status == "QUEUED" or (self.status == "SCHEDULED" and self.due is not None and self.due <= now)


def waiting(due: float | None, now: float) -> str:
    """The status of a job that a worker may have as soon as it is due."""
    return "SCHEDULED" if due is not None and due > now else "QUEUED"


@dataclass(frozen=True, kw_only=True)
class Running:
    """An execution that has not ended."""

    job: str
    task_type: str
    began: float | None
    worker: str | None = None


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker and its latest heartbeat."""

    id: str
    seen: float
    paused: bool = False

    def state(self, now: float) -> str:
        if now - self.seen > PATIENCE:
            return "lost"
        return "paused" if self.paused else "active"


@dataclass(frozen=True, kw_only=True)
class Recurring:
    """A recurring job and when it runs next."""

    id: str
    name: str
    task_type: str
    status: str = "SCHEDULED"
    next_run: float | None = None


@dataclass(frozen=True, kw_only=True)
class Told:
    """All that the tables say at ``now``, the server's clock. ``outcomes`` are those that they can tell.

    ``listed`` are recurring jobs where the store lists them among what waits. ``by_id``: one-time jobs are found by
    their ids, and exported. ``tasks`` are types whose jobs may have gone without a trace.
    """

    now: float
    jobs: list[Job]
    recurring: list[Recurring]
    runs: list[Run] | None = None
    running: list[Running] | None = None
    workers: list[Worker] | None = None
    outcomes: tuple[str, ...] = OUTCOMES
    listed: tuple[Job, ...] = ()
    by_id: bool = True
    tasks: frozenset[str] = frozenset()


def cron(minute: int | None, hour: int | None, after: float) -> float:
    """The first moment after ``after`` at that minute (None: any) of that hour (None: any), in UTC."""
    at = after // 60 * 60 + 60
    while minute not in (None, at // 60 % 60) or hour not in (None, at // 3600 % 24):
        at += 60
    return at
