"""Who asks and what that one may do: users of the web configuration, bearer tokens, and those who show neither.

Roles stand with the endpoints. A request is judged by the endpoint that the router found for it, so no spelling of a
path leads round this: what is not found is not answered.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web

from exporter.config.addresses import is_loopback
from exporter.config.model import Config, Token
from exporter.config.secrets import Secret
from exporter.config.web import WebConfig, load_web_config
from exporter.credentials import CredentialsError
from exporter.errors import ConfigError
from exporter.httpd.auth import BasicAuth
from exporter.httpd.endpoint import Endpoint
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import ANONYMOUS, Caller, Role
from exporter.httpd.tls import check_web_config
from exporter.httpd.watch import WebConfigWatch

log = structlog.get_logger(component="http")

_ROLES: Final = {"viewer": Role.VIEWER, "admin": Role.ADMIN}
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
    """ConfigError where serving this would leave JSON open unasked, or ``web.config_file`` cannot be used."""
    file = config.web.config_file
    if file is not None:
        check_web_config(file)
    anonymous_role(config, WebConfig() if file is None else load_web_config(file))


def tokens_of(config: Config) -> Sequence[Token]:
    """The tokens that are set."""
    return [token for token in config.auth.tokens if token.token is not None]


def addresses_of(config: Config) -> tuple[str, ...]:
    """Every address that is listened on."""
    return (*config.web.listen_address, *config.api.addresses)


class Gate:
    """Knows callers by their ``Authorization`` header, and refuses those who may not."""

    def __init__(
        self, watch: WebConfigWatch, config: Callable[[], Config], value: Callable[[Secret], Awaitable[str]]
    ) -> None:
        self._watch = watch
        self._config = config
        self._value = value
        self._basic = BasicAuth()
        self._key = secrets.token_bytes(32)
        self._missing: dict[str, str] = {}
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
            found = await self._by_token((header or "").partition(" ")[2].strip(), tokens)
            if found is not None:
                return found
        elif users:
            user = await self._basic.check(header, users)
            if user is not None:
                return Caller(user, Role.ADMIN, known=True)
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

    async def _by_token(self, given: str, tokens: Sequence[Token]) -> Caller | None:
        # Digests of one length under a key of this process: how long a comparison takes tells nothing. Every token is
        # compared, so that it does not tell either which one was right.
        digest, found = self._digest(given), None
        for token in tokens:
            known = await self._text(token)
            # An empty file is no token, and no credential.
            if known and hmac.compare_digest(digest, self._digest(known)):
                found = Caller(token.name, _ROLES[token.role], known=True)
        return found

    async def _text(self, token: Token) -> str | None:
        """A token's text of now; None while it cannot be had, which is said once: the others are as good as before."""
        try:
            text = None if token.token is None else await self._value(token.token)
        except CredentialsError as error:
            if self._missing.get(token.name) != str(error):
                log.warning("a token cannot be had", token=token.name, error=str(error))
            self._missing[token.name] = str(error)
            return None
        if self._missing.pop(token.name, None) is not None:
            log.info("a token can be had again", token=token.name)
        return text

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._key, hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest(), "sha256")

    def _unauthorized(self) -> HttpError:
        schemes = [_BEARER] if tokens_of(self._config()) or not self._watch.config.basic_auth_users else []
        schemes += [_BASIC] if self._watch.config.basic_auth_users else []
        return HttpError(HTTPStatus.UNAUTHORIZED, "unauthorized", {"WWW-Authenticate": ", ".join(schemes)})
