"""The ways to log in to Vault, each of which ends in a token.

Belongs here: what each method sends, and which files it reads. Does not: when to log in (``session``).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from exporter.config.model import VaultAuth
from exporter.config.secrets import Secret
from exporter.logs import scrubber
from exporter.threads import in_thread
from exporter.vault.failure import VaultError
from exporter.vault.state import Operation

#: Sends a request: the operation's name, a call of hvac's client, the token to send with it.
Send = Callable[[Operation, Callable[[Any], Any], str], Awaitable[dict[str, Any]]]

KUBERNETES_JWT: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_LARGEST: Final = 64 * 1024


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token; ``ttl`` seconds it had when it was given (0: for ever), ``ends`` on the monotonic clock.

    ``ours`` is one that logging in gave: nobody else uses it, and it is revoked in the end.
    """

    value: Secret
    ttl: float
    ends: float | None
    renewable: bool
    ours: bool
    number: int = 0


def made_token(value: str, ttl: float, *, renewable: bool, ours: bool) -> Token:
    """A token that has ``ttl`` seconds left from now on."""
    scrubber.add(value)
    ends = time.monotonic() + ttl if ttl > 0 else None
    return Token(value=Secret(value), ttl=ttl, ends=ends, renewable=renewable, ours=ours)


class Auth:
    """One way to log in. What was unwrapped once is remembered in ``unwrapped``: it cannot be unwrapped again."""

    def __init__(self, config: VaultAuth, unwrapped: dict[Secret, Secret]) -> None:
        self.config = config
        self._unwrapped = unwrapped

    @property
    def logs_in(self) -> bool:
        """Whether a new token can be had by logging in again."""
        return self.config.method not in ("token", "token_file")

    @property
    def follows_file(self) -> bool:
        """Whether somebody else renews the token and writes it to a file."""
        return self.config.method == "token_file"

    async def read_token(self) -> str:
        """The token of the file. Raises VaultError."""
        assert self.config.token_file is not None  # noqa: S101 - checked with the configuration
        return await _read(self.config.token_file, "token_file")

    async def login(self, send: Send) -> Token:
        """A token. Raises VaultError."""
        config = self.config
        if config.method == "token":
            assert config.token is not None  # noqa: S101 - checked with the configuration
            return await _looked_up(send, config.token.reveal())
        if config.method == "token_file":
            return await _looked_up(send, await self.read_token())
        parameters = await self._parameters(send)
        path = f"/v1/auth/{config.mount or config.method}/login"
        try:
            answer = await send("login", lambda client: client.adapter.post(path, json=parameters), "")
        except VaultError as error:
            if error.away:
                raise
            raise VaultError(error.kind, f"{error}; logging in by {config.method} failed") from None
        auth = answer.get("auth") or {}
        if not isinstance(auth.get("client_token"), str):
            raise VaultError("error", f"Vault took the login by {config.method}, but gave no token")
        return made_token(
            auth["client_token"], auth.get("lease_duration") or 0, renewable=bool(auth.get("renewable")), ours=True
        )

    async def _parameters(self, send: Send) -> dict[str, str]:
        config = self.config
        if config.method == "approle":
            secret_id = await self._secret_id(send)
            return {"role_id": config.role_id or "", **({"secret_id": secret_id} if secret_id else {})}
        if config.jwt is not None:
            return {"role": config.role or "", "jwt": config.jwt.reveal()}
        return {"role": config.role or "", "jwt": await _read(config.jwt_file or KUBERNETES_JWT, "jwt_file")}

    async def _secret_id(self, send: Send) -> str | None:
        config = self.config
        if config.secret_id is not None:
            text = config.secret_id.reveal()
        elif config.secret_id_file is not None:
            text = await _read(config.secret_id_file, "secret_id_file")
        else:
            return None
        if not config.secret_id_wrapped:
            return text
        wrapping = Secret(text)
        if wrapping not in self._unwrapped:
            self._unwrapped[wrapping] = await _unwrap(send, text)
        return self._unwrapped[wrapping].reveal()


async def _unwrap(send: Send, token: str) -> Secret:
    try:
        answer = await send("unwrap", lambda client: client.sys.unwrap(), token)
    except VaultError as error:
        if error.away:
            raise
        remedy = "wrap a new secret id; if nobody here has used this one, somebody else has seen it"
        raise VaultError(error.kind, f"the wrapping token of the secret id has expired or was used: {remedy}") from None
    secret_id = (answer.get("data") or {}).get("secret_id")
    if not isinstance(secret_id, str):
        raise VaultError("error", "the wrapping token holds no secret id of an AppRole")
    scrubber.add(secret_id)
    return Secret(secret_id)


async def _looked_up(send: Send, token: str) -> Token:
    """A token that somebody else made, with what Vault says of it."""
    try:
        answer = await send("lookup_token", lambda client: client.auth.token.lookup_self(), token)
    except VaultError as error:
        if error.kind != "denied":
            raise
        raise VaultError(
            "token_expired", f"{error}: the token has expired, was revoked, or is another Vault's"
        ) from None
    data = answer.get("data") or {}
    ttl = data.get("ttl") or (1 if data.get("expire_time") else 0)  # less than a second is not for ever
    return made_token(token, ttl, renewable=bool(data.get("renewable")), ours=False)


async def _read(path: str, key: str) -> str:
    """The text of a small file. Raises VaultError, which names the key of the configuration."""

    def read() -> str:
        with Path(path).open("rb") as file:
            return file.read(_LARGEST).decode().strip()

    try:
        text = await in_thread(read, "vault")
    except UnicodeDecodeError:
        raise VaultError("invalid", f"vault.auth.{key}: {path} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise VaultError("invalid", f"vault.auth.{key}: {path}: {reason}") from None
    if not text:
        raise VaultError("invalid", f"vault.auth.{key}: {path} is empty")
    scrubber.add(text)
    return text
