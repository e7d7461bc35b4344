"""A line of the log as Sentry wants it: level, message, tags, and an exception's frames without any variable."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final

from exporter.logs import ErrorEvent, masked, masked_text
from exporter.profiling import short_path

#: Error classes as Sentry's levels.
LEVELS: Final = {"critical": "fatal", "error": "error", "warning": "warning", "info": "info"}
#: By these one looks for events: few values each, or ids that lead elsewhere.
_TAGS: Final = (
    "category", "component", "operation", "store", "collector", "source", "target", "endpoint", "correlationId",
)  # fmt: skip
_NOT_EXTRA: Final = frozenset({*_TAGS, "timestamp", "level", "service", "message", "exception", "traceId", "spanId"})
#: Characters of a tag's value that Sentry takes.
_LONGEST_TAG: Final = 200


def sentry_event(told: ErrorEvent) -> dict[str, Any]:
    """The event for what was logged. Texts are masked: the log's already, the exception's here."""
    fields = told.fields
    event: dict[str, Any] = {
        "level": LEVELS[told.severity],
        "timestamp": fields["timestamp"],
        "logger": fields.get("component", "exporter"),
        "logentry": {"formatted": str(fields.get("message", ""))},
        "tags": {key: str(fields[key])[:_LONGEST_TAG] for key in _TAGS if fields.get(key) not in (None, "")},
        "extra": {key: value for key, value in fields.items() if key not in _NOT_EXTRA},
        "platform": "python",
    }
    if "traceId" in fields:
        span = {"span_id": fields["spanId"]} if "spanId" in fields else {"span_id": "0" * 16}
        event["contexts"] = {"trace": {"trace_id": fields["traceId"], **span}}
    if told.exception is not None:
        event["exception"] = {"values": _exceptions(told.exception)}
    elif "exception" in fields:
        event["extra"]["exception"] = fields["exception"]
    return event


def fatal_event(error: BaseException) -> dict[str, Any]:
    """The event for what ends the process."""
    return {
        "level": LEVELS["critical"],
        "logger": "app",
        "logentry": {"formatted": "the process ends: " + type(error).__name__},
        "platform": "python",
        "exception": {"values": _exceptions(error)},
    }


def scrubbed(event: Mapping[str, Any]) -> dict[str, Any]:
    """``event`` once more through the log's masker, whole: what the SDK adds too."""
    kept = {key: event[key] for key in _PLAIN if key in event}
    return {**masked({key: value for key, value in event.items() if key not in kept}), **kept}


#: What the SDK makes itself and reads again: times, ids, its own name.
_PLAIN: Final = ("event_id", "timestamp", "level", "platform", "sdk", "release", "environment", "_meta")


def _exceptions(error: BaseException) -> list[dict[str, Any]]:
    """The chain, the cause first, as Sentry wants it; of a group its first."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen and len(found) < 20:
        seen.add(id(each))
        found.insert(0, {
            "type": type(each).__name__,
            "module": type(each).__module__,
            "value": masked_text(str(each)),
            "stacktrace": {"frames": _frames(each.__traceback__)},
        })  # fmt: skip
        each = each.exceptions[0] if isinstance(each, BaseExceptionGroup) else _cause(each)
    return found


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(trace: TracebackType | None) -> list[dict[str, Any]]:
    """Places only: no variables, and no lines of source."""
    return [
        {
            "function": frame.name,
            "filename": short_path(frame.filename),
            "lineno": frame.lineno,
            "in_app": "exporter" in PurePath(frame.filename).parts and "site-packages" not in frame.filename,
        }
        for frame in traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False)
    ][-50:]
