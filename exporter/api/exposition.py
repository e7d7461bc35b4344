"""``GET /metrics``: the current snapshot in the format and coding that a scraper takes. No store is asked."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
from aiohttp import web

from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Family, Query
from exporter.httpd.middleware import TrackedResponse
from exporter.httpd.negotiate import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics
from exporter.httpd.roles import Role

FAMILY: Final = Family(name="exporter", description="The conventions of Prometheus' exporters and servers", port="web")


class Wanted(msgspec.Struct, frozen=True):
    """Which metrics to show: names of families or samples; without any, all."""

    names: tuple[str, ...] = msgspec.field(default=(), name="name[]")


def endpoints(context: Context) -> list[Endpoint]:
    """``web.telemetry_path``."""

    async def metrics(call: Query[Wanted]) -> web.StreamResponse:
        request = call.request
        openmetrics = wants_openmetrics(",".join(request.headers.getall("Accept", ())))
        gzip = wants_gzip(",".join(request.headers.getall("Accept-Encoding", ())))
        names = frozenset(call.params.names) or None
        page = context.render.render(openmetrics=openmetrics, gzip=gzip, names=names)
        headers = {
            "Content-Type": OPENMETRICS if openmetrics else TEXT,
            "Vary": "Accept, Accept-Encoding",
        }
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return TrackedResponse(body=page.body, headers=headers, after=partial(context.render.served, page))

    return [
        Endpoint(
            family=FAMILY,
            path=context.config().web.telemetry_path,
            handler=metrics,
            role=Role.ANYONE,
            params=Wanted,
            summary="The metrics, in the format and coding that the scraper prefers",
            answers={200: Answer(media=("text/plain", "application/openmetrics-text"), description="The metrics")},
        )
    ]
