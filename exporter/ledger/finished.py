"""A finished execution as a poll reads it: the one row type between the stores and the ledger."""

from __future__ import annotations

from typing import Final, NamedTuple

from exporter.domain import FINAL_STATUSES

STATUS_INDEX: Final = {status: i for i, status in enumerate(FINAL_STATUSES)}
SUCCESS: Final = STATUS_INDEX["SUCCESS"]
#: What counts as a failure: of a job's streak, of an error group.
FAILURES: Final = frozenset({STATUS_INDEX["FAILED"], STATUS_INDEX["TIMEOUT"]})


class Finished(NamedTuple):
    """Times are Unix seconds; ``stamp`` is the cursor position; ``error_message`` may be cut.

    Readers hand over plain tuples of these fields: a million of them pass in seconds, and a name for each field would
    cost more than counting it.
    """

    key: str
    stamp: int | float
    execution_id: str
    job_id: str | None
    job_name: str | None
    recurring_id: str | None
    task_type: str | None
    status: str
    attempt: int | None
    scheduled_at: float | None
    started_at: float | None
    completed_at: float | None
    worker_id: str | None
    queue: str | None = None
    error_message: str | None = None
    error_code: str | None = None
