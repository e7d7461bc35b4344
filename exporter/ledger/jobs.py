"""Per-job state: streaks of failures, last successes and totals, in the order in which executions ended. No I/O.

History comes newest first (the backfill), what is new comes oldest first; both extend a job's streak: the one backwards
as long as nothing but failures is known of the job, the other forwards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from exporter.domain import FailingJob
from exporter.ledger.finished import FAILURES, SUCCESS

#: Failing one-time jobs are forgotten when they have not failed again for this long (s): nobody will retry them.
FAILING_KEPT: Final = 86_400.0
#: At most so many of them, and of recurring jobs, are remembered for each store: the most recent ones.
FAILING_JOBS_KEPT: Final = 2_000
RECURRING_JOBS_KEPT: Final = 10_000


class JobRow(NamedTuple):
    """What of an execution matters to its job; ``status`` is an index into FINAL_STATUSES."""

    ended: float
    job_id: str
    status: int
    first_attempt: bool
    recurring: bool
    started: float | None
    name: str | None
    task_type: str


class JobState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One job's memory. Times are Unix seconds; ``finished``, ``failed`` count the executions since ``first_finished``.

    ``unbroken`` says that no execution but failures is known: what is older may make the streak longer.
    """

    name: str = ""
    task_type: str = ""
    recurring: bool = False
    streak: int = 0
    unbroken: bool = False
    first_finished: float | None = None
    last_finished: float = 0.0
    last_started: float | None = None
    last_success: float | None = None
    last_failure: float = 0.0
    finished: int = 0
    failed: int = 0


class Changes:
    """What a slice changes in a book: states, None where the job is to be forgotten, and newly settled jobs."""

    def __init__(self) -> None:
        self.states: dict[str, JobState | None] = {}
        self.settled: set[str] = set()
        #: So many states may come together before those above the limits are looked for.
        self.roomy = FAILING_JOBS_KEPT


