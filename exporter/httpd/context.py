"""What handlers may use: callables and protocols that the application fills in: imports point down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from exporter.actions import Actions
from exporter.alertmanager import AlertSource
from exporter.config.model import Config
from exporter.config.secrets import Secret
from exporter.connections import CheckResult, ConnectionState
from exporter.domain import AuditEntry, ErrorGroup, RecentExecution, Statistics
from exporter.httpd.sessions import Sessions
from exporter.ledger.alerts import AlertHistory
from exporter.ledger.jobs import JobState
from exporter.remediation import Remediation
from exporter.snapshot import Hub
from exporter.stores.asked import StoreReads


class Page(Protocol):
    """A rendered exposition; ``body`` is ready to send, compressed when that was asked for."""

    @property
    def body(self) -> bytes:
        """The bytes of the answer."""


PageT = TypeVar("PageT", bound=Page)


class Renderer(Protocol[PageT]):
    """Turns the current snapshot into an exposition. Never waits for a database."""

    def render(self, *, openmetrics: bool, gzip: bool, names: frozenset[str] | None) -> PageT:
        """The exposition; with ``names`` only those metric families or samples."""

    async def served(self, page: PageT) -> None:
        """Told once ``page`` was written in full to a client that asked for its body."""


class ApiInstruments(Protocol):
    """Counts requests. ``endpoint`` is a route's template or ``unmatched``; sizes are those of bodies."""

    def observe(
        self,
        *,
        method: str,
        endpoint: str,
        status: int,
        seconds: float,
        request_bytes: int,
        response_bytes: int,
    ) -> None:
        """One answered request."""


class History(Protocol):
    """What has been counted, added up once for each snapshot. LedgerError while the state file cannot be used."""

    async def statistics(self, store: str, seconds: float) -> Statistics | None:
        """What ended in the last ``seconds``, by task type; None before the store's first poll."""

    async def workers(self, store: str, seconds: float) -> Statistics | None:
        """The same by worker."""

    async def errors(self, store: str, seconds: float) -> list[ErrorGroup]:
        """The error groups of the last ``seconds``, the most frequent ones first."""

    async def recent(
        self, store: str, *, limit: int, offset: int = 0, status: str | None = None, task_type: str | None = None
    ) -> list[RecentExecution]:
        """The newest finished executions, newest first, of one final status and task type if they are given."""

    async def job(self, store: str, job_id: str) -> JobState | None:
        """What is remembered of a job: of recurring and of failing ones."""


class Connections(Protocol):
    """The checked targets."""

    @property
    def states(self) -> Mapping[str, ConnectionState]:
        """What is known of each target, by name, in the configuration's order."""

    async def check_now(self, name: str) -> CheckResult:
        """The result of a check that ends after now. KeyError, TargetGoneError: no such target (any more)."""


class Audit(Protocol):
    """Who did what: in the log at once, in the state file as soon as that can be written. Never fails."""

    def record(self, entry: AuditEntry) -> None:
        """Take ``entry`` without waiting."""

    async def kept(self, entry: AuditEntry) -> None:
        """The same, and return once it is in the state file, or cannot be."""


class Check(msgspec.Struct, frozen=True):
    """One line of a health answer. A check that is not ``required`` is listed and changes nothing.

    ``detail`` is a few fixed lower-case words ("over its limit"); anything else is left out of the answer.
    """

    name: str
    ok: bool
    required: bool = True
    detail: str | None = None


class ReloadResult(msgspec.Struct, frozen=True):
    """Whether the configuration was taken over; else one line for each fault, free of secrets."""

    ok: bool
    problems: tuple[str, ...] = ()


class Landing(Protocol):
    """The page at ``/``."""

    async def __call__(self, context: Context, call: Any) -> web.StreamResponse:
        """The page of this moment, for whoever sent ``call`` (a ``Query``)."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the application lends to handlers.

    ``hub`` has what is true now, ``history`` what was counted, ``audit`` takes who did what; ``config`` is the
    configuration in force, ``secret`` gives the text of one of its secrets, ``redacted_config`` its YAML without them;
    ``reload`` reads the file again and is safe to call twice at once; ``started_at`` is Unix seconds; ``landing``
    answers with the page at ``/``, ``reference`` makes that at ``/docs`` from a document in OpenAPI, whose only style
    sheet is a ``<style>`` element in its head; ``sessions`` knows who has signed in there;
    ``reads`` asks a store, None where it is not read here; ``connections``
    are the checked targets, ``probe`` a target's metrics in the text format; ``alerts`` asks Alertmanager,
    ``alert_history`` is what it told, ``remediation`` what is done about it, ``actions`` does what is asked for.
    """

    hub: Hub
    history: History
    audit: Audit
    config: Callable[[], Config]
    secret: Callable[[Secret], Awaitable[str]]
    redacted_config: Callable[[], str]
    render: Renderer[Any]
    reload: Callable[[], Awaitable[ReloadResult]]
    instruments: ApiInstruments
    liveness: Callable[[], list[Check]]
    readiness: Callable[[], list[Check]]
    started_at: float
    version: str
    landing: Landing
    sessions: Sessions
    reads: Callable[[str], StoreReads | None]
    connections: Connections
    alerts: AlertSource
    alert_history: AlertHistory
    remediation: Remediation
    actions: Actions
    probe: Callable[[str], bytes]
    reference: Callable[[Mapping[str, Any]], str]
