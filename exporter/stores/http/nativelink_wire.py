"""What NativeLink's monitoring API answers, as its documentation shows it. Keys that are not known are ignored."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

#: A number of things.
Number = Annotated[int, Meta(ge=0, le=2**53)]
#: Unix seconds.
Stamp = Annotated[float, Meta(ge=0, le=1e11)]
#: What becomes a label's value.
Id = Annotated[str, Meta(min_length=1, max_length=500)]
Word = Annotated[str, Meta(max_length=500)]


class Worker(msgspec.Struct):
    """One of ``GET /api/v1/workers``."""

    id: Id
    platform_properties: dict[str, str] | None = None
    last_update_timestamp: Stamp | None = None
    is_paused: bool | None = None
    is_draining: bool | None = None
    can_accept_work: bool | None = None
    running_operations: list[Id] | None = None
    connected_timestamp: Stamp | None = None
    actions_completed: Number | None = None


class Operation(msgspec.Struct):
    """One of ``GET /api/v1/operations``."""

    operation_id: Id
    stage: Word
    client_operation_id: Word | None = None
    worker_id: Word | None = None
    action_digest: Word | None = None
    command_digest: Word | None = None
    input_root_digest: Word | None = None
    priority: Annotated[int, Meta(ge=-(2**53), le=2**53)] | None = None
    timeout: Annotated[float, Meta(ge=0, le=1e11)] | None = None
    platform_properties: dict[str, str] | None = None
    load_timestamp: Stamp | None = None
    insert_timestamp: Stamp | None = None


class Status(msgspec.Struct):
    """``GET /api/v1/scheduler/status``: what this store reads of it, the workers."""

    total_workers: Number | None
    active_workers: Number | None
    paused_workers: Number | None
    draining_workers: Number | None


class Operations(msgspec.Struct):
    """Operations by stage."""

    total: Number | None
    queued: Number | None
    executing: Number | None
    completed: Number | None


class Metrics(msgspec.Struct):
    """``GET /api/v1/scheduler/metrics``: what this store reads of it, the operations."""

    operations: Operations


class Health(msgspec.Struct):
    """``GET /api/v1/system/health``."""

    status: Word
    timestamp: Stamp | None = None
    uptime_seconds: Stamp | None = None
