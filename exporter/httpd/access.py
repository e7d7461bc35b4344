"""Who asks and what that one may do: users of the web configuration, bearer tokens, and those who show neither.

Roles stand with the endpoints. A request is judged by the endpoint that the router found for it, so no spelling of a
path leads round this: what is not found is not answered.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from exporter.config.addresses import is_loopback
from exporter.config.model import Config
from exporter.config.unasked import left_open
from exporter.config.web import WebConfig, load_web_config
from exporter.errors import ConfigError
from exporter.httpd.auth import BasicAuth
from exporter.httpd.endpoint import Endpoint
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import ANONYMOUS, Caller, Role
from exporter.httpd.sessions import Sessions
from exporter.httpd.tls import check_web_config
from exporter.httpd.tokens import tokens_of
from exporter.httpd.watch import WebConfigWatch

_BASIC: Final = 'Basic realm="scheduler-exporter", charset="UTF-8"'
_BEARER: Final = 'Bearer realm="scheduler-exporter"'
_CLOSED: Final = (
    "auth: environment is production and JSON would be open to everyone who reaches it: set auth.tokens (or"
    " basic_auth_users in web.config_file), or auth.anonymous_read: true"
)


def anonymous_role(config: Config, web_config: WebConfig) -> Role | None:
    """What one without a credential may do; None: not even what anyone may.

    ADMIN is for reading alone: who acts has to be known. ConfigError where production would leave JSON open unasked.
    """
    if web_config.basic_auth_users:
        return None
    if config.auth.anonymous_read:
        return Role.VIEWER
    if tokens_of(config):
        return Role.ANYONE
    tls = web_config.tls
    if tls is not None and tls.client_auth_type == "RequireAndVerifyClientCert":
        return Role.VIEWER
    if config.environment == "production":
        raise ConfigError([_CLOSED])
    if config.environment is None and not all(map(is_loopback, addresses_of(config))):
        return Role.ANYONE
    return Role.ADMIN


def check_access(config: Config) -> None:
    """ConfigError where serving this would leave JSON open unasked, or ``web.config_file`` cannot be used.

    Not judged where it depends on what Vault was not asked for.
    """
    if any(left_open((config.environment, config.web, config.api, config.auth))):
        return
    file = config.web.config_file
    if file is not None:
        check_web_config(file)
    anonymous_role(config, WebConfig() if file is None else load_web_config(file))


def addresses_of(config: Config) -> tuple[str, ...]:
    """Every address that is listened on."""
    return (*config.web.listen_address, *config.api.addresses)


class Gate:
    """Knows callers by their ``Authorization`` header, on pages by their session too; refuses those who may not."""

    def __init__(self, watch: WebConfigWatch, config: Callable[[], Config], sessions: Sessions) -> None:
        self._watch = watch
        self._config = config
        self._tokens = sessions.tokens
        self._sessions = sessions
        self._basic = BasicAuth()
        self._judged: tuple[Config, WebConfig, Role | None] | None = None

    def close(self) -> None:
        """Let go of the thread that checks passwords."""
        self._basic.close()

    @property
    def anonymous(self) -> Role | None:
        """What one without a credential may do at present; None: not even what anyone may."""
        config, web_config = self._config(), self._watch.config
        judged = self._judged
        if judged is None or judged[0] is not config or judged[1] is not web_config:
            judged = self._judged = (config, web_config, anonymous_role(config, web_config))
        return judged[2]

    async def caller(self, request: web.Request, endpoint: Endpoint | None) -> Caller:
        """Who asks. HttpError 401 for a credential that is wrong, or is missing where every request needs one.

        Where anyone may ask, a wrong credential is as good as none: a scraper may send one that is not for us.
        """
        header = request.headers.get("Authorization")
        users, tokens = self._watch.config.basic_auth_users, tokens_of(self._config())
        if endpoint is not None:
            tokens = [*tokens, *endpoint.tokens(self._config())]
        scheme = (header or "").partition(" ")[0].lower()
        if scheme == "bearer" and tokens:
            given = (header or "").partition(" ")[2].strip()
            found = await self._tokens.caller(self._tokens.digest(given), tokens)
            if found is not None:
                return found
        elif users:
            user = await self._basic.check(header, users)
            if user is not None:
                return Caller(user, Role.ADMIN, known=True)
        elif endpoint is not None and endpoint.session and header is None:
            signed_in = await self._sessions.caller(request)
            if signed_in is not None:
                return signed_in
        wrong = scheme in ("bearer", "basic") and bool(tokens or users)
        if users or (wrong and endpoint is not None and endpoint.role is not Role.ANYONE):
            raise self._unauthorized()
        return Caller(ANONYMOUS, self.anonymous or Role.ANYONE, known=False)

    def admit(self, caller: Caller, endpoint: Endpoint) -> None:
        """Return if ``caller`` may ask this; else HttpError 401 or 403."""
        acts = endpoint.method != "GET" and endpoint.role is not Role.ANYONE
        if caller.role >= endpoint.role and (caller.known or not acts):
            return
        if not caller.known:
            raise self._unauthorized()
        raise HttpError(HTTPStatus.FORBIDDEN, f"forbidden: this needs the role {endpoint.role.name.lower()}")

    def _unauthorized(self) -> HttpError:
        schemes = [_BEARER] if tokens_of(self._config()) or not self._watch.config.basic_auth_users else []
        schemes += [_BASIC] if self._watch.config.basic_auth_users else []
        return HttpError(HTTPStatus.UNAUTHORIZED, "unauthorized", {"WWW-Authenticate": ", ".join(schemes)})
