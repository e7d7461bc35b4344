"""``/``: the status page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Family, Nothing, Query
from exporter.httpd.roles import Role
from exporter.pages.frame import HOME

FAMILY: Final = Family(name="pages", description="Pages for people", port="both")
#: How a page is described where programs look.
PAGE: Final = Answer(media=("text/html",), description="A page")


class Landing:
    """The page, whose modules are loaded for the first who asks: half a megabyte that a scraper has no use for."""

    def __init__(self) -> None:
        self._page: Callable[[Context, Query[Any]], Awaitable[web.StreamResponse]] | None = None

    async def __call__(self, context: Context, call: Query[Any]) -> web.StreamResponse:
        """The page of this moment for whoever asks."""
        if self._page is None:
            from exporter.pages.status import StatusPage  # noqa: PLC0415

            self._page = StatusPage()
        return await self._page(context, call)


def reference(document: Mapping[str, Any]) -> str:
    """The page at ``/docs`` as HTML, from a document in OpenAPI; loaded for the first who asks too."""
    from exporter.pages.reference import reference  # noqa: PLC0415

    return reference(document)


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    async def home(call: Query[Nothing]) -> web.StreamResponse:
        return await context.landing(context, call)

    return [
        Endpoint(
            family=FAMILY,
            path=HOME,
            handler=home,
            role=Role.ANYONE,
            session=True,
            summary="The status page: what the asker may read; `?connections=2` is the second page of that list",
            answers={200: PAGE},
        )
    ]
