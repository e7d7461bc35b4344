"""Tracing from the start of the program to its end, where a collector is configured."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog

from exporter import __version__, tracing
from exporter.config.model import Config
from exporter.config.telemetry_checks import TRACING, installed, remedy
from exporter.errors import ConfigError
from exporter.logs import scrubber
from exporter.logs.pipeline import SERVICE
from exporter.outbound import Reveal
from exporter.telemetry.destination import Destination, destination
from exporter.threads import in_thread

log = structlog.get_logger(component="tracing")

#: Seconds at the end for what has not been sent.
LAST: Final = 2.0


@contextlib.asynccontextmanager
async def traced(config: Config, reveal: Reveal, environ: Mapping[str, str] = os.environ) -> AsyncIterator[None]:
    """Trace what is done within, where ``config`` or ``environ`` names a collector. ConfigError for one that is none.

    ``reveal`` gives the text of a secret. What is sent costs nobody anything when it is not taken.
    """
    to = destination(config.tracing, environ)
    if to is None:
        yield
        return
    if not installed(TRACING):
        # ``tracing.otlp_endpoint`` has been refused by then: a variable may be meant for others in the same pod.
        log.warning("nothing is traced: OpenTelemetry is not installed", variable=to.origin, remedy=remedy("tracing"))
        yield
        return
    # Both take a moment to load, and only those who want traces shall pay for them.
    from exporter.telemetry.provider import Tracing  # noqa: PLC0415
    from exporter.telemetry.sending import Sender  # noqa: PLC0415

    scrubber.add(*(secret.reveal() for secret in to.headers.values() if secret.template is None))
    sender = Sender(to, reveal, asyncio.get_running_loop())
    try:
        tracer = Tracing(sender, ratio=config.tracing.sampling_ratio, attributes=attributes(config, environ))
    except ValueError as error:  # of the SDK, about one of its variables
        raise ConfigError([f"OTEL_BSP_*: {error}"]) from None
    _say(to)
    tracing.use(tracer)
    try:
        yield
    finally:
        tracing.use(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                await in_thread(tracer.close, "traces-end")
        sender.shutdown()


def _say(to: Destination) -> None:
    log.info("traces are sent", to=to.url.partition("?")[0], origin=to.origin,
             **({"remarks": list(to.remarks)} if to.remarks else {}))  # fmt: skip


def attributes(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """What is told of this process; what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes before our own."""
    own = {
        "service.name": SERVICE,
        "service.version": __version__,
        "deployment.environment.name": config.setting,
    }
    pairs = environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    given = {pair.partition("=")[0].strip() for pair in pairs}
    if environ.get("OTEL_SERVICE_NAME"):
        given.add("service.name")
    return {**{key: value for key, value in own.items() if key not in given}, **config.tracing.resource_attributes}
