"""What a line's keys are called, what comes first, and which category it belongs to."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Literal, get_args

Category = Literal["jobs", "performance", "errors", "audit", "metrics"]
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

#: The names in code that are not just written in another case.
_NAMES: Final = {"event": "message", "request_id": "correlationId", "trace_id": "traceId", "span_id": "spanId"}
#: What each part of the program mostly tells of. A warning or an error is one of ``errors`` wherever it comes from, and
#: a line that names its category belongs there.
OF_COMPONENT: Final[dict[str, Category]] = {
    "store": "jobs",
    "reader": "jobs",
    "backfill": "jobs",
    "poller": "jobs",
    "actions": "jobs",
    "export": "jobs",
    "connections": "metrics",
    "dependencies": "metrics",
    "app": "audit",
    "http": "audit",
    "vault": "audit",
    "ledger": "audit",
    "logs": "audit",
}
_PARTS: Final = re.compile(r"_+([a-z0-9])")


@lru_cache(maxsize=2048)
def public(key: str) -> str:
    """The name of a key as lines have it: ``request_id`` is ``correlationId``, ``failed_stage`` is ``failedStage``."""
    return _NAMES.get(key) or _PARTS.sub(lambda found: found[1].upper(), key)


def category(severity: str, fields: dict[str, Any]) -> Category:
    """The category of a line."""
    said = fields.get("category")
    if said in CATEGORIES:
        return said  # type: ignore[no-any-return]
    if severity not in ("debug", "info"):
        return "errors"
    return OF_COMPONENT.get(fields.get("component", ""), "jobs")
