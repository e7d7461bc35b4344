"""The configuration's shape: every key, its type and its default. ``config.example.yaml`` shows each one.

Constraints that one key alone can break stand with it here (``Meta``); what needs two keys is in ``checks``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from exporter.config.alerting import Alerting, Alertmanager, Receiver, Slo, ThresholdOverride, Thresholds
from exporter.config.base import (
    Amount,
    Dsn,
    Duration,
    HttpUrl,
    ListenAddress,
    Name,
    Port,
    Ports,
    Positive,
    Ratio,
    RedisUrl,
    Remote,
    Section,
    Sql,
    TelemetryPath,
    Text,
    TriggerUrl,
    VaultPath,
)
from exporter.config.dependencies import (
    Dependency,
    HttpDependency,
    KafkaDependency,
    RedisDependency,
    SmtpDependency,
    TcpDependency,
)
from exporter.config.http import ActionRate, Api, Auth, ReadRate, Token, Web
from exporter.config.http_stores import ChronosStore, HttpStore, NativelinkStore
from exporter.config.logs import Environment, LogFormat, Logging, LogLevel, LogSettings, log_settings
from exporter.config.packs import PackUse
from exporter.config.profile import Cursor, Profile
from exporter.config.secrets import Secret
from exporter.config.telemetry import Sentry, Tracing
from exporter.config.vault import Vault, VaultAuth, VaultCredential, VaultMethod

#: All of the model is found here, wherever it is written: these stand elsewhere.
__all__ = [
    "ActionRate",
    "Alerting",
    "Alertmanager",
    "Amount",
    "Api",
    "Auth",
    "ChronosStore",
    "Cursor",
    "Dependency",
    "Dsn",
    "Duration",
    "Environment",
    "HttpDependency",
    "HttpStore",
    "HttpUrl",
    "KafkaDependency",
    "ListenAddress",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "Logging",
    "Name",
    "NativelinkStore",
    "PackUse",
    "Port",
    "Ports",
    "Positive",
    "Profile",
    "Ratio",
    "ReadRate",
    "Receiver",
    "RedisDependency",
    "RedisUrl",
    "Remote",
    "Section",
    "Sentry",
    "Slo",
    "SmtpDependency",
    "Sql",
    "TcpDependency",
    "TelemetryPath",
    "Text",
    "ThresholdOverride",
    "Thresholds",
    "Token",
    "Tracing",
    "TriggerUrl",
    "Vault",
    "VaultAuth",
    "VaultCredential",
    "VaultMethod",
    "VaultPath",
    "Web",
]


class State(Section, frozen=True, kw_only=True):
    """Where the ledger lives: a directory, or ``:memory:`` (counters then start anew with every start)."""

    path: Text = "./state"


class Counting(Section, frozen=True, kw_only=True):
    """How far back a poll looks again for rows that appear late, and how much history fills the statistics at first.

    ``backfill`` 0s reads no history.
    """

    late_window: Duration = Duration(30)
    backfill: Duration = Duration(35 * 86_400)


class StuckAfter(Section, frozen=True, kw_only=True):
    """How long an execution may run before it counts as stuck."""

    default: Positive = Duration(7200)
    task_types: dict[str, Positive] = {}


class SqlTrigger(Section, frozen=True, kw_only=True):
    """A job is triggered by a statement of the store: the profile's, unless one is given here."""

    kind: Literal["sql"] = "sql"
    statement: Sql | None = None


#: What a message may say of the job that it triggers.
MESSAGE_FIELDS: Final = ("job_id", "execution_id")


class RedisTrigger(Section, frozen=True, kw_only=True):
    """A job is triggered by a message on a Redis list, after the statement (as of SqlTrigger) if there is one."""

    url: RedisUrl
    list: Text
    kind: Literal["redis"] = "redis"
    statement: Sql | None = None
    message: Text = '{"task_id": {job_id}, "execution_id": {execution_id}}'
    end: Literal["left", "right"] = "left"
    username: Text | None = None
    password: Secret | None = None
    ca_file: Text | None = None
    timeout: Positive = Duration(5)


class HttpTrigger(Remote, frozen=True, kw_only=True):
    """A job is triggered by a POST to ``url``, in which ``{job_id}`` stands for the job's id."""

    url: TriggerUrl
    kind: Literal["http"] = "http"


class PostgresStore(Section, frozen=True, kw_only=True):
    """A scheduler's store in PostgreSQL."""

    name: Name
    dsn: Dsn
    kind: Literal["postgres"] = "postgres"
    password: Secret | None = None
    vault: VaultCredential | None = None
    profile: Text | Profile = "auto"
    parameters: dict[str, str] = {}
    interval: Positive = Duration(15)
    timeout: Positive = Duration(5)
    staleness: Positive = Duration(300)
    grace: Duration = Duration(60)
    counting: Counting = Counting()
    max_db_load: Annotated[float, Meta(ge=0.0001, le=1)] = 0.01
    stuck_after: StuckAfter = StuckAfter()
    worker_lost_after: Positive = Duration(120)
    critical_jobs: tuple[Text, ...] = ()
    trigger: SqlTrigger | RedisTrigger | HttpTrigger = SqlTrigger()


