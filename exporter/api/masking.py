"""What of a scheduler's own texts is shown: results and errors are masked as logs are, whoever asks.

In production a viewer sees of an error its one line that tells what happened; a stack trace is for admins.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from exporter.config.secrets import REDACTED
from exporter.httpd.problems import scrub
from exporter.httpd.roles import Caller, Role
from exporter.logs import scrubber
from exporter.stores.queries import JSON_CHARACTERS

#: A key whose value nobody needs to see.
_HIDDEN: Final = re.compile(r"(?i)pass(word|wd|phrase)|secret|token|credential|api[_-]?key|authorization|cookie|dsn")
#: Values within values that are followed; nobody nests deeper on purpose.
_DEEPEST: Final = 100


def masked_text(text: str) -> str:
    """``text`` without secrets."""
    return scrub(scrubber.text(text))


def masked(value: Any, depth: int = 0) -> Any:
    """A JSON value without secrets, in texts and under keys that name one."""
    if isinstance(value, str):
        return masked_text(value)
    if depth > _DEEPEST:
        return REDACTED
    if isinstance(value, dict):
        return {
            # A number is none: tokens are counted, too.
            key: REDACTED if isinstance(inner, str | dict | list) and _HIDDEN.search(key) else masked(inner, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(inner, depth + 1) for inner in value]
    return value


def shown_result(text: str | None) -> Any:
    """A result as JSON, masked; a text that is no JSON as text, one that is too long as its beginning."""
    if text is None:
        return None
    if len(text) <= JSON_CHARACTERS:
        try:
            return masked(msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return masked_text(text)
    return masked_text(text[:JSON_CHARACTERS]) + "..."


def shown_error(text: str | None, caller: Caller, environment: str) -> str | None:
    """An error's message, masked; of more than one line in production a viewer sees the one that says it."""
    if text is None:
        return None
    masked_one = masked_text(text)
    if caller.role >= Role.ADMIN or environment != "production":
        return masked_one
    lines = [line.strip() for line in masked_one.splitlines() if line.strip()]
    if not lines:
        return masked_one
    python_traceback = lines[0].startswith("Traceback ")
    return lines[-1] if python_traceback else lines[0]
