"""What a page says when there is none: in a page of its own, with the way back, or in."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from exporter.httpd.context import Context
from exporter.httpd.problems import HttpError
from exporter.pages.frame import frame
from exporter.pages.responses import page_response
from exporter.pages.template import template

_KEPT: Final = ("Retry-After", "WWW-Authenticate")


def refuser(context: Context) -> Callable[[web.Request, HttpError], web.Response]:
    """How a family of pages answers an HttpError; who has to sign in is given the form."""

    def refused(request: web.Request, error: HttpError) -> web.Response:
        shown = frame(context, request)
        html = template("refused.html.j2").render(
            frame=shown, status=error.status, phrase=HTTPStatus(error.status).phrase, message=error.message
        )
        response = page_response(html, shown, error.status)
        for name in _KEPT:
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response

    return refused
