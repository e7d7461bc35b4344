"""``/sign-in`` and ``/sign-out``: a token, given once at a form, and a session for it.

Nothing sets a cookie but signing in.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta
from msgspec.structs import replace

from exporter.api.acting import NO_NULL
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Call, Endpoint, Family, Query
from exporter.httpd.params import Text
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import Role
from exporter.httpd.sessions import set_cookie
from exporter.pages.frame import HOME, SIGN_IN, frame_of, root_of
from exporter.pages.home import PAGE
from exporter.pages.refused import refuser
from exporter.pages.responses import page_response
from exporter.pages.template import template

#: Where a form leads once it was taken.
SEEN_OTHER = Answer(media=(), description="Where the visitor came from")


class SignInAsked(msgspec.Struct, frozen=True):
    """``back``: the page that is shown afterwards."""

    back: Annotated[Text, Meta(description="The path of the page that is shown afterwards")] = HOME


class SigningIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token of ``auth.tokens``."""

    token: Annotated[str, Meta(max_length=4096, pattern=NO_NULL)]
    back: Annotated[str, Meta(max_length=4096, pattern=NO_NULL)] = HOME


class SigningOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``form`` is what the page put into it."""

    form: Annotated[str, Meta(max_length=200, pattern=NO_NULL)]


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""
    family = Family(name="sign-in", description="Signing in at the status page, and out", refuse=refuser(context))

    def form(call: Call[Any, Any], back: str, wrong: str | None = None) -> web.Response:
        frame = frame_of(context, call)
        html = template("signin.html.j2").render(frame=frame, back=local(back), wrong=wrong)
        return page_response(html, frame, 200 if wrong is None else HTTPStatus.UNAUTHORIZED)

    async def ask(call: Query[SignInAsked]) -> web.StreamResponse:
        return form(call, call.params.back)

    async def sign_in(call: Call[Any, SigningIn]) -> web.StreamResponse:
        found = await context.sessions.sign_in(call.request, call.body.token.strip())
        if found is None:
            context.audit.record(call.entry("login", "refused", detail="at the status page"))
            refused = form(call, call.body.back, "No token of this exporter is like that.")
            refused.headers["WWW-Authenticate"] = 'Bearer realm="scheduler-exporter"'
            return refused
        caller, key = found
        context.audit.record(replace(call, caller=caller).entry("login", "success", detail="at the status page"))
        response = see_other(call.request, call.body.back)
        set_cookie(response, call.request, key)
        return response

    async def sign_out(call: Call[Any, SigningOut]) -> web.StreamResponse:
        check_form(context, call, call.body.form)
        if call.caller.known:
            context.audit.record(call.entry("logout", "success", detail="at the status page"))
        context.sessions.sign_out(call.request)
        response = see_other(call.request, HOME)
        set_cookie(response, call.request, None)
        return response

    return [
        Endpoint(
            family=family, path=SIGN_IN, handler=ask, params=SignInAsked, role=Role.ANYONE, session=True,
            summary="The form at which a token is given", answers={200: PAGE},
        ),
        Endpoint(
            family=family, path=SIGN_IN, method="POST", handler=sign_in, form=True, role=Role.ANYONE,
            body=SigningIn, body_example=lambda: {"token": "a token", "back": "/"},
            summary="Begin a session for whoever has this token",
            answers={303: SEEN_OTHER, 401: PAGE}, fails=(403,),
        ),
        Endpoint(
            family=family, path="/sign-out", method="POST", handler=sign_out, form=True,
            body=SigningOut, body_example=lambda: {"form": "what the page has given"},
            role=Role.ANYONE, session=True, summary="End the session",
            answers={303: SEEN_OTHER}, fails=(403,),
        ),
    ]  # fmt: skip


def check_form(context: Context, call: Call[Any, Any], given: str) -> None:
    """HttpError 403 for a form that this visitor was not given."""
    if not context.sessions.form_is_ours(call.request, call.caller, given):
        raise HttpError(403, "this form is not yours, or your session has ended since: open the page again")


def see_other(request: web.Request, back: str) -> web.Response:
    """Lead the visitor to a page of ours."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": root_of(request) + local(back)})


def local(back: str) -> str:
    """``back`` if it is a path here, else the status page: nobody is led elsewhere."""
    fits = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isascii() and back.isprintable()
    return back if fits and " " not in back else HOME
