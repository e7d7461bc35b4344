"""What a check says: stages, result classes, server facts, and what is kept of a target between checks.

Times are Unix seconds, durations seconds, sizes bytes. None means unknown, and is never shown as a number.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from exporter.domain import Histogram

Stage = Literal["vault", "dns", "tcp", "tls", "auth", "query"]
Result = Literal["ok", "timeout", "refused", "dns", "tls", "auth", "vault", "too_many_connections", "query", "other"]
Role = Literal["primary", "replica"]

#: In the order in which a check goes through them; a target skips those it does not need.
STAGES: Final[tuple[Stage, ...]] = ("vault", "dns", "tcp", "tls", "auth", "query")
#: Those that a kept connection went through once.
LOGIN_STAGES: Final[tuple[Stage, ...]] = ("dns", "tcp", "tls", "auth")
#: The states that ``ServerFacts.backends`` counts, in its order.
BACKEND_STATES: Final = ("active", "idle", "idle_in_transaction", "other")
#: Upper bounds of the check-duration histogram in seconds; +Inf is implied.
CHECK_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself; None where the role may not know, or where there is nothing to tell.

    ``server_version`` is short ("15.4"). ``backends`` counts the whole server's client backends by
    BACKEND_STATES, the check's own among them; ``backends_limit`` is what an ordinary role may use of
    max_connections. ``oldest_transaction`` is the start of the oldest open one of any client (absent when
    none is open). ``replication_lag`` is a replica's. ``database_size``, ``deadlocks`` (cumulative) and
    ``transaction_id_age`` (transactions) are the database's own.
    """

    server_version: str | None = None
    role: Role | None = None
    backends: tuple[int, ...] | None = None
    backends_limit: int | None = None
    oldest_transaction: float | None = None
    database_size: int | None = None
    replication_lag: float | None = None
    deadlocks: int | None = None
    transaction_id_age: int | None = None


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One finished check. ``stages`` has the seconds of each stage it went through, the failed one included.

    ``error_message`` is the driver's or server's first line, free of secrets; ``sqlstate`` what the server
    answered with, where it did. ``tls_expiry`` is the server certificate's notAfter, None without TLS or
    before it was read. ``reused`` tells that it went over a kept connection, with no stage of a login then;
    ``last_login`` is when a login last succeeded.
    """

    result: Result
    finished_at: float
    response_seconds: float
    stages: dict[Stage, float]
    failed_stage: Stage | None = None
    error_message: str | None = None
    sqlstate: str | None = None
    facts: ServerFacts | None = None
    tls_expiry: float | None = None
    reused: bool = False
    last_login: float | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether the check reached the end."""
        return self.result == "ok"


class ConnectionState(msgspec.Struct, frozen=True, kw_only=True):
    """The part that the ``connections`` collector publishes: a target, its last check and what adds up.

    ``id`` is the configured one, else the name; ``host`` and ``port`` are as configured, with commas where there are
    several hosts. ``result`` is None until the first check has finished. ``stages`` are those of the last check; where
    it went over a kept connection, those of the connection's login are among them, as old as ``last_login``.
    ``deadlocks`` counts those since the first check that could see them: like every counter here it begins at 0 and
    leaves history out, which would look like an increase. ``deadlocks_seen`` is the server's own count, last time.
    """

    id: int | str
    name: str
    host: str
    port: int | str
    database: str
    result: CheckResult | None = None
    stages: dict[Stage, float] = msgspec.field(default_factory=dict)
    checks: int = 0
    failures: dict[Result, int] = msgspec.field(default_factory=dict)
    deadlocks: int | None = None
    deadlocks_seen: int | None = None
    last_check: float | None = None
    last_success: float | None = None

    def after(self, result: CheckResult) -> ConnectionState:
        """The state once ``result`` has come in."""
        failures = self.failures
        if not result.is_healthy:
            failures = {**failures, result.result: failures.get(result.result, 0) + 1}
        seen = result.facts.deadlocks if result.facts else None
        return replace(
            self,
            result=result,
            stages={**self._login_stages(), **result.stages} if result.reused else result.stages,
            checks=self.checks + 1,
            failures=failures,
            deadlocks=self.deadlocks if seen is None else (self.deadlocks or 0) + self._new_deadlocks(seen),
            deadlocks_seen=self.deadlocks_seen if seen is None else seen,
            last_check=result.finished_at,
            last_success=result.finished_at if result.is_healthy else self.last_success,
        )

    def _login_stages(self) -> dict[Stage, float]:
        return {stage: self.stages[stage] for stage in LOGIN_STAGES if stage in self.stages}

    def _new_deadlocks(self, seen: int) -> int:
        """How many are new to us; a lower count than before means that the server's statistics were reset."""
        before = seen if self.deadlocks_seen is None else self.deadlocks_seen
        return seen - before if seen >= before else seen


EMPTY_DURATIONS: Final = Histogram((0,) * (len(CHECK_BUCKETS) + 1), 0.0)


class Rhythm(msgspec.Struct, frozen=True):
    """The part of all checks together, in CHECK_BUCKETS: how long they took, how late the scheduled ones began."""

    durations: Histogram = EMPTY_DURATIONS
    lateness: Histogram = EMPTY_DURATIONS


def observe(histogram: Histogram, seconds: float) -> Histogram:
    """``histogram`` (of CHECK_BUCKETS) with one more check in it."""
    counts = list(histogram.counts)
    counts[bisect_left(CHECK_BUCKETS, seconds)] += 1
    return Histogram(tuple(counts), histogram.sum + seconds)
