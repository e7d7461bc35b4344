"""The conventions of Prometheus' servers: ``/``, ``/-/healthy``, ``/-/ready``, ``/-/reload``, ``/config``.

Plain text as there, so that scripts written for Prometheus work; only ``/`` is a page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from aiohttp import web

from exporter.api.health import passes
from exporter.httpd.context import Context
from exporter.httpd.origin import cross_site
from exporter.httpd.problems import HttpError, scrub

_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def register(router: web.UrlDispatcher, context: Context) -> None:
    """The five paths; GET answers HEAD too."""

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="Healthy")

    async def ready(_: web.Request) -> web.Response:
        good = passes(context.readiness())
        return web.Response(text="Ready" if good else "Not ready", status=200 if good else 503)

    async def reload(request: web.Request) -> web.Response:
        return await _reload(request, context)

    async def config(_: web.Request) -> web.Response:
        return web.Response(text=context.redacted_config())

    async def landing(_: web.Request) -> web.Response:
        html = context.landing()
        headers = {"Content-Security-Policy": _policy(html)}
        return web.Response(text=html, content_type="text/html", headers=headers)

    router.add_get("/", landing)
    router.add_get("/-/healthy", healthy)
    router.add_get("/-/ready", ready)
    router.add_post("/-/reload", reload)
    router.add_put("/-/reload", reload)
    router.add_get("/config", config)


async def _reload(request: web.Request, context: Context) -> web.Response:
    if not context.config().web.enable_lifecycle:
        return web.Response(text="Lifecycle API is not enabled: start with --web.enable-lifecycle\n", status=403)
    if cross_site(request):
        raise HttpError(403, "cross-site request refused")
    result = await context.reload()
    if result.ok:
        return web.Response(text="Configuration reloaded\n")
    problems = "\n".join(_scrubbed(problem) for problem in result.problems)
    return web.Response(
        text=f"The configuration was refused; the last good one stays in force:\n{problems}\n", status=500
    )


def _scrubbed(problem: str) -> str:
    """``file:line: key: text`` with the text scrubbed; ``password: expected`` in its key is none."""
    *where, text = problem.split(": ", 2)
    return ": ".join([*where, scrub(text)])


def _policy(html: str) -> str:
    """Nothing may load or run; the style that may apply is named by its hash.

    The first ``<style>`` is taken: it stands in the head, before any name from a database.
    """
    found = _STYLE.search(html)
    digest = base64.b64encode(hashlib.sha256((found[1] if found else "").encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
