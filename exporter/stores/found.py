"""What requests find in a store, beside what the polls know: jobs, their logs, operations. Frozen, free of I/O.

As in ``domain``: times are Unix seconds, ids are text.
"""

from __future__ import annotations

import msgspec

from exporter.domain import RecentExecution


class LoggedExecution(RecentExecution, frozen=True, kw_only=True):
    """A finished execution as the store has it; ``result`` is JSON or any other text, cut after a while."""

    result: str | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the store has it."""

    id: str
    name: str | None
    task_type: str | None
    queue: str | None
    status: str | None
    type: str | None
    schedule: str | None
    time_zone: str | None
    priority: int | None
    connection_id: str | None
    next_run_at: float | None
    last_run_at: float | None
    created_at: float | None
    updated_at: float | None


class JobTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One job's finished executions added up: ``counts`` for each of FINAL_STATUSES; durations in seconds.

    ``retries`` is None where the store does not tell attempts apart; ``capped``: only the newest ones were looked at;
    ``cancelled``: whether it tells cancelled ones.
    """

    counts: tuple[int, ...]
    retries: int | None
    mean: float | None
    max: float | None
    min: float | None
    first: float | None
    last: float | None
    capped: bool
    cancelled: bool = True


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as the store has it; ``stage`` is one of OPERATION_STAGES, ``timeout`` seconds."""

    operation_id: str | None
    client_operation_id: str | None
    stage: str | None
    worker_id: str | None
    action_digest: str | None
    command_digest: str | None
    input_root_digest: str | None
    priority: int | None
    timeout: int | None
    platform_properties: str | None
    load_timestamp: float | None
    insert_timestamp: float | None
