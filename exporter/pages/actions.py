"""``/act/...``: what an admin may do from a page: check a connection, trigger a job, silence an alert.

The same is done as JSON asks for, by the same code, and written down alike. What became of it is told on the page that
the visitor comes back to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta
from msgspec.structs import replace

from exporter.api.acting import NO_NULL, acting, asker
from exporter.api.alerts import Suppression, suppressed
from exporter.api.asking import store_asked
from exporter.api.checking import check_now
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Call, Endpoint, Family
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import Role
from exporter.httpd.sessions import Notice
from exporter.pages.frame import HOME
from exporter.pages.refused import refuser
from exporter.pages.signin import SEEN_OTHER, check_form, see_other
from exporter.pages.words import clip, span

Field = Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NULL)]
Key = Annotated[str, Meta(pattern="^[!-~]{1,255}$")]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``form`` is what the page put into it; ``back`` the page that the visitor comes back to."""

    form: Annotated[str, Meta(max_length=200, pattern=NO_NULL)]
    back: Annotated[str, Meta(max_length=4096, pattern=NO_NULL)] = HOME


class Checking(Asked, frozen=True, kw_only=True):
    """The connection's id."""

    connection: Field


class Triggering(Asked, frozen=True, kw_only=True):
    """A store's job; ``key``: a form that is sent twice triggers once."""

    store: Field
    job: Field
    key: Key


class Silencing(Asked, frozen=True, kw_only=True):
    """An active alert, and for how long."""

    fingerprint: Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NULL)]
    minutes: Annotated[int, Meta(ge=1, le=10_080)]


#: What every form has, as an example.
_FORM: Final = {"form": "what the page has given", "back": "/"}

Doing = Callable[[Call[Any, Any]], Awaitable[Notice]]


def endpoints(context: Context) -> list[Endpoint]:
    """The three paths."""
    family = Family(name="actions", description="What the forms of pages ask for", refuse=refuser(context))

    async def check(call: Call[Any, Checking]) -> Notice:
        state = await check_now(context, call, call.body.connection)
        result = state.result
        if result is None or not result.is_healthy:
            failed = "it was not checked" if result is None else f"it is down: {result.result}"
            return Notice(False, f"Checked {clip(state.name)}: {failed}")
        return Notice(True, f"Checked {clip(state.name)}: it is up and answered in {span(result.response_seconds)}")

    async def trigger(call: Call[Any, Triggering]) -> Notice:
        wanted = call.body
        store = store_asked(wanted.store, context.config())
        outcome = await context.actions.trigger(replace(asker(call), key=wanted.key), store, wanted.job)
        told = "" if outcome.execution_id is None else f" as execution {outcome.execution_id}"
        again = ", and not a second time" if outcome.again else ""
        return Notice(True, f"Job {clip(wanted.job)} was triggered{told}{again}")

    async def silence(call: Call[Any, Silencing]) -> Notice:
        wanted = Suppression(
            duration_minutes=call.body.minutes, comment="silenced at the status page", fingerprint=call.body.fingerprint
        )
        found = await suppressed(context, asker(call), wanted)
        return Notice(True, f"Silenced until {found.ends_at}; the page shows it within ten seconds")

    def act(action: str, doing: Doing) -> Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]:
        async def done(call: Call[Any, Any]) -> web.StreamResponse:
            context.sessions.leave(call.request, call.caller, await doing(call))
            return see_other(call.request, call.body.back)

        guarded = acting(context, action, done)

        async def answer(call: Call[Any, Any]) -> web.StreamResponse:
            check_form(context, call, call.body.form)
            try:
                return await guarded(call)
            except HttpError as refusal:
                context.sessions.leave(call.request, call.caller, Notice(False, f"Not done: {refusal.message}"))
                return see_other(call.request, call.body.back)

        return answer

    post = partial(
        Endpoint, family=family, method="POST", form=True, session=True, role=Role.ADMIN, answers={303: SEEN_OTHER}
    )
    return [
        post(
            path="/act/check",
            handler=act("check", check),
            body=Checking,
            body_example=lambda: {**_FORM, "connection": "1"},
            summary="Check a connection now",
        ),
        post(
            path="/act/trigger",
            handler=act("trigger", trigger),
            body=Triggering,
            body_example=lambda: {**_FORM, "store": "main", "job": "42", "key": "k-1"},
            summary="Have a job run now",
        ),
        post(
            path="/act/silence",
            handler=act("silence", silence),
            body=Silencing,
            body_example=lambda: {**_FORM, "fingerprint": "a1b2", "minutes": 60},
            summary="Silence an alert",
        ),
    ]
