"""Checks of PostgreSQL connections: each target on a task of its own, stage by stage, one connection each at most.

Belongs here: targets, stages, server facts, the rhythm of the checks, what is published of them. Does not:
secrets' origin (they come through a callable), metrics (``metrics``), the scheduler's own store (``stores``).
"""

from exporter.connections.manager import (
    COLLECTOR,
    DURATIONS_COLLECTOR,
    DURATIONS_SOURCE,
    ConnectionManager,
)
from exporter.connections.results import (
    BACKEND_STATES,
    CHECK_BUCKETS,
    STAGES,
    CheckResult,
    ConnectionState,
    Result,
    Rhythm,
    ServerFacts,
    Stage,
)
from exporter.connections.runner import TargetGoneError

__all__ = [
    "BACKEND_STATES",
    "CHECK_BUCKETS",
    "COLLECTOR",
    "DURATIONS_COLLECTOR",
    "DURATIONS_SOURCE",
    "STAGES",
    "CheckResult",
    "ConnectionManager",
    "ConnectionState",
    "Result",
    "Rhythm",
    "ServerFacts",
    "Stage",
    "TargetGoneError",
]
