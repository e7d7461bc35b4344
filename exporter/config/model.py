"""The configuration's shape: every key, its type and its default. ``config.example.yaml`` shows each one.

Constraints that one key alone can break are checked while reading (``load``); what needs two keys is in ``load`` too.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from exporter.config.secrets import Secret


class Duration(float):
    """Seconds. Written ``15s``, ``5m``, ``2h``, ``35d``, ``500ms``; never a bare number."""

    __slots__ = ()


class Dsn(str):
    """A PostgreSQL connection string (URI or key=value). Its repr leaves the password out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<dsn>"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every section."""


class Web(Section):
    """The HTTP listener: metrics, probes, page."""

    listen_address: tuple[str, ...] = ("127.0.0.1:9795",)
    telemetry_path: str = "/metrics"
    config_file: str | None = None
    enable_lifecycle: bool = False


class State(Section):
    """Where the ledger lives: a directory, or ``:memory:`` (counters then start anew with every start)."""

    path: str = "./state"


CursorKind = Literal["timestamp", "naive_timestamp", "epoch", "epoch_ms", "id"]
History = Literal["none", "final", "per_attempt"]


class Cursor(Section):
    """The column that orders finished executions.

    ``kind`` is timestamp (with time zone), naive_timestamp (UTC), epoch (seconds), epoch_ms or id; ``at_end`` says
    whether it is set when the execution ends; ``position`` is the SELECT of an id cursor's greatest value.
    """

    column: str = "completed_at"
    kind: CursorKind = "timestamp"
    at_end: bool = True
    position: str | None = None


class Profile(Section):
    """A mapping of a scheduler's tables onto the canonical columns, one SELECT for each entity."""

    name: str = "custom"
    description: str = ""
    jobs: str | None = None
    live_jobs: str | None = None
    executions: str | None = None
    running: str | None = None
    workers: str | None = None
    operations: str | None = None
    cursor: Cursor | None = None
    key: tuple[str, ...] = ("id", "attempt")
    history: History = "final"
    parameters: dict[str, str] = {}
    requires: tuple[str, ...] = ()


class Counting(Section):
    """How far back a poll looks again for rows that appear late."""

    late_window: Duration = Duration(30)


class StuckAfter(Section):
    """How long an execution may run before it counts as stuck."""

    default: Duration = Duration(7200)
    task_types: dict[str, Duration] = {}


class PostgresStore(Section):
    """A scheduler's store in PostgreSQL."""

    name: str
    dsn: Dsn
    kind: Literal["postgres"] = "postgres"
    password: Secret | None = None
    profile: str | Profile = "auto"
    parameters: dict[str, str] = {}
    interval: Duration = Duration(15)
    timeout: Duration = Duration(5)
    staleness: Duration = Duration(300)
    grace: Duration = Duration(60)
    counting: Counting = Counting()
    max_db_load: float = 0.01
    stuck_after: StuckAfter = StuckAfter()
    worker_lost_after: Duration = Duration(120)
    critical_jobs: tuple[str, ...] = ()


SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class Target(Section):
    """A PostgreSQL server to check."""

    name: str
    host: str
    id: int | str | None = None
    port: int = 5432
    database: str = "postgres"
    user: str | None = None
    password: Secret | None = None
    sslmode: SslMode = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None


class Connections(Section):
    """The checks of PostgreSQL connections."""

    interval: Duration = Duration(15)
    timeout: Duration = Duration(5)
    staleness: Duration = Duration(300)
    max_concurrent_checks: int = 50
    targets: tuple[Target, ...] = ()


class Thresholds(Section):
    """What the alert rules compare against; exported as ``scheduling_alert_threshold``."""

    failure_ratio: float = 0.05
    success_ratio_24h: float = 0.80
    duration_seconds: float = 3600
    duration_regression: float = 2
    memory_ratio: float = 0.85
    consecutive_failures: float = 3
    errors_per_hour: float = 10
    api_error_ratio: float = 0.1
    api_p95_seconds: float = 5
    no_execution_seconds: float = 300
    calendar_api_errors_10m: float = 5


class ThresholdOverride(Section):
    """Other thresholds for one store, or one task type of it."""

    store: str
    task_type: str = ""
    failure_ratio: float | None = None
    success_ratio_24h: float | None = None
    duration_seconds: float | None = None
    duration_regression: float | None = None
    consecutive_failures: float | None = None
    errors_per_hour: float | None = None
    no_execution_seconds: float | None = None


class Alerting(Section):
    """Thresholds of the shipped alert rules."""

    thresholds: Thresholds = Thresholds()
    overrides: tuple[ThresholdOverride, ...] = ()


class Slo(Section):
    """A service level objective; ``task_type`` "" is the whole store. Exported as ``scheduling_slo_objective_ratio``."""

    store: str
    objective: float
    task_type: str = ""


class Readiness(Section):
    """Whether a store that is down makes ``/health/ready`` fail."""

    require_store: bool = False


class Limits(Section):
    """The series budget of each metric; ``memory`` in bytes where no cgroup limit says it."""

    series_per_metric: int = 500
    memory: int | None = None


LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "logfmt", "console"]


class Logging(Section):
    """Logs on standard error; level and format default by environment."""

    level: LogLevel | None = None
    format: LogFormat | None = None


Environment = Literal["production", "development", "test"]


class Config(Section):
    """The whole configuration file."""

    environment: Environment = "production"
    web: Web = Web()
    state: State = State()
    stores: tuple[PostgresStore, ...] = ()
    connections: Connections = Connections()
    alerting: Alerting = Alerting()
    slo: tuple[Slo, ...] = ()
    readiness: Readiness = Readiness()
    limits: Limits = Limits()
    logging: Logging = Logging()
