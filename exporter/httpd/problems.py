"""Errors as answers: one envelope, ``{"error": "..."}``, whatever went wrong and wherever."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

JSON: Final = "application/json; charset=utf-8"
#: What an HTTPException of the framework may carry over into our answer.
_KEPT: Final = ("Allow", "Location", "Retry-After", "WWW-Authenticate")


class Refusal(msgspec.Struct, kw_only=True):
    """An error. ``request_id`` is there when the log has more to say, under the same id."""

    error: str
    request_id: str | UnsetType = UNSET


class HttpError(Exception):
    """An answer with an error status; ``message`` is shown to the client as it is."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """``data`` (plain values or structs) as JSON, keys in their order."""
    return web.Response(
        body=msgspec.json.encode(data), status=status, headers={**(headers or {}), "Content-Type": JSON}
    )


def json_body(body: bytes) -> web.Response:
    """JSON that is encoded already."""
    return web.Response(body=body, headers={"Content-Type": JSON})


def error_response(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    *,
    envelope: type[Refusal] = Refusal,
    request_id: str | UnsetType = UNSET,
) -> web.Response:
    """An error in a family's envelope."""
    return json_response(envelope(error=message, request_id=request_id), status, headers)


def from_http(exc: web.HTTPException, envelope: type[Refusal] = Refusal) -> web.Response:
    """The framework's own errors (404, 405 with Allow, 413, 417 ...) and redirects in our form."""
    headers = {name: exc.headers[name] for name in _KEPT if name in exc.headers}
    if exc.status < HTTPStatus.BAD_REQUEST:
        return web.Response(status=exc.status, headers=headers)
    return error_response(exc.status, HTTPStatus(exc.status).phrase.lower(), headers, envelope=envelope)
