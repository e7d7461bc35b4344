"""A page as an answer, under its policy."""

from __future__ import annotations

from aiohttp import web

from exporter.pages.frame import Frame
from exporter.pages.inlined import policy


def page_response(html: str, frame: Frame, status: int = 200) -> web.Response:
    """An answer with the page."""
    # Forms are checked by where they were sent from: the browser has to tell, and only us.
    headers = {"Content-Security-Policy": policy(), "Referrer-Policy": "same-origin"}
    if frame.caller.known:
        headers["Vary"] = "Cookie, Authorization"
    # A name may hold half of a character.
    body = html.encode("utf-8", "replace")
    return web.Response(body=body, status=status, content_type="text/html", charset="utf-8", headers=headers)
