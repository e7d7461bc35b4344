"""Whether a request is let through: how often its client asks, who that is, what that one may do, who sent it here."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web
from structlog.contextvars import get_contextvars

from exporter.domain import AuditEntry
from exporter.httpd.access import Gate
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Endpoint
from exporter.httpd.limits import Budgets, client_of
from exporter.httpd.origin import cross_site
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import ANONYMOUS, Caller
from exporter.httpd.watch import WebConfigWatch

#: The budget of all clients together, which exporter-toolkit's ``rate_limit`` is.
_ALL: Final = "all"


class Admission:
    """Lets requests through or refuses them, and has refusals of credentials and roles written down."""

    def __init__(self, context: Context, watch: WebConfigWatch) -> None:
        self._context = context
        self._watch = watch
        self._budgets = Budgets()
        self.gate = Gate(watch, context.config, context.sessions)

    def close(self) -> None:
        """Let go of what the gate holds."""
        self.gate.close()

    async def admit(self, request: web.Request, endpoint: Endpoint | None) -> Caller:
        """Who asks, if that one may have ``endpoint`` (None: there is none). HttpError 401, 403, 429, 503."""
        limit = self._watch.config.rate_limit
        if limit.interval > 0:
            await self._budgets.pay(_ALL, "", per_second=1 / limit.interval, burst=limit.burst)
        try:
            caller = await self.gate.caller(request, endpoint)
        except HttpError:
            await self._pay(endpoint, request, None)  # guesses are paid for, too
            self._refused(request, ANONYMOUS, "login", None)
            raise
        if endpoint is None:
            return caller
        await self._pay(endpoint, request, caller)
        try:
            self.gate.admit(caller, endpoint)
            if endpoint.method != "GET" and cross_site(request):
                raise HttpError(403, "cross-site request refused")
        except HttpError as refusal:
            if refusal.status == 403:
                self._refused(request, caller.name, "access", f"{endpoint.method} {endpoint.path}")
            raise
        return caller

    async def _pay(self, endpoint: Endpoint | None, request: web.Request, caller: Caller | None) -> None:
        budget = endpoint.paid_from if endpoint is not None else "read"
        if budget == "none":
            return
        client = f"={caller.name}" if caller is not None and caller.known else client_of(request)
        api = self._context.config().api
        rate = api.rate_limit if budget == "read" else api.action_rate_limit
        await self._budgets.pay(budget, client, per_second=rate.per_second, burst=rate.burst)

    def _refused(self, request: web.Request, actor: str, action: str, target: str | None) -> None:
        if actor == ANONYMOUS and action == "login" and "Authorization" not in request.headers:
            return  # who shows no credential has not tried to log in
        self._context.audit.record(
            AuditEntry(
                at=time.time(),
                action=action,
                actor=actor,
                result="refused",
                target=target,
                request_id=get_contextvars().get("request_id"),
                client=request.remote,
            )
        )
