"""``GET /metrics``: the current snapshot in the format and coding that a scraper takes. No store is asked."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from exporter.httpd.context import Context
from exporter.httpd.middleware import TrackedResponse
from exporter.httpd.negotiate import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics


def register(router: web.UrlDispatcher, context: Context) -> None:
    """Serve ``web.telemetry_path``; HEAD too."""

    async def metrics(request: web.Request) -> web.Response:
        openmetrics = wants_openmetrics(",".join(request.headers.getall("Accept", ())))
        gzip = wants_gzip(",".join(request.headers.getall("Accept-Encoding", ())))
        names = frozenset(request.query.getall("name[]", ())) or None
        page = context.render.render(openmetrics=openmetrics, gzip=gzip, names=names)
        headers = {
            "Content-Type": OPENMETRICS if openmetrics else TEXT,
            "Vary": "Accept, Accept-Encoding",
        }
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return TrackedResponse(body=page.body, headers=headers, after=partial(context.render.served, page))

    router.add_get(context.config().web.telemetry_path, metrics)