class JobBook:
    """The remembered jobs of one store.

    ``settling`` says that history is being read, and that one-time jobs that ended well after a retry are written down:
    their failures, which come later because they are older, are over. ``settled`` tells which of some jobs are.
    """

    def __init__(self, settled: Callable[[Sequence[str]], Collection[str]]) -> None:
        self.jobs: dict[str, JobState] = {}
        self.recurring: frozenset[str] = frozenset()
        self.settling = False
        self._settled = settled
        #: As last told: thousands that stay the same are not made anew with each poll.
        self._failing: dict[str, FailingJob] = {}

    def watches(self, job_id: str) -> bool:
        """Whether a success of this job changes anything."""
        return job_id in self.jobs or job_id in self.recurring

    def apply(self, rows: Sequence[JobRow], changes: Changes, now: float, *, history: bool) -> None:
        """Put what ``rows`` change into ``changes``. The book itself stays as it is until :meth:`fold`."""
        settled = self._settled_among(rows, changes)
        for row in sorted(rows, key=lambda r: r.ended, reverse=history):
            job_id = row.job_id
            state = changes.states[job_id] if job_id in changes.states else self.jobs.get(job_id)
            recurring = row.recurring or job_id in self.recurring
            over = job_id in settled or job_id in changes.settled
            if state is None and not recurring and self._nothing_new(row, changes, now, over=over and history):
                continue
            after = _after(state or JobState(unbroken=not over), row, recurring)
            if after is None and self.settling and row.status == SUCCESS:
                changes.settled.add(job_id)
            if after is not None or job_id in self.jobs or job_id in changes.states:
                changes.states[job_id] = after
        if len(changes.states) > changes.roomy:  # memory must not follow the number of failures
            self.trim(changes, now)
            changes.roomy = len(changes.states) + FAILING_JOBS_KEPT

    def _settled_among(self, rows: Sequence[JobRow], changes: Changes) -> Collection[str]:
        if not self.settling:
            return ()
        failed = {row.job_id for row in rows if row.status in FAILURES}
        asked = [job_id for job_id in failed if job_id not in self.jobs and job_id not in changes.states]
        return self._settled(asked) if asked else ()

    def _nothing_new(self, row: JobRow, changes: Changes, now: float, *, over: bool) -> bool:
        """Whether an execution of an unknown one-time job is nothing to remember."""
        old = now - row.ended > FAILING_KEPT
        if row.status == SUCCESS:
            if self.settling and not row.first_attempt and not old:
                changes.settled.add(row.job_id)
            return True
        return old or over

    def fold(self, changes: Changes) -> None:
        """Take over what :meth:`apply` found."""
        for job_id, state in changes.states.items():
            if state is None:
                self.jobs.pop(job_id, None)
            else:
                self.jobs[job_id] = state

    def trim(self, changes: Changes, now: float) -> None:
        """Have ``changes`` forget one-time failures of long ago, and the oldest jobs above the limits, too."""
        for job_id in self._expired(changes, now):
            if job_id in self.jobs:
                changes.states[job_id] = None
            else:
                del changes.states[job_id]

    def _expired(self, changes: Changes, now: float) -> list[str]:
        gone: list[str] = []
        failing: list[tuple[float, str]] = []
        recurring: list[tuple[float, str]] = []
        unchanged = (item for item in self.jobs.items() if item[0] not in changes.states)
        for job_id, state in chain(unchanged, changes.states.items()):
            if state is None:
                continue
            if state.recurring:
                recurring.append((state.last_finished, job_id))
            elif now - state.last_failure > FAILING_KEPT:
                gone.append(job_id)
            else:
                failing.append((state.last_failure, job_id))
        for known, limit in ((failing, FAILING_JOBS_KEPT), (recurring, RECURRING_JOBS_KEPT)):
            if len(known) > limit:
                known.sort(reverse=True)
                gone += [job_id for _, job_id in known[limit:]]
        return gone

    def failing(self) -> tuple[FailingJob, ...]:
        """Jobs with a streak, longest and latest first."""
        rows = [(state.streak, state.last_failure, job_id) for job_id, state in self.jobs.items() if state.streak]
        rows.sort(reverse=True)
        known, self._failing = self._failing, {}
        for streak, last_failure, job_id in rows:
            state = self.jobs[job_id]
            new = FailingJob(
                job_id=job_id,
                job_name=state.name,
                task_type=state.task_type,
                streak=streak,
                last_failure=last_failure,
            )
            one = known.get(job_id)
            self._failing[job_id] = new if one is None or one != new else one
        return tuple(self._failing.values())


def _after(state: JobState, row: JobRow, recurring: bool) -> JobState | None:
    """The state after one more execution; None when the job is not worth remembering."""
    failed, succeeded = row.status in FAILURES, row.status == SUCCESS
    state = replace(state)
    newest = row.ended >= state.last_finished
    state.recurring = state.recurring or recurring
    if newest or not state.name:
        state.name, state.task_type = row.name or state.name, row.task_type or state.task_type
    state.finished += 1
    state.failed += failed
    if succeeded:
        state.last_success = max(state.last_success or 0.0, row.ended)
    if row.started is not None:
        state.last_started = max(state.last_started or 0.0, row.started)
    if newest:
        state.last_finished = row.ended
        if failed:
            state.streak, state.last_failure = state.streak + 1, row.ended
        elif succeeded:
            state.streak, state.unbroken = 0, False
    elif state.unbroken and state.first_finished is not None and row.ended <= state.first_finished:
        # History. Between the first and the last known one (a late row) nothing tells where it belongs in the streak.
        state.streak += failed
        state.unbroken = not succeeded
        state.last_failure = max(state.last_failure, row.ended if failed else 0.0)
    state.first_finished = row.ended if state.first_finished is None else min(state.first_finished, row.ended)
    return state if state.recurring or state.streak else None
