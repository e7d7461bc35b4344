"""The sections about what is served: listeners, JSON, who may do what."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from exporter.config.base import Amount, ListenAddress, Name, Section, TelemetryPath, Text
from exporter.config.secrets import Secret


class Web(Section, frozen=True, kw_only=True):
    """The HTTP listener: metrics, probes, page."""

    listen_address: Annotated[tuple[ListenAddress, ...], Meta(min_length=1)] = ("127.0.0.1:9795",)
    telemetry_path: TelemetryPath = "/metrics"
    config_file: Text | None = None
    enable_lifecycle: bool = False


class ReadRate(Section, frozen=True, kw_only=True):
    """How often one client may ask for JSON: ``burst`` at once, then ``per_second``; 0 is without a limit."""

    per_second: Amount = 20
    burst: Annotated[int, Meta(ge=1)] = 40


class ActionRate(Section, frozen=True, kw_only=True):
    """How often one client may act."""

    per_second: Amount = 1
    burst: Annotated[int, Meta(ge=1)] = 5


class Api(Section, frozen=True, kw_only=True):
    """JSON and actions: where they are served (None: where the metrics are), and how often one client may ask."""

    listen_address: ListenAddress | tuple[ListenAddress, ...] | None = None
    rate_limit: ReadRate = ReadRate()
    action_rate_limit: ActionRate = ActionRate()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of their own; none where JSON is served beside the metrics."""
        if isinstance(self.listen_address, str):
            return (self.listen_address,)
        return self.listen_address or ()


class Token(Section, frozen=True, kw_only=True):
    """A bearer token and what whoever has it may do; ``name`` is what the audit trail calls that one.

    Without ``token`` (``${VAR:-}`` where VAR is not set) there is none.
    """

    name: Name
    token: Secret | None = None
    role: Literal["viewer", "admin"] = "viewer"


class Auth(Section, frozen=True, kw_only=True):
    """Who may read JSON and act. ``anonymous_read``: anyone may read."""

    anonymous_read: bool = False
    tokens: tuple[Token, ...] = ()
