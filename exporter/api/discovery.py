"""``/probe?target=NAME`` and ``/sd``: each checked PostgreSQL target as a scrape of its own, for Prometheus to find.

``/probe`` knows configured targets by their names and nothing else: no host, no connection string. It shows the latest
check; a target that was never checked is checked then and there.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.examples import example
from exporter.api.exposition import FAMILY
from exporter.api.monitoring_connections import checked
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Nothing, Query
from exporter.httpd.negotiate import TEXT
from exporter.httpd.params import Text
from exporter.httpd.problems import HttpError, json_response


class ProbeAsked(msgspec.Struct, frozen=True):
    """``target``: a configured target's name."""

    target: Annotated[
        Text, Meta(min_length=1, description="The name of a configured target", examples=["Production DB"])
    ]


class TargetGroup(msgspec.Struct):
    """One target, as Prometheus' HTTP service discovery has it."""

    targets: list[str]
    labels: dict[str, str]


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""

    async def probe(call: Query[ProbeAsked]) -> web.StreamResponse:
        state = context.connections.states.get(call.params.target)
        if state is None:
            raise HttpError(404, "target: expected the name of a configured target")
        if state.result is None:
            await checked(context, state)
        return web.Response(body=context.probe(state.name), headers={"Content-Type": TEXT})

    async def discovery(call: Query[Nothing]) -> web.StreamResponse:
        here = call.request.host
        groups = [
            TargetGroup([here], {
                "__metrics_path__": "/probe",
                "__param_target": state.name,
                "connection": state.name,
                "__meta_scheduling_connection_id": str(state.id),
                "__meta_scheduling_host": state.host,
                "__meta_scheduling_port": str(state.port),
                "__meta_scheduling_database": state.database,
            })
            for state in context.connections.states.values()
        ]  # fmt: skip
        return json_response(groups)

    return [
        Endpoint(
            family=FAMILY,
            path="/probe",
            handler=probe,
            params=ProbeAsked,
            summary="One PostgreSQL target's metrics",
            answers={200: Answer(media=("text/plain",), description="The text format 0.0.4")},
            fails=(404, 503),
        ),
        Endpoint(
            family=FAMILY,
            path="/sd",
            handler=discovery,
            summary="The PostgreSQL targets for Prometheus' HTTP service discovery",
            answers={200: Answer(kind=list[TargetGroup], example=example("sd"))},
        ),
    ]