AnyStore = PostgresStore | NativelinkStore | ChronosStore

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
SessionAttrs = Literal["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]
Reuse = Literal["auto", "always", "never"]


class ServerLogin(Section, frozen=True, kw_only=True):
    """How somebody logs in to a PostgreSQL server that is checked; names and meanings are libpq's."""

    user: Text | None = None
    password: Secret | None = None
    sslmode: SslMode = "prefer"
    sslrootcert: Text | None = None
    sslcert: Text | None = None
    sslkey: Text | None = None


class Target(ServerLogin, frozen=True, kw_only=True):
    """A PostgreSQL server to check, or several (``host`` and ``port`` are lists with commas then) of which one answers.

    ``reuse`` overrides that of ``connections``.
    """

    name: Name
    host: Text
    id: int | Text | None = None
    port: Ports = 5432
    database: Text = "postgres"
    target_session_attrs: SessionAttrs = "any"
    vault: VaultCredential | None = None
    reuse: Reuse | None = None


class StoreTargets(ServerLogin, frozen=True, kw_only=True):
    """What holds for the targets in stores' tables where a row does not say it; which Vault paths a row may name."""

    vault_paths: tuple[Text, ...] = ("*",)


class Connections(Section, frozen=True, kw_only=True):
    """The checks of PostgreSQL connections.

    ``reuse`` tells whether a target's connection is kept from check to check; one that is kept is given up and made
    anew, login included, after ``login_interval`` at most.
    """

    interval: Positive = Duration(15)
    timeout: Positive = Duration(5)
    staleness: Positive = Duration(300)
    max_concurrent_checks: Annotated[int, Meta(ge=1)] = 50
    reuse: Reuse = "auto"
    login_interval: Positive = Duration(300)
    from_stores: bool = True
    write_status: bool = False
    store_targets: StoreTargets = StoreTargets()
    targets: tuple[Target, ...] = ()


class PostgresDependency(Dependency, frozen=True, kw_only=True):
    """A PostgreSQL server that is no target of ``connections``. Its keys are a target's, and a test holds them to it.

    They are written again because a struct of msgspec has one base with fields.
    """

    kind: Literal["postgres"]
    host: Text
    port: Ports = 5432
    database: Text = "postgres"
    target_session_attrs: SessionAttrs = "any"
    user: Text | None = None
    password: Secret | None = None
    vault: VaultCredential | None = None
    sslmode: SslMode = "prefer"
    sslrootcert: Text | None = None
    sslcert: Text | None = None
    sslkey: Text | None = None


AnyDependency = PostgresDependency | RedisDependency | KafkaDependency | HttpDependency | SmtpDependency | TcpDependency


class Actions(Section, frozen=True, kw_only=True):
    """Whether jobs may be triggered, connections checked and alerts silenced through the API."""

    enabled: bool = False


class Readiness(Section, frozen=True, kw_only=True):
    """Whether a store that is down makes ``/health/ready`` fail."""

    require_store: bool = False


class Limits(Section, frozen=True, kw_only=True):
    """The series budget of each metric; ``memory`` in bytes where no cgroup limit says it."""

    series_per_metric: Annotated[int, Meta(ge=1)] = 500
    memory: Annotated[int, Meta(ge=1)] | None = None


class Retention(Section, frozen=True, kw_only=True):
    """How long the state file keeps what it keeps; ``recent_executions`` is a number, for each store."""

    statistics: Positive = Duration(35 * 86_400)
    errors: Positive = Duration(30 * 86_400)
    alerts: Positive = Duration(90 * 86_400)
    audit: Positive = Duration(90 * 86_400)
    recent_executions: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration file. Where ``environment`` is not written, its ``setting`` is production's."""

    environment: Environment | None = None
    web: Web = Web()
    api: Api = Api()
    auth: Auth = Auth()
    state: State = State()
    stores: tuple[AnyStore, ...] = ()
    connections: Connections = Connections()
    vault: Vault | None = None
    dependencies: tuple[AnyDependency, ...] = ()
    packs: tuple[Text | PackUse, ...] = ()
    alerting: Alerting = Alerting()
    slo: tuple[Slo, ...] = ()
    actions: Actions = Actions()
    readiness: Readiness = Readiness()
    limits: Limits = Limits()
    retention: Retention = Retention()
    logging: Logging = Logging()
    tracing: Tracing = Tracing()
    sentry: Sentry = Sentry()

    @property
    def setting(self) -> Environment:
        """The environment whose defaults hold."""
        return self.environment or "production"

    @property
    def log(self) -> LogSettings:
        """The log's settings, its environment's defaults included."""
        return log_settings(self.logging, self.setting)
