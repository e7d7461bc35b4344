"""Sentry's SDK, without what it finds out by itself. Imported when errors are reported: 3 MB."""

from __future__ import annotations

from typing import Any, Final

import sentry_sdk
from sentry_sdk.transport import HttpTransport
from sentry_sdk.utils import BadDsn

from exporter.errors import ConfigError
from exporter.telemetry.events import scrubbed
from exporter.telemetry.outage import Outage

#: Events in the SDK's own queue.
QUEUE: Final = 100
#: Seconds for one request.
TIMEOUT: Final = 10


class Client:
    """Sends events to the project of ``dsn``. ConfigError, without the DSN, for one that is none.

    No integrations: they would hook into the process and tell of arguments, variables, requests and modules.
    """

    def __init__(
        self, dsn: str, *, environment: str, release: str, ca_file: str | None, origin: str, outage: Outage
    ) -> None:
        self.dsn = dsn

        class Transport(HttpTransport):
            """Tells what becomes of events."""

            TIMEOUT = TIMEOUT

            def on_dropped_event(self, reason: str) -> None:
                outage.failed(_words(reason), 1)

            def _get_pool_options(self) -> dict[str, Any]:
                # urllib3 would log each of its retries.
                return {**super()._get_pool_options(), "retries": False}

            def _handle_response(self, response: Any, envelope: Any) -> None:
                super()._handle_response(response, envelope)
                if 200 <= response.status < 300:
                    outage.taken()

        try:
            self._client = sentry_sdk.Client(
                dsn=dsn,
                transport=Transport,
                environment=environment,
                release=release,
                ca_certs=ca_file,
                before_send=lambda event, _: scrubbed(event),  # type: ignore[arg-type, return-value]
                integrations=[],
                default_integrations=False,
                auto_enabling_integrations=False,
                auto_session_tracking=False,
                send_client_reports=False,
                include_local_variables=False,
                include_source_context=False,
                attach_stacktrace=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                transport_queue_size=QUEUE,
                enable_backpressure_handling=False,
                spotlight=False,
                debug=False,
            )
        except BadDsn:
            raise ConfigError([f"{origin}: expected a DSN such as https://<key>@sentry.example.com/1"]) from None

    def capture(self, event: dict[str, Any]) -> None:
        """Put ``event`` into the queue; a full one loses it."""
        self._client.capture_event(event)  # type: ignore[arg-type]

    def close(self, seconds: float) -> None:
        """Send what is queued, for so long; blocks."""
        self._client.close(timeout=seconds)


def _words(reason: str) -> str:
    """Why an event was lost."""
    if reason.startswith("status_"):
        return f"it answered with status {reason.removeprefix('status_')}"
    return {
        "network": "it cannot be reached, or did not answer in time",
        "full_queue": "too many events wait",
        "self_rate_limits": "it has had enough for now",
    }.get(reason, reason)
