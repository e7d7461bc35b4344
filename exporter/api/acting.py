"""What every action's endpoint needs: whether actions are on, who asks, which error is which status."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from exporter.actions import Asker
from exporter.alertmanager import AlertsUnavailable, SilenceRefused
from exporter.errors import (
    ActionConflict,
    ActionRefused,
    ActionUnavailable,
    ExporterError,
    NotFound,
    OutcomeUnknown,
)
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Call
from exporter.httpd.problems import HttpError
from exporter.logs import masked_text

#: The first class that fits decides; anything else that can be explained is 503.
_STATUSES: Final[tuple[tuple[type[ExporterError], int], ...]] = (
    (NotFound, 404),
    (ActionConflict, 409),
    (ActionRefused, 502),
    (ActionUnavailable, 503),
    (OutcomeUnknown, 503),
    (SilenceRefused, 409),
    (AlertsUnavailable, 503),
)
#: What an action's endpoint may answer beside its success.
FAILS: Final = (404, 409, 502, 503)
OFF: Final = "actions are off: set actions.enabled: true in the configuration"
KEY: Final = "Idempotency-Key"
KEY_HEADER: Final = {
    KEY: {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]+$",
        "description": "A name for this request: sent again within 24 h, it is answered and not done a second time",
    }
}
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
RETRY_AFTER: Final = "5"
#: Texts of bodies, in a form that every dialect of regular expressions reads alike.
NO_NULL: Final = r"^[^\x00]*$"

Acting = Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]


def acting(context: Context, action: str, handler: Acting) -> Acting:
    """``handler`` where actions are on; else 403, audited. Its ExporterErrors become answers."""

    async def act(call: Call[Any, Any]) -> web.StreamResponse:
        if not context.config().actions.enabled:
            await context.audit.kept(call.entry(action, "refused", target=call.request.path, detail="actions are off"))
            raise HttpError(403, OFF)
        try:
            return await handler(call)
        except ExporterError as error:
            raise answered(error) from error

    return act


def asker(call: Call[Any, Any]) -> Asker:
    """Who asks. HttpError 400 for an Idempotency-Key that is none."""
    keys = call.request.headers.getall(KEY, [])
    if len(keys) > 1 or (keys and _KEY.fullmatch(keys[0]) is None):
        raise HttpError(400, f"{KEY}: expected one, of 1 to 255 ASCII characters without blanks")
    return Asker(
        actor=call.caller.name,
        client=call.request.remote,
        request_id=call.request_id,
        key=keys[0] if keys else None,
    )


def answered(error: ExporterError) -> HttpError:
    """The answer to an action that was not done, or perhaps was."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 503)
    return HttpError(status, masked_text(str(error)), {"Retry-After": RETRY_AFTER} if status == 503 else None)
