"""The exporter's own log: structlog, one event one line, secrets and personal data taken out before any sink.

Belongs here: what a line looks like, where lines go, how often something is said, and the one masker, which the API
uses too. Does not: what is worth saying.

A line of JSON has the keys of the scheduling worker's specification, camelCase, in this order:

    timestamp      UTC, ISO 8601 with milliseconds and Z
    level          DEBUG, INFO, WARN, ERROR
    service        scheduler-exporter
    category       jobs, performance, errors, audit, metrics (``naming``)
    component      the part of the program; a library's logger by its name
    operation      what was being done, where known: bound by whoever does it (``operation=``)
    duration       how long that took, milliseconds, where known
    message        what happened
    userId         who asked, where known
    correlationId  the request's id, which its answer has in X-Request-Id
    traceId        W3C trace id (32 hexadecimal digits), spanId the span's (16)
    exception      a traceback
    repeated       how often what the line says was left out, ``window`` seconds long
    ...            whatever else the line has; counts are numbers

Whoever logs writes ``snake_case``: ``public`` names are made here. What holds for all lines of a task is bound with
``structlog.contextvars``: ``request_id``, ``trace_id`` and ``span_id`` become ``correlationId``, ``traceId`` and
``spanId``; ``user_id`` and ``operation`` are bound the same way.

``on_error(callback)`` tells warnings and errors, after masking, to error trackers: ``ErrorEvent``. What they send
beyond an event's ``fields`` they put through ``masked_text`` (texts) or ``masked`` (JSON values).
"""

from exporter.config.logs import LogSettings
from exporter.logs.configuring import catch_all, configure, tend
from exporter.logs.errors import ErrorEvent, on_error
from exporter.logs.masking import masked, masked_text, without_secrets
from exporter.logs.scrubber import MOST_FETCHED, Scrubber, scrubber, secrets_of

__all__ = [
    "MOST_FETCHED",
    "ErrorEvent",
    "LogSettings",
    "Scrubber",
    "catch_all",
    "configure",
    "masked",
    "masked_text",
    "on_error",
    "scrubber",
    "secrets_of",
    "tend",
    "without_secrets",
]
