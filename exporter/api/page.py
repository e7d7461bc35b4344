"""Pages for people: HTML that may load and run nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from aiohttp import web

_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def page_response(html: str) -> web.Response:
    """An answer with the page, under its policy."""
    headers = {"Content-Security-Policy": _policy(html)}
    return web.Response(text=html, content_type="text/html", headers=headers)


def _policy(html: str) -> str:
    """Nothing may load or run; the style that may apply is named by its hash.

    The first ``<style>`` is taken: it stands in the head, before any name from a database.
    """
    found = _STYLE.search(html)
    digest = base64.b64encode(hashlib.sha256((found[1] if found else "").encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
