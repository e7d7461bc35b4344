"""Basic authentication against bcrypt hashes: off the event loop, bounded, no quicker for unknown users."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from exporter.config.secrets import Secret
from exporter.httpd.problems import HttpError

#: Proven credentials that are remembered, each by a keyed digest.
REMEMBERED: Final = 128
#: Different credentials that may wait for their hash; a flood of guesses is turned away above it.
WAITING: Final = 16
#: bcrypt looks at this many bytes only; its Python binding refuses longer ones, Go's and htpasswd's do not.
_SIGNIFICANT: Final = 72
#: A well-formed salt and digest of no known password, to spend the same time on unknown users.
_NOBODY: Final = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"


class BasicAuth:
    """Checks ``Authorization`` headers.

    One thread computes hashes, so that guesses cannot take the processor from collection; equal credentials
    that come together are computed once.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._proven: OrderedDict[bytes, None] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[bool]] = {}
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")

    def close(self) -> None:
        """End the thread; what waits for it is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def check(self, header: str | None, users: Mapping[str, Secret]) -> str | None:
        """Which of ``users`` (name -> bcrypt hash) ``header`` proves, or None; HttpError 503 in a flood of guesses."""
        credentials = _parse(header)
        if credentials is None:
            return None
        user, password = credentials
        stored = users.get(user)
        hashed = stored or Secret(f"$2b${_cost(users):02d}${_NOBODY}")
        proven = await self._verify(self._digest(user, hashed, password), hashed, password)
        return user if proven and stored is not None else None

    def _digest(self, user: str, hashed: Secret, password: Secret) -> bytes:
        """Names the credentials without holding them; another hash for the user is another name."""
        parts = (user, hashed.reveal(), password.reveal())
        text = b"\0".join(hashlib.sha256(part.encode("utf-8", "surrogateescape")).digest() for part in parts)
        return hmac.digest(self._key, text, "sha256")

    async def _verify(self, digest: bytes, hashed: Secret, password: Secret) -> bool:
        if digest in self._proven:
            self._proven.move_to_end(digest)
            return True
        pending = self._pending.get(digest)
        if pending is None:
            if len(self._pending) >= WAITING:
                raise HttpError(503, "too many logins at once", {"Retry-After": "1"})
            pending = asyncio.get_running_loop().run_in_executor(self._pool, _matches, hashed, password)
            self._pending[digest] = pending
            pending.add_done_callback(lambda done: self._finished(digest, done))
        # Shielded: a client that leaves must not take the result from others that wait for it.
        return await asyncio.shield(pending)

    def _finished(self, digest: bytes, done: asyncio.Future[bool]) -> None:
        self._pending.pop(digest, None)
        if done.cancelled() or done.exception() is not None or not done.result():
            return
        self._proven[digest] = None
        while len(self._proven) > REMEMBERED:
            self._proven.popitem(last=False)


def _parse(header: str | None) -> tuple[str, Secret] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        # surrogateescape keeps bytes that are not UTF-8 apart from each other: a password may be in Latin-1
        plain = base64.b64decode(encoded.strip(), validate=True).decode("utf-8", "surrogateescape")
    except ValueError:
        return None
    user, colon, password = plain.partition(":")
    return (user, Secret(password)) if colon else None


def _cost(users: Mapping[str, Secret]) -> int:
    return max(int(hashed.reveal()[4:6]) for hashed in users.values())


def _matches(hashed: Secret, password: Secret) -> bool:
    # Imported when there are users, not before: it is a megabyte that most sidecars never need.
    import bcrypt  # noqa: PLC0415

    given = password.reveal().encode("utf-8", "surrogateescape")[:_SIGNIFICANT]
    return bcrypt.checkpw(given, hashed.reveal().encode("ascii"))
