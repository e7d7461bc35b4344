"""Answers for which a store is asked then and there: 503 where it cannot be, never a guess."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from exporter.errors import ExporterError, NotTold, StoreError, StoreTooSlow
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Query
from exporter.httpd.problems import HttpError
from exporter.stores.asked import StoreReads

ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)
Handler = Callable[[Query[ParamsT]], Awaitable[web.StreamResponse]]

#: Seconds after which a client may ask again.
RETRY_AFTER = "5"


def reads_of(context: Context, store: str) -> StoreReads:
    """What may be asked of a store. HttpError 503 where it is not read by this process."""
    reads = context.reads(store)
    if reads is None:
        raise HttpError(503, f"store {store!r} is not read by this process", {"Retry-After": RETRY_AFTER})
    return reads


def from_store(handler: Handler[ParamsT]) -> Handler[ParamsT]:
    """``handler``, which asks a store; 503 while that does not answer. The driver's words are for the log alone."""

    async def answer(call: Query[ParamsT]) -> web.StreamResponse:
        try:
            return await handler(call)
        except ExporterError as exc:
            raise unavailable(exc) from exc

    return answer


def unavailable(error: ExporterError) -> HttpError:
    """The answer to a failed question."""
    if isinstance(error, NotTold):
        return HttpError(404, str(error))
    said: Any = "the store could not be asked"
    if isinstance(error, StoreTooSlow):
        said = "the store took too long to answer"
    elif not isinstance(error, StoreError):
        said = "what is needed for the answer cannot be used at present"
    return HttpError(503, said, {"Retry-After": RETRY_AFTER})
