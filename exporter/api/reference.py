"""``/openapi.json`` and ``/docs``: what this listener answers, for programs and for people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from aiohttp import web

from exporter.api.page import page_response
from exporter.httpd.context import Context
from exporter.httpd.endpoint import APPLICATION_JSON, Answer, Endpoint, Family, Nothing, Query
from exporter.httpd.openapi import document
from exporter.httpd.problems import JSON
from exporter.httpd.roles import Role
from exporter.httpd.routing import SERVED, Served

T = TypeVar("T")

FAMILY: Final = Family(name="reference", description="What is served here", port="both")


class _Made(Generic[T]):
    """What ``make`` gives for what a listener serves, made once, off the event loop: it takes a tenth of a second."""

    def __init__(self, make: Callable[[Served, Role | None], T]) -> None:
        self._make = make
        # Few: a listener's endpoints stay the same, what is done without a credential may change with a reload.
        self._made: dict[tuple[int, Role | None], asyncio.Task[T]] = {}

    async def of(self, served: Served) -> T:
        """The value; those who ask meanwhile wait for the same."""
        anonymous = served.anonymous()
        key = (id(served), anonymous)
        task = self._made.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._made[key] = asyncio.create_task(asyncio.to_thread(self._make, served, anonymous))
        return await asyncio.shield(task)


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""

    def described(served: Served, anonymous: Role | None) -> dict[str, Any]:
        return document(served.endpoints, version=context.version, anonymous=anonymous)

    documents = _Made(lambda *given: msgspec.json.encode(described(*given)))
    pages = _Made(lambda *given: context.reference(described(*given)))

    async def openapi(call: Query[Nothing]) -> web.StreamResponse:
        body = await documents.of(call.request.app[SERVED])
        return web.Response(body=body, headers={"Content-Type": JSON})

    async def docs(call: Query[Nothing]) -> web.StreamResponse:
        return page_response(await pages.of(call.request.app[SERVED]))

    return [
        Endpoint(
            family=FAMILY,
            path="/openapi.json",
            handler=openapi,
            role=Role.ANYONE,
            summary="This document",
            answers={200: Answer(media=(APPLICATION_JSON,), description="OpenAPI 3.1")},
        ),
        Endpoint(
            family=FAMILY,
            path="/docs",
            handler=docs,
            role=Role.ANYONE,
            summary="This document as a page",
            answers={200: Answer(media=("text/html",), description="A page")},
        ),
    ]
