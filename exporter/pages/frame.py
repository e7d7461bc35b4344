"""What every page has round what it shows: who looks at it, what that one may do, where they are."""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

import msgspec
from aiohttp import web

from exporter.config.addresses import is_loopback
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Call
from exporter.httpd.roles import Caller, Role
from exporter.httpd.routing import CALLER, SERVED
from exporter.httpd.sessions import Notice, key_of
from exporter.httpd.tokens import tokens_of

HOME: Final = "/"
JOB: Final = "/jobs/{id}"
SIGN_IN: Final = "/sign-in"
_PREFIX: Final = re.compile(r"(?:/[\w.~-]+){1,20}", re.ASCII)


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """``root`` stands before every path, ``here`` is the page's own without it. ``session``: signed in by the form.
    ``jobs``: jobs' own pages are served here.

    ``form`` is what every form sends back, None where this visitor has none to send. ``acts``: may act, and actions are
    on. ``plain``: what is typed here goes over the network unencrypted.
    """

    version: str
    environment: str
    caller: Caller
    root: str
    here: str
    home: bool
    session: bool
    sign_in: bool
    jobs: bool
    acts: bool
    form: str | None
    notice: Notice | None
    plain: bool

    @property
    def key(self) -> str:
        """An Idempotency-Key for one form: sent twice, it acts once."""
        return secrets.token_urlsafe(12)


def frame_of(context: Context, call: Call[Any, Any]) -> Frame:
    """The frame for whoever asks."""
    return frame(context, call.request, call.caller)


def frame(context: Context, request: web.Request, caller: Caller | None = None) -> Frame:
    """The same for a request that was refused, perhaps before anybody knew whose it is."""
    config = context.config()
    who = caller if caller is not None else request.get(CALLER) or Caller("anonymous", Role.ANYONE, known=False)
    paths = {endpoint.path for endpoint in request.app[SERVED].endpoints}
    session = who.known and "Authorization" not in request.headers and key_of(request) is not None
    return Frame(
        version=context.version,
        environment=config.setting,
        caller=who,
        root=root_of(request),
        here=_here(request),
        home=HOME in paths,
        session=session,
        sign_in=not who.known and SIGN_IN in paths and bool(tokens_of(config)),
        jobs=JOB in paths and who.role >= Role.VIEWER,
        acts=who.known and who.role >= Role.ADMIN and config.actions.enabled and SIGN_IN in paths,
        form=context.sessions.form_token(request, who) if who.known else None,
        notice=context.sessions.notice(request, who),
        plain=not _private(request),
    )


def root_of(request: web.Request) -> str:
    """Below which path a proxy serves us, as it says: ``/tools/scheduler``; empty where it says nothing."""
    given = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    return given if len(given) <= 200 and _PREFIX.fullmatch(given) else ""


def _here(request: web.Request) -> str:
    return str(request.rel_url) if request.method in ("GET", "HEAD") else HOME


def _private(request: web.Request) -> bool:
    if request.secure or request.headers.get("X-Forwarded-Proto") == "https":
        return True
    return is_loopback(request.host if ":" in request.host.rpartition("]")[2] else f"{request.host}:80")
