"""What Vault gave for a role, and giving it back.

Belongs here: reading such an answer, when it is due for something, revoking. Does not: whose turn it is (``roles``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import structlog

from exporter.config.secrets import Secret
from exporter.logs import scrubber
from exporter.vault.failure import VaultError
from exporter.vault.secrets import Fetched, fields_of
from exporter.vault.session import RENEW, Session

log = structlog.get_logger(component="vault")

#: The share of its ttl after which a lease that cannot be renewed is replaced: what is left is overlap.
_REPLACE: Final = (0.5, 0.6)
#: Seconds until a static role is read again: after the moment of its rotation, and at least.
_AFTER_ROTATION: Final = 0.5
_AT_LEAST: Final = 1.0
#: Seconds between two tries to revoke a lease of a Vault that is away.
_AGAIN: Final = 2.0


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What a role gives: a user with a lease (``lease_id``), or the present password of a user that stays.

    Monotonic seconds: it ``ends`` then (None: nobody knows), and has to be seen to at ``next_at``. ``ttl`` is what the
    lease had in the beginning, ``number`` the token that it was made with: it ends with that too.
    """

    path: str
    fetched: Fetched
    session: Session
    number: int
    lease_id: Secret | None
    ttl: float
    ends: float | None
    next_at: float
    renewable: bool

    def holds(self) -> bool:
        """Whether a server should take it. Where Vault is away, it cannot have taken back what has ended since."""
        return self.ends is None or time.monotonic() < self.ends or self.session.away


def holding_of(
    path: str, answer: dict[str, Any], *, session: Session, number: int, started: float, refresh: float
) -> Holding:
    """What an answer to ``path`` gives, asked for at ``started`` (monotonic). Raises VaultError."""
    lease_id = str(answer.get("lease_id") or "")
    fields = fields_of(path, answer)
    ttl = float(answer.get("lease_duration") or 0)
    renewable = bool(answer.get("renewable"))
    ends = started + ttl if lease_id and ttl > 0 else None
    if lease_id:
        scrubber.add(lease_id)
        next_at = due(started, ttl, renewable=renewable) if ends else float("inf")
    else:
        next_at = time.monotonic() + _until_rotation(fields, refresh)
    return Holding(
        path=path, fetched=Fetched(fields, started), session=session, number=number,
        lease_id=Secret(lease_id) if lease_id else None, ttl=ttl, ends=ends, next_at=next_at, renewable=renewable,
    )  # fmt: skip


def due(started: float, left: float, *, renewable: bool) -> float:
    """When to see to a lease that has ``left`` seconds from ``started`` on; never the same for all."""
    return started + left * random.uniform(*(RENEW if renewable else _REPLACE))  # noqa: S311


def _until_rotation(fields: dict[str, str], refresh: float) -> float:
    """Seconds until a static role has another password; engines that do not say are asked now and then."""
    try:
        ttl = float(fields["ttl"])
    except (KeyError, ValueError):
        return refresh
    return max(_AT_LEAST, ttl + _AFTER_ROTATION * random.uniform(1, 2))  # noqa: S311


class Revoker:
    """Gives leases back, in the background while the program runs, all at once at its end."""

    def __init__(self) -> None:
        self._pending: dict[asyncio.Task[None], Holding | None] = {}
        self._told = False

    def revoke(self, holding: Holding) -> None:
        """Revoke a lease as soon as Vault takes that; harmless for what has none."""
        if holding.lease_id is not None:
            task = asyncio.create_task(self._revoke_soon(holding), name=f"vault-revoke {holding.path}")
            self._remember(task, holding)

    def give_back(self, path: str, answer: dict[str, Any], session: Session) -> None:
        """Revoke the lease of an answer that nobody has a use for."""
        now = time.monotonic()
        with contextlib.suppress(VaultError):  # there is nothing in it
            self.revoke(holding_of(path, answer, session=session, number=session.number, started=now, refresh=60))

    def late(self, request: asyncio.Task[dict[str, Any]], path: str, session: Session) -> None:
        """A lease that nobody waits for any more: revoke it, should the answer still come."""
        self._remember(asyncio.create_task(self._revoke_late(request, path, session)), None)

    def _remember(self, task: asyncio.Task[None], holding: Holding | None) -> None:
        self._pending[task] = holding
        task.add_done_callback(self._pending.pop)

    async def _revoke_late(self, request: asyncio.Task[dict[str, Any]], path: str, session: Session) -> None:
        with contextlib.suppress(VaultError):
            self.give_back(path, await request, session)

    async def _revoke_soon(self, holding: Holding) -> None:
        while holding.ends is None or time.monotonic() < holding.ends:
            try:
                await _revoke(holding)
            except VaultError as error:
                if not error.away:
                    self._tell(holding, error)
                    return
                await asyncio.sleep(_AGAIN)
            else:
                return

    def _tell(self, holding: Holding, error: VaultError) -> None:
        # The policy is the same for all leases: the first says it.
        tell = log.debug if self._told else log.warning
        tell("lease not revoked; it ends by itself", role=holding.path, result=error.kind, error=str(error))
        self._told = True

    async def close(self, holdings: Iterable[Holding], seconds: float) -> int:
        """Revoke these and all that are pending, once, also if Vault seems away. How many are left."""
        deadline = time.monotonic() + seconds
        late = [task for task, holding in self._pending.items() if holding is None]
        if late:  # an answer on its way may bring one more
            await asyncio.wait(late, timeout=seconds / 2)
        open_ones = [*holdings, *(holding for holding in self._pending.values() if holding is not None)]
        for task in list(self._pending):
            task.cancel()
        left = [h for h in open_ones if h.lease_id is not None and (h.ends is None or h.ends > time.monotonic())]
        tasks = [asyncio.create_task(_revoke(h, seconds=max(0.2, deadline - time.monotonic()))) for h in left]
        if not tasks:
            return 0
        done, waiting = await asyncio.wait(tasks, timeout=max(0.1, deadline - time.monotonic()))
        for task in waiting:
            task.cancel()
        failed = [error for task in done if (error := task.exception()) is not None]
        if failed or waiting:
            text = str(failed[0]) if failed else "no answer in time"
            log.warning("leases not revoked; they end by themselves", leases=len(failed) + len(waiting), error=text)
        return len(failed) + len(waiting)


async def _revoke(holding: Holding, seconds: float | None = None) -> None:
    """Revoke and wait until the user is gone; where that cannot be done now, Vault goes on trying by itself."""
    assert holding.lease_id is not None  # noqa: S101 - the callers see to that
    lease_id = holding.lease_id.reveal()

    async def ask(sync: bool) -> None:
        body = {"lease_id": lease_id, "sync": sync}
        await holding.session.request(
            "revoke_lease",
            lambda client: client.adapter.put("/v1/sys/leases/revoke", json=body),
            about=f"lease of {holding.path}",
            whatever=seconds is not None,
            seconds=seconds,
        )

    try:
        await ask(True)
    except VaultError as error:
        if error.kind not in ("invalid", "error", "unavailable"):
            raise
        await ask(False)
