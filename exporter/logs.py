"""Logs: structlog on standard output, secrets taken out before any sink."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final, TextIO
from urllib.parse import quote

import msgspec
import structlog

from exporter.config.dsn import secrets_of_dsn
from exporter.config.model import Config, Dsn, LogFormat, LogLevel
from exporter.config.secrets import REDACTED, Secret

SERVICE: Final = "scheduler-exporter"
#: Shorter secrets are not searched for: they would tear ordinary words apart.
SHORTEST: Final = 4
#: Secrets that rotate are new ones each time. A thousand targets' passwords and their predecessors fit.
MOST_FETCHED: Final = 5_000
#: C0 and C1 but for tab and line feed, and Unicode's own line ends.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
#: Stands for a secret until all are found: a short one may be part of what is shown instead ("secret", say).
_MARK: Final = "\ufdd0"
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Scrubber:
    """Replaces every known secret in what is about to be logged: the last line of defence."""

    def __init__(self) -> None:
        #: Those that a configuration spells out, and those that were fetched: the ones used last at the end.
        self._configured: set[str] = set()
        self._fetched: dict[str, None] = {}
        self._longest_first: tuple[str, ...] | None = ()

    def learn(self, config: Config) -> None:
        """Know the secrets of ``config`` too; those of earlier ones are not forgotten."""
        self._configured.update(form for secret in secrets_of(config) for form in _forms(secret))
        self._longest_first = None

    def add(self, *secrets: str) -> None:
        """Know secrets that were fetched: passwords, tokens, lease ids. The ``MOST_FETCHED`` used last are kept."""
        for form in (form for secret in secrets for form in _forms(secret)):
            if form not in self._fetched:
                self._longest_first = None
            self._fetched.pop(form, None)
            self._fetched[form] = None
        while len(self._fetched) > MOST_FETCHED:
            del self._fetched[next(iter(self._fetched))]
            self._longest_first = None

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        if self._longest_first is None:
            self._longest_first = tuple(sorted({*self._configured, *self._fetched}, key=len, reverse=True))
        marked = text
        for secret in self._longest_first:
            if secret in marked:
                marked = marked.replace(secret, _MARK)
        return text if marked is text else marked.replace(_MARK, REDACTED)

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return printable(self.text(value))
        if isinstance(value, dict):
            return {self._clean(k): self._clean(v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._clean(v) for v in value]
        return value if isinstance(value, (int, float, bool, type(None))) else printable(self.text(str(value)))


def printable(text: str) -> str:
    r"""``text`` with control characters as ``\x1b``, but for line ends and tabs, which every format escapes itself.

    Some formats write them as they are: a carriage return in an id would begin a line that nobody logged.
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


#: The process's scrubber: secrets are learned when a configuration is read, and as they are fetched.
scrubber: Final = Scrubber()


def _forms(secret: str) -> set[str]:
    """A secret as it is and as a URI has it, without what is too short to be searched for."""
    return {form for form in (secret, quote(secret, safe="")) if len(form) >= SHORTEST}


def secrets_of(value: object) -> Iterator[str]:
    """Every secret text inside a configuration. What references stand for is learned as they are followed."""
    if isinstance(value, Secret):
        if value.template is None:
            yield value.reveal()
    elif isinstance(value, Dsn):
        yield from secrets_of_dsn(value)
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
