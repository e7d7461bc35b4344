"""What of a scheduler's own texts is shown: results and errors are masked by the log's masker, whoever asks.

In production a viewer sees of an error its one line that tells what happened; a stack trace is for admins.
"""

from __future__ import annotations

from typing import Any

import msgspec

from exporter.httpd.roles import Caller, Role
from exporter.logs import masked, masked_text
from exporter.stores.queries import JSON_CHARACTERS


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
