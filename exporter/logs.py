"""Logs: structlog on standard output, secrets taken out before any sink."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final, TextIO

import msgspec
import structlog

from exporter.config.dsn import parse_dsn
from exporter.config.model import Config, Dsn, LogFormat, LogLevel
from exporter.config.secrets import REDACTED, Secret

SERVICE: Final = "scheduler-exporter"
#: Shorter secrets are not searched for: they would tear ordinary words apart.
SHORTEST: Final = 4
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Scrubber:
    """Replaces every known secret in what is about to be logged: the last line of defence."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def learn(self, config: Config) -> None:
        """Know the secrets of ``config`` too; those of earlier ones are not forgotten."""
        found = {secret for secret in secrets_of(config) if len(secret) >= SHORTEST}
        self._secrets = tuple(sorted(found.union(self._secrets), key=len, reverse=True))

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._clean(k): self._clean(v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._clean(v) for v in value]
        return value if isinstance(value, (int, float, bool, type(None))) else self.text(str(value))


#: The process's scrubber: secrets are learned when a configuration is read.
scrubber: Final = Scrubber()


def secrets_of(value: object) -> Iterator[str]:
    """Every secret text inside a configuration."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Dsn):
        try:
            password = parse_dsn(value).get("password")
        except ValueError:
            return
        if password:
            yield str(password)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from secrets_of(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from secrets_of(inner)


def configure(level: LogLevel, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Set the process's logging up; may be called again with another level or format. ``stream``: standard output."""
    stream = sys.stdout if stream is None else stream
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level if log_format == "console" else _upper_level,
        _service,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Never with local variables: they hold passwords.
        structlog.processors.format_exc_info,
        scrubber,
    ]
    structlog.configure(
        processors=[*shared, *_renderer(log_format, stream)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderer(log_format, stream)],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)


def _renderer(log_format: LogFormat, stream: TextIO) -> Iterable[structlog.typing.Processor]:
    if log_format == "console":
        return [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            )
        ]
    order = ["timestamp", "level", "service", "component", "message"]
    rename = structlog.processors.EventRenamer("message")
    if log_format == "logfmt":
        return [rename, structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True, bool_as_flag=False)]
    return [rename, _ordered(order), structlog.processors.JSONRenderer(serializer=_json)]


def _ordered(order: list[str]) -> structlog.typing.Processor:
    def reorder(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: event[key] for key in order if key in event} | dict(event)

    return reorder


def _json(event: dict[str, Any], **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _upper_level(_: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["level"] = {"warning": "WARN", "exception": "ERROR", "critical": "ERROR"}.get(method, method.upper())
    return event


def _service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event.setdefault("service", SERVICE)
    return event
