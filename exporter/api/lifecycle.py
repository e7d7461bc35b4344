"""The conventions of Prometheus' servers: ``/-/healthy``, ``/-/ready``, ``/-/reload``, ``/config``.

Plain text as there, so that scripts written for Prometheus work.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from aiohttp import web

from exporter.api.exposition import FAMILY
from exporter.api.health import passes
from exporter.httpd.context import Context
from exporter.httpd.endpoint import APPLICATION_JSON, Answer, Endpoint, Nothing, Query
from exporter.httpd.roles import Role
from exporter.logs import masked_text

_TEXT: Final = Answer(media=("text/plain",), description="A line of text")
_RELOADED: Final = {
    200: Answer(media=("text/plain",), description="The new configuration is in force"),
    403: Answer(media=("text/plain", APPLICATION_JSON), description="Not enabled, or sent by another site's page"),
    500: Answer(media=("text/plain", APPLICATION_JSON), description="The configuration was refused; every fault"),
}


def endpoints(context: Context) -> list[Endpoint]:
    """The four paths."""

    async def healthy(_: Query[Nothing]) -> web.StreamResponse:
        return web.Response(text="Healthy")

    async def ready(_: Query[Nothing]) -> web.StreamResponse:
        good = passes(context.readiness())
        return web.Response(text="Ready" if good else "Not ready", status=200 if good else 503)

    async def reload(call: Query[Nothing]) -> web.StreamResponse:
        return await _reload(call, context)

    async def config(_: Query[Nothing]) -> web.StreamResponse:
        return web.Response(text=context.redacted_config())

    get = partial(Endpoint, family=FAMILY, role=Role.ANYONE)
    change = partial(get, path="/-/reload", handler=reload, answers=_RELOADED)
    return [
        get(path="/-/healthy", handler=healthy, summary="The process answers", answers={200: _TEXT}),
        get(path="/-/ready", handler=ready, summary="As /health/ready, in a word", answers={200: _TEXT, 503: _TEXT}),
        change(method="POST", summary="Read the configuration again: all of it comes into force, or nothing"),
        change(method="PUT", summary="As POST"),
        get(
            path="/config",
            handler=config,
            role=Role.ADMIN,
            summary="The configuration in force as YAML, without secrets",
            answers={200: _TEXT},
        ),
    ]


async def _reload(call: Query[Nothing], context: Context) -> web.Response:
    if not context.config().web.enable_lifecycle:
        return web.Response(text="Lifecycle API is not enabled: start with --web.enable-lifecycle\n", status=403)
    result = await context.reload()
    context.audit.record(call.entry("reload", "success" if result.ok else "failed"))
    if result.ok:
        return web.Response(text="Configuration reloaded\n")
    problems = "\n".join(_scrubbed(problem) for problem in result.problems)
    return web.Response(
        text=f"The configuration was refused; the last good one stays in force:\n{problems}\n", status=500
    )


def _scrubbed(problem: str) -> str:
    """``file:line: key: text`` with the text scrubbed; ``password: expected`` in its key is none."""
    *where, text = problem.split(": ", 2)
    return ": ".join([*where, masked_text(text)])
