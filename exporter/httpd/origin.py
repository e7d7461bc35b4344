"""Whether a browser was sent here by another site: such requests may not act."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web


def cross_site(request: web.Request) -> bool:
    """True when Sec-Fetch-Site or Origin says that another site's page made the request.

    Programs (curl, Prometheus' reloaders) send neither header and are not concerned. A proxy may ask in a name of its
    own and tell by X-Forwarded-Host what it was asked as: no page can make a browser send that header unasked.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc not in {request.host, _asked_as(request)} - {""}
    except ValueError:  # no URL at all
        return True


def _asked_as(request: web.Request) -> str:
    """The host that the first of several proxies was asked for."""
    return request.headers.get("X-Forwarded-Host", "").partition(",")[0].strip()
