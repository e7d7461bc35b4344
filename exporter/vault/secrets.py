"""Secrets that Vault keeps: read once for all who need them, read again when they may have changed.

Belongs here: KV of both versions, the cache, what a field is. Does not: leases (``roles``).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from exporter.config.model import VaultCredential
from exporter.config.secrets import Secret
from exporter.credentials import Credentials
from exporter.logs import scrubber
from exporter.vault.failure import VaultError, unexpected
from exporter.vault.session import Session

log = structlog.get_logger(component="vault")

#: Seconds between two readings of one path, however many ask: at least; at most, while what is asked for anew does not
#: change; and after a failure that is the path's own.
GAP: Final = 2.0
LONGEST_GAP: Final = 15.0
LONGEST_PAUSE: Final = 30.0


class Fetched(msgspec.Struct, frozen=True):
    """A secret's fields, and when they were asked for (``time.monotonic``)."""

    fields: Mapping[str, str]
    fetched_at: float

    def __repr__(self) -> str:  # without the secrets
        return f"Fetched(fetched_at={self.fetched_at!r})"

    def credentials(self, path: str, credential: VaultCredential, user: str | None) -> Credentials:
        """Who logs in, by the fields that ``credential`` names. Raises VaultError for one that is missing."""
        if user is None:
            user = self.field(path, credential.user_field)
        password = self.field(path, credential.password_field)
        scrubber.add(password)
        return Credentials(user, Secret(password))

    def field(self, path: str, name: str) -> str:
        """The text of a field. Raises VaultError."""
        if name not in self.fields:
            listed = ", ".join(sorted(self.fields)[:10]) or "none"
            raise VaultError("not_found", f"{path} in Vault has no field {name} with a text (fields: {listed})")
        return self.fields[name]


class _Entry:
    """What is known of one path."""

    def __init__(self) -> None:
        self.known: Fetched | None = None
        self.error: VaultError | None = None
        self.gap = GAP
        self.stale = False
        self.next_at = 0.0
        self.task: asyncio.Task[None] | None = None


class Secrets:
    """The secrets that were read, by path. ``session`` gives the session in use, or raises VaultError without one."""

    def __init__(
        self, session: Callable[[], Session], give_back: Callable[[str, dict[str, Any], Session], None]
    ) -> None:
        self._session = session
        self._give_back = give_back
        self._entries: dict[str, _Entry] = {}

    def changed(self, *, elsewhere: bool) -> None:
        """Another session or token: what failed is tried again. ``elsewhere``: and what is known is out of date."""
        for entry in self._entries.values():
            entry.error = None
            entry.stale |= elsewhere
            if entry.task is None:
                entry.next_at = 0.0

    async def close(self) -> None:
        """End what is being read; nobody waits for it any more."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def known(self, path: str) -> Fetched | None:
        """What was read last."""
        entry = self._entries.get(path)
        return entry.known if entry else None

    async def read(self, path: str, fetched_after: float = 0.0) -> Fetched:
        """The secret at ``path``, asked for at ``fetched_after`` or later (monotonic). Raises VaultError.

        What is older than the refresh interval is returned all the same, while it is read again. A path that is asked
        for anew again and again without changing is read less and less often: an older answer is returned in between.
        """
        entry = self._entries.setdefault(path, _Entry())
        while True:
            known, now = entry.known, time.monotonic()
            if known is not None and known.fetched_at >= fetched_after:
                if entry.task is None and now >= entry.next_at and self._is_old(entry, known, now):
                    self._fetch(path, entry, 0.0, forced=False)
                return known
            if entry.task is None:
                wait = entry.next_at - now
                if entry.error is not None and wait > 0 and not entry.error.away:
                    raise entry.error.again()
                if known is not None and wait > GAP:
                    return known
                self._session().circuit.check()
                self._fetch(path, entry, max(0.0, wait), forced=fetched_after > 0)
            task = entry.task
            assert task is not None  # noqa: S101 - made above
            await asyncio.wait({task})
            if entry.error is not None and (entry.known is None or entry.known.fetched_at < fetched_after):
                raise entry.error.again()

    def _is_old(self, entry: _Entry, known: Fetched, now: float) -> bool:
        try:
            session = self._session()
        except VaultError:
            return False
        return not session.away and (entry.stale or now - known.fetched_at > session.config.refresh)

    def _fetch(self, path: str, entry: _Entry, delay: float, *, forced: bool) -> None:
        entry.task = asyncio.create_task(self._fetch_into(path, entry, delay, forced=forced), name=f"vault {path}")

    async def _fetch_into(self, path: str, entry: _Entry, delay: float, *, forced: bool) -> None:
        try:
            await asyncio.sleep(delay)
            started = time.monotonic()
            session = self._session()
            answer = await session.request("read", lambda client: client.adapter.get(f"/v1/{path}"), about=path)
            if answer.get("lease_id"):
                self._give_back(path, answer, session)
                raise VaultError("invalid", f"{path} in Vault makes a lease: write role: {path} in place of path")
            fields = fields_of(path, answer)
        except VaultError as error:
            self._failed(path, entry, error)
        except Exception as fault:  # an answer like no other: those who wait are told
            self._failed(path, entry, unexpected(fault))
        else:
            changed = entry.known is None or entry.known.fields != fields
            if changed and entry.known is not None:
                log.info("secret changed in Vault", path=path)
            if entry.error is not None and entry.known is not None:
                log.info("secret can be read again", path=path)
            entry.gap = min(entry.gap * 2, LONGEST_GAP) if forced and not changed else GAP
            entry.next_at = time.monotonic() + entry.gap
            entry.known, entry.error, entry.stale = Fetched(fields, started), None, False
        finally:
            entry.task = None

    def _failed(self, path: str, entry: _Entry, error: VaultError) -> None:
        if error.away:
            pause = 0.0  # the session spares Vault, and knows when it is back
        else:
            pause = entry.gap = min(max(entry.gap, GAP) * 2, LONGEST_PAUSE) if entry.error else GAP
            if entry.known is not None and (entry.error is None or entry.error.away):
                log.warning("secret cannot be read; the last one stays in use", path=path, error=str(error))
        entry.next_at = time.monotonic() + pause
        entry.error = error


def fields_of(path: str, answer: dict[str, Any]) -> dict[str, str]:
    """The fields of a secret in KV version 1 or 2, or another engine's; numbers and booleans as JSON writes them."""
    data = answer.get("data")
    if isinstance(data, dict) and _is_version_2(data):
        data = data["data"]
    if not isinstance(data, dict):
        raise VaultError("not_found", f"{path} in Vault holds no secret; was it deleted?")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in data.items()
        if isinstance(value, str | int | float)
    }


def _is_version_2(data: dict[str, Any]) -> bool:
    metadata = data.get("metadata")
    return data.keys() == {"data", "metadata"} and isinstance(metadata, dict) and "version" in metadata
