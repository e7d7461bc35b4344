"""What an endpoint is: one declaration that router, roles, parameters and ``/openapi.json`` all follow.

A family of paths is a module with ``endpoints(context)``, which lists them, and a line in ``api.FAMILIES``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from aiohttp import web
from msgspec.structs import replace
from structlog.contextvars import get_contextvars

from exporter.config.model import Config, Token
from exporter.domain import AuditEntry, AuditResult
from exporter.httpd.context import Context
from exporter.httpd.limits import MAX_BODY
from exporter.httpd.problems import HttpError, Refusal
from exporter.httpd.roles import Caller, Role

ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)
BodyT = TypeVar("BodyT")

Method = Literal["GET", "POST", "PUT"]
#: Which listener serves a family where ``api.listen_address`` gives JSON a port of its own.
Port = Literal["web", "api", "both"]
#: Which of a client's budgets a request is paid from.
Budget = Literal["none", "read", "action"]

APPLICATION_JSON: Final = "application/json"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that belong together.

    ``prefixes``: where answers that no endpoint gives (404, 405, 401 ...) have this family's ``envelope`` too.
    ``refuse``: how this family answers an HttpError of its endpoints where that is not JSON.
    """

    name: str
    description: str
    port: Port = "api"
    envelope: type[Refusal] = Refusal
    prefixes: tuple[str, ...] = ()
    refuse: Callable[[web.Request, HttpError], web.Response] | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that an endpoint may give: ``kind`` is the type that its JSON is encoded from, or a tuple of them.

    ``example`` gives a value of that kind as plain data. ``media`` are its types where it is no JSON, or not always.
    """

    kind: Any = None
    description: str = "The answer"
    media: tuple[str, ...] = (APPLICATION_JSON,)
    example: Callable[[], Any] | None = None


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


class Call(msgspec.Struct, Generic[ParamsT, BodyT], frozen=True):
    """One request that has been admitted: parameters and body are read and within their bounds."""

    params: ParamsT
    body: BodyT
    caller: Caller
    request: web.Request

    def entry(
        self, action: str, result: AuditResult, *, target: str | None = None, detail: str | None = None
    ) -> AuditEntry:
        """What the audit trail takes down about this request."""
        return AuditEntry(
            at=time.time(),
            action=action,
            actor=self.caller.name,
            result=result,
            target=target,
            request_id=self.request_id,
            client=self.request.remote,
            detail=detail,
        )

    @property
    def request_id(self) -> str:
        """The id that answer and logs have."""
        return str(get_contextvars()["request_id"])


#: A request without a body, by its parameters: ``async def logs(call: Query[LogsAsked]) -> web.Response``.
Query: TypeAlias = Call[ParamsT, None]
Handler: TypeAlias = Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One path and method. GET answers HEAD too.

    ``params`` is a struct of what stands in the path and the query (``exporter.httpd.params`` has its types), ``body``
    a struct of the JSON that is sent. ``answers`` by status: what the handler gives. ``fails``: the statuses of its
    HttpErrors, in the family's envelope. What holds for every request (400, 401, 403, 429 ...) is not listed.
    ``budget`` is by default that of the family and method: nothing is paid for what anyone may ask. ``tokens`` open
    this endpoint alone, beside those of ``auth.tokens``. ``largest_body`` is in bytes; ``nulls``: its texts may have
    null characters. ``reads_headers`` has the schema, with a description, of each header that matters; ``body_rules``
    is what the body's type does not say, in JSON Schema. ``form``: the body is sent as a form of a page. ``session``:
    who signed in at the status page is known here without another credential.
    """

    family: Family
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, Answer]
    role: Role = Role.VIEWER
    method: Method = "GET"
    params: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    body_example: Callable[[], Any] | None = None
    fails: Sequence[int] = ()
    description: str = ""
    deprecated: bool = False
    budget: Budget | None = None
    tokens: Callable[[Config], Sequence[Token]] = lambda _: ()
    largest_body: int = MAX_BODY
    nulls: bool = False
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    reads_headers: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    body_rules: Mapping[str, Any] = msgspec.field(default_factory=dict)
    form: bool = False
    session: bool = False

    @property
    def paid_from(self) -> Budget:
        """The budget in force."""
        if self.budget is not None:
            return self.budget
        if self.family.port != "api" or self.role is Role.ANYONE:
            return "none"
        return "read" if self.method == "GET" else "action"


#: Lists one family's endpoints.
Declare = Callable[[Context], Sequence[Endpoint]]


def also_under(endpoints: Sequence[Endpoint], prefix: str, other: str) -> list[Endpoint]:
    """The endpoints below ``prefix`` once more below ``other``, served in place."""
    return [replace(one, path=other + one.path.removeprefix(prefix)) for one in endpoints if below(one, prefix)]


def moved_from(endpoints: Sequence[Endpoint], prefix: str, old: str) -> list[Endpoint]:
    """For each endpoint below ``prefix`` its old path below ``old``, which redirects with 308, query and all."""

    async def redirect(call: Call[Nothing, None]) -> web.StreamResponse:
        rest = call.request.rel_url.raw_path.removeprefix(old)
        query = call.request.rel_url.raw_query_string
        raise web.HTTPPermanentRedirect(prefix + rest + (f"?{query}" if query else ""))

    return [
        Endpoint(
            family=one.family,
            path=old + one.path.removeprefix(prefix),
            method=one.method,
            role=Role.ANYONE,
            handler=redirect,
            summary=f"Moved to {one.path}",
            answers={308: Answer(media=(), description=f"Moved to {one.path}")},
            deprecated=True,
        )
        for one in endpoints
        if below(one, prefix)
    ]


def below(endpoint: Endpoint, prefix: str) -> bool:
    """Whether the endpoint's path begins with ``prefix`` and a slash."""
    return endpoint.path.startswith(f"{prefix}/")
