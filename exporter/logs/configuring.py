"""Setting the process's log up: level, form, where it goes. All loggers, the libraries' too, end in one pipeline."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

from exporter.config.logs import LogSettings
from exporter.logs.files import DailyFiles
from exporter.logs.pipeline import ONCE, SHOWN, Pipeline, renderer
from exporter.logs.repetition import Repetition
from exporter.logs.sink import Line, Sink

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Logger:
    """What structlog calls with the pipeline's result, by the name of the level."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, line: Line) -> None:
        """Write the line, and what that taught the sink."""
        for note in self._sink.write(line):
            log = structlog.get_logger(component="logs")
            say = log.error if note.bad else log.info
            say(note.message, **note.fields, **{ONCE: True, SHOWN: note.bad})

    debug = info = warning = error = critical = msg = write


class _Forward(logging.Handler):
    """Hands what libraries log over to our pipeline."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as ours."""
        severity = max((n for n in (10, 20, 30, 40, 50) if n <= record.levelno), default=10)
        try:
            text = record.getMessage()
        except Exception:  # its arguments do not fit its text: the text is what there is
            text = str(record.msg)
        structlog.get_logger(component=record.name).log(severity, text, exc_info=record.exc_info)


class _Log:
    """What is in force, so that it can be replaced and ended."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.repetition = Repetition(time.monotonic)


_log: Final = _Log()


def configure(
    settings: LogSettings,
    stream: TextIO | None = None,
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Set the process's log up; may be called again with other settings. ``stream``: standard output.

    A directory that cannot be written is told there, and lines go there until it can.
    """
    tend(everything=True)
    stream = sys.stdout if stream is None else stream
    before, files = _log.sink, None
    if settings.directory is not None:
        files = DailyFiles(settings.directory, settings.retention, monotonic)
    _log.sink = sink = Sink(stream, files, both=settings.console, clock=monotonic)
    _log.repetition = Repetition(monotonic)
    form = None if files is None else renderer("logfmt" if settings.format == "logfmt" else "json")
    pipeline: Any = Pipeline(
        stream=renderer(settings.format, stream), file=form, repetition=_log.repetition, clock=clock
    )
    logger = _Logger(sink)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, pipeline],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=max(_LEVELS[settings.level], logging.WARNING), force=True)
    if before is not None:
        before.close()
    if files is not None and (before is None or before.files is None or before.files.directory != files.directory):
        structlog.get_logger(component="logs").info(
            "the log goes to files", directory=settings.directory, **{ONCE: True, SHOWN: True}
        )


def tend(*, everything: bool = False) -> None:
    """Tell what repetitions were left out, as far as that is due. To be called every few seconds, and at the end."""
    for summary in _log.repetition.due(all_of_them=everything):
        fields = {**summary.fields, ONCE: True}
        structlog.get_logger().log(_SEVERITIES[summary.severity], fields.pop("event"), **fields)


def catch_all() -> None:
    """Have what nobody catches, in whichever thread, logged and masked instead of printed as it is."""

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            structlog.get_logger(component="app").critical("ended by an error", exc_info=error)

    def thread_ended(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread is not None else None
            structlog.get_logger(component="app").critical(
                "a thread ended by an error", thread=name, exc_info=args.exc_value
            )

    sys.excepthook = ended
    threading.excepthook = thread_ended


_SEVERITIES: Final = {"warning": 30, "error": 40, "critical": 50}
atexit.register(tend, everything=True)
