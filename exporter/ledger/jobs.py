"""Per-job state: streaks of failures and last successes, in the order in which executions ended. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from exporter.domain import FailingJob
from exporter.ledger.tally import Finished

#: Failing one-time jobs are forgotten when they have not failed again for this long (s): nobody will retry them.
FAILING_KEPT: Final = 86_400.0
#: At most so many jobs are remembered for each store, the most recent ones.
JOBS_KEPT: Final = 20_000


class JobState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One job's memory. Times are Unix seconds."""

    name: str = ""
    task_type: str = ""
    recurring: bool = False
    streak: int = 0
    last_status: str = ""
    last_finished: float = 0.0
    last_started: float | None = None
    last_success: float | None = None
    last_failure: float = 0.0


class JobBook:
    """The remembered jobs of one store."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobState] = {}
        self.recurring: frozenset[str] = frozenset()

    def apply(self, rows: Iterable[Finished], changed: dict[str, JobState | None]) -> None:
        """Put the states that ``rows`` change into ``changed``, None where the job is to be forgotten.

        The book itself stays as it is until :meth:`fold`.
        """
        for row in sorted(rows, key=lambda r: r.completed_at or 0.0):
            job_id = row.recurring_id or row.job_id
            if job_id is None:
                continue
            recurring = row.recurring_id is not None or job_id in self.recurring
            state = changed[job_id] if job_id in changed else self.jobs.get(job_id)
            after = _after(state, row, recurring)
            if after is not None or job_id in self.jobs or job_id in changed:
                changed[job_id] = after

    def fold(self, changed: dict[str, JobState | None]) -> None:
        """Take over what :meth:`apply` returned."""
        for job_id, state in changed.items():
            if state is None:
                self.jobs.pop(job_id, None)
            else:
                self.jobs[job_id] = state

    def expired(self, now: float) -> list[str]:
        """Jobs to forget: one-time failures of long ago, and the oldest above the limit."""
        old = [
            job_id
            for job_id, state in self.jobs.items()
            if not state.recurring and now - state.last_failure > FAILING_KEPT
        ]
        excess = len(self.jobs) - len(old) - JOBS_KEPT
        if excess > 0:
            gone = set(old)
            rest = (item for item in self.jobs.items() if item[0] not in gone)
            old += [job_id for job_id, _ in sorted(rest, key=lambda item: item[1].last_finished)[:excess]]
        return old

    def failing(self, limit: int) -> tuple[FailingJob, ...]:
        """Jobs with a streak, longest and latest first, at most ``limit``."""
        rows = [(state.streak, state.last_failure, job_id) for job_id, state in self.jobs.items() if state.streak]
        rows.sort(reverse=True)
        return tuple(
            FailingJob(
                job_id=job_id,
                job_name=self.jobs[job_id].name,
                task_type=self.jobs[job_id].task_type,
                streak=streak,
                last_failure=last_failure,
            )
            for streak, last_failure, job_id in rows[:limit]
        )


def _after(state: JobState | None, row: Finished, recurring: bool) -> JobState | None:
    """The state after one more execution. A row older than the newest known one changes no streak."""
    ended = row.completed_at or 0.0
    failed = row.status in ("FAILED", "TIMEOUT")
    if state is None:
        state = JobState(recurring=recurring)
    known = msgspec.structs.replace(
        state,
        recurring=state.recurring or recurring,
        name=row.job_name or state.name,
        task_type=row.task_type or state.task_type,
    )
    if row.status == "SUCCESS":
        known.last_success = max(known.last_success or 0.0, ended)
    if row.started_at is not None:
        known.last_started = max(known.last_started or 0.0, row.started_at)
    if ended >= known.last_finished:
        known.last_finished, known.last_status = ended, row.status
        if failed:
            known.streak, known.last_failure = known.streak + 1, ended
        elif row.status == "SUCCESS":
            known.streak = 0
    return known if known.recurring or known.streak else None
