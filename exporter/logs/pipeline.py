"""From what somebody logs to a line: names, category, repetition, masks, and last its form."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog

from exporter.config.logs import LogFormat
from exporter.logs import errors
from exporter.logs.errors import ErrorEvent
from exporter.logs.masking import masked_fields
from exporter.logs.naming import category, public
from exporter.logs.repetition import Repetition
from exporter.logs.sink import Line

SERVICE: Final = "scheduler-exporter"
#: Marks a line that is not to be counted as a repetition: it sums repetitions up, or tells of the log itself.
ONCE: Final = "_once"
#: Marks a line that goes to standard output, whatever else there is.
SHOWN: Final = "_shown"
_SPEC: Final = {"warning": "WARN", "critical": "ERROR"}
_LOUD: Final = frozenset({"warning", "error", "critical"})
_ORDER: Final = ("timestamp", "level", "service", "category", "component", "operation", "duration", "message")

Render = Callable[[dict[str, Any]], str]


class Pipeline:
    """The last processor of structlog's chain: what it returns are the arguments of the logger, see ``configuring``."""

    def __init__(
        self, *, stream: Render, file: Render | None, repetition: Repetition, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._file = file
        self._repetition = repetition
        self._clock = clock
        self._second = (-1, "")

    def __call__(
        self, _logger: object, method: str, event: structlog.typing.EventDict
    ) -> tuple[tuple[Line], dict[str, Any]]:
        severity = "error" if method == "exception" else method
        once, shown = event.pop(ONCE, False), event.pop(SHOWN, False)
        exception = _exception(event)
        if severity in _LOUD and not once and not self._repetition.admits(severity, dict(event)):
            raise structlog.DropEvent
        event.pop("exc_info", None)
        if exception is not None:
            # Never with local variables: they hold passwords.
            event["exception"] = "".join(traceback.format_exception(exception)).rstrip()
        told = masked_fields({public(key): value for key, value in event.items() if value is not None})
        fields = self._whole(severity, told)
        if errors.anybody(severity):
            errors.tell(ErrorEvent(severity=severity, fields=fields, exception=exception))  # type: ignore[arg-type]
        filed = self._file(fields) if self._file is not None and not shown else None
        line = Line(self._stream(fields), filed, fields["category"], fields["timestamp"][:10])
        return (line,), {}

    def _whole(self, severity: str, told: dict[str, Any]) -> dict[str, Any]:
        head = {
            "timestamp": self._moment(),
            "level": _SPEC.get(severity) or severity.upper(),
            "service": SERVICE,
            "category": category(severity, told),
        }
        rest = told | head
        return {key: rest[key] for key in _ORDER if key in rest} | rest

    def _moment(self) -> str:
        now = self._clock()
        second, known = self._second
        if second != int(now):
            known = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = int(now), known
        return f"{known}.{int(now % 1 * 1000):03d}Z"


def _exception(event: Mapping[str, Any]) -> BaseException | None:
    found = event.get("exc_info")
    if isinstance(found, tuple):
        found = found[1]
    elif found is True:
        import sys  # noqa: PLC0415

        found = sys.exc_info()[1]
    return found if isinstance(found, BaseException) else None


def renderer(log_format: LogFormat, stream: TextIO | None = None) -> Render:
    """What makes a line of a line's fields; ``stream`` is where it is shown."""
    if log_format == "json":
        return _json
    if log_format == "logfmt":
        logfmt = structlog.processors.LogfmtRenderer(key_order=_ORDER, drop_missing=True, bool_as_flag=False)
        return lambda fields: logfmt(None, "", dict(fields))
    console = structlog.dev.ConsoleRenderer(
        colors=stream is not None and stream.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        event_key="message",
        pad_event_to=0,
    )

    def shown(fields: dict[str, Any]) -> str:
        # For people: whose log it is they know, and levels have their colours by structlog's names.
        level = {"WARN": "warning"}.get(fields["level"], fields["level"].lower())
        return console(None, "", {k: v for k, v in fields.items() if k != "service"} | {"level": level})

    return shown


def _json(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields, enc_hook=str).decode()
