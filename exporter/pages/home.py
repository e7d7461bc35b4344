"""``/``: the status page."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Family, Nothing, Query
from exporter.httpd.roles import Role
from exporter.pages.frame import HOME

FAMILY: Final = Family(name="pages", description="Pages for people", port="both")
#: How a page is described where programs look.
PAGE: Final = Answer(media=("text/html",), description="A page")


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
