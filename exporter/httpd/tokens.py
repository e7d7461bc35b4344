"""Which token a text is: compared in constant time with all of them, wherever their own texts come from."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from exporter.config.model import Config, Token
from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError
from exporter.httpd.roles import Caller, Role

log = structlog.get_logger(component="http")

_ROLES: Final = {"viewer": Role.VIEWER, "admin": Role.ADMIN}


def tokens_of(config: Config) -> Sequence[Token]:
    """The tokens that are set."""
    return [token for token in config.auth.tokens if token.token is not None]


class Tokens:
    """Finds callers by their tokens; ``value`` gives the text of a secret."""

    def __init__(self, value: Callable[[Secret], Awaitable[str]]) -> None:
        self._value = value
        self._key = secrets.token_bytes(32)
        self._missing: dict[str, str] = {}

    def digest(self, text: str) -> bytes:
        """Names a text without holding it, under a key of this process: how long a comparison takes tells nothing."""
        return hmac.digest(self._key, hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest(), "sha256")

    async def caller(self, digest: bytes, tokens: Sequence[Token]) -> Caller | None:
        """Who has the token of this digest. Every one is compared, so that it does not tell which one was right."""
        found = None
        for token in tokens:
            known = await self._text(token)
            # An empty file is no token, and no credential.
            if known and hmac.compare_digest(digest, self.digest(known)):
                found = Caller(token.name, _ROLES[token.role], known=True)
        return found

    async def _text(self, token: Token) -> str | None:
        """A token's text of now; None while it cannot be had, which is said once: the others are as good as before."""
        try:
            text = None if token.token is None else await self._value(token.token)
        except CredentialsError as error:
            if self._missing.get(token.name) != str(error):
                log.warning("a token cannot be had", token_name=token.name, error=str(error))
            self._missing[token.name] = str(error)
            return None
        if self._missing.pop(token.name, None) is not None:
            log.info("a token can be had again", category="errors", token_name=token.name)
        return text
