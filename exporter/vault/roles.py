"""A role of a database engine, whoever uses it: credentials kept alive, replaced in time, followed as they rotate.

Belongs here: when to ask for what, and what those who wait get. Does not: requests (``session``), reading answers
(``leases``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from msgspec.structs import replace

from exporter import tracing
from exporter.vault.failure import VaultError, unexpected
from exporter.vault.leases import Holding, Revoker, due, holding_of
from exporter.vault.secrets import GAP, LONGEST_PAUSE, Fetched
from exporter.vault.session import NEAR_END, Session

log = structlog.get_logger(component="vault")

#: Seconds for which what was replaced stays valid at most, so that connections made with it can be replaced too.
GRACE: Final = 120.0
#: Seconds between two replacements because a server refused: at most, and after which all is forgiven.
LONGEST_GAP: Final = 300.0
FORGIVEN: Final = 600.0
#: Seconds until a Vault that is away is asked again here; it is news that it is back that ends the wait.
_AWAY_PAUSE: Final = 5.0


class Role:
    """One role, by its path. ``session`` gives the session in use, or raises VaultError when there is none."""

    def __init__(self, path: str, session: Callable[[], Session], revoker: Revoker) -> None:
        self.path = path
        self.users = 0
        self._session = session
        self._revoker = revoker
        self._holding: Holding | None = None
        self._retired: list[tuple[float, Holding]] = []
        self._error: VaultError | None = None
        self._pause = GAP
        self._next_at = 0.0
        self._wanted = False
        self._forced_at = 0.0
        self._gap = GAP
        self._busy = False
        self._stopped = False
        self._may_renew = True
        self._wake = asyncio.Event()
        self._round: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def ends(self) -> float | None:
        """When the lease in use ends (monotonic), if there is one."""
        return self._holding.ends if self._holding else None

    def uses(self, session: Session) -> bool:
        """Whether anything of ``session`` is still held."""
        held = [holding for _, holding in self._retired] + ([self._holding] if self._holding else [])
        return any(holding.session is session for holding in held)

    async def get(self) -> Fetched:
        """What the role gives now; asks for it if there is nothing that holds. Raises VaultError."""
        while self._holding is None or not self._holding.holds():
            if self._error is not None and not self._busy and time.monotonic() < self._next_at:
                raise self._error.again()
            await self._next_round()
            if self._error is not None and (self._holding is None or not self._holding.holds()):
                raise self._error.again()
        return self._holding.fetched

    async def renewed(self, refused: Callable[[Fetched], bool]) -> Fetched:
        """What the role gives, other than what was refused, if it can be had now. Raises VaultError."""
        before = self._holding
        if before is None or not refused(before.fetched):
            return await self.get()
        self._session().circuit.check()
        now = time.monotonic()
        if now - self._forced_at > FORGIVEN:
            self._gap = GAP
        if self._forced_at - now > GAP:
            return before.fetched  # asked for often enough; the server has to come round
        self._wanted = True
        self._wake.set()
        while self._holding is not None and self._holding.fetched is before.fetched:
            await self._next_round()
            if self._error is not None:
                raise self._error.again()
        return await self.get()

    def changed(self) -> None:
        """There is another session or token, or Vault is back: what failed is tried again at once."""
        if self._error is not None:
            self._next_at = 0.0
        self._wake.set()

    async def stop(self) -> list[Holding]:
        """End; returns what is held, for somebody to revoke."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._end_round()
        held = [holding for _, holding in self._retired] + ([self._holding] if self._holding else [])
        self._holding, self._retired, self._task = None, [], None
        return held

    # -- the keeper

    async def _next_round(self) -> None:
        """Wait until the keeper has done something, or failed to."""
        if self._stopped:
            raise VaultError("error", f"{self.path} in Vault is not used any more")
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name=f"vault {self.path}")
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._round)

    def _end_round(self) -> None:
        if self._round is not None:
            self._round.set_result(None)
            self._round = None

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            if acted := self._is_due():
                self._busy = True
                try:
                    await self._act()
                finally:
                    self._busy = False
            self._retire()
            if acted:
                self._end_round()
                tracing.detach()  # from whoever needed the first credentials: the keeper lives on
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._due_at() - time.monotonic())):
                    await self._wake.wait()

    def _is_due(self) -> bool:
        return time.monotonic() >= self._due_at()

    def _due_at(self) -> float:
        """When there is something to do (monotonic)."""
        if self._error is not None:
            return self._next_at
        if self._holding is None or self._outdated(self._holding):
            return 0.0
        times = [self._holding.next_at, *(at for at, _ in self._retired)]
        if self._wanted:
            times.append(self._forced_at)
        return min(times)

    def _outdated(self, holding: Holding) -> bool:
        """Whether it ends with a token or a session that is in use no longer."""
        try:
            session = self._session()
        except VaultError:
            return False
        return holding.session is not session or holding.number != session.number

    async def _act(self) -> None:
        try:
            holding = self._holding
            if holding is None or self._wanted or self._outdated(holding):
                await self._issue()
            elif time.monotonic() < holding.next_at:
                pass  # it is something retired that is due, or what failed was not needed
            elif holding.lease_id is not None and holding.renewable and self._may_renew:
                await self._renew(holding)
            else:
                await self._issue()
        except VaultError as error:
            self._failed(error)
        except Exception as fault:  # an answer like no other: those who wait are told, and others are asked
            self._failed(unexpected(fault))
        else:
            if self._error is not None and not self._error.away:
                log.info("credentials can be had from Vault again", role=self.path)
            self._error, self._pause = None, GAP

    async def _issue(self) -> None:
        session = self._session()
        await session.token()
        number, started = session.number, time.monotonic()
        path = self.path

        def late(answer: dict[str, Any]) -> None:
            self._revoker.give_back(path, answer, session)

        request = asyncio.create_task(
            session.request("credentials", lambda client: client.adapter.get(f"/v1/{path}"), about=path, late=late)
        )
        try:
            answer = await asyncio.shield(request)
        except asyncio.CancelledError:
            self._revoker.late(request, path, session)
            raise
        new = holding_of(path, answer, session=session, number=number, started=started, refresh=session.config.refresh)
        if not self._may_renew and new.ends is not None:
            new = replace(new, next_at=due(started, new.ttl, renewable=False))  # fmt: skip
        old, self._holding = self._holding, new
        self._say(old, new)
        if self._wanted:
            self._wanted = False
            self._forced_at = time.monotonic() + self._gap
            kept = new.lease_id is None and old is not None and old.fetched.fields == new.fetched.fields
            self._gap = min(self._gap * 2, LONGEST_GAP) if new.lease_id is not None or kept else GAP
        if old is not None and old.lease_id is not None:
            self._retired.append((min(old.ends or float("inf"), time.monotonic() + GRACE), old))

    def _say(self, old: Holding | None, new: Holding) -> None:
        if new.lease_id is not None:
            log.debug("lease from Vault made", role=self.path, ttl=new.ttl, replaces=old is not None)
        elif old is not None and old.fetched.fields.get("password") != new.fetched.fields.get("password"):
            log.info("secret changed in Vault", path=self.path)

    async def _renew(self, holding: Holding) -> None:
        assert holding.lease_id is not None  # noqa: S101 - the caller sees to that
        lease_id, started = holding.lease_id.reveal(), time.monotonic()
        try:
            answer = await holding.session.request(
                "renew_lease", lambda client: client.sys.renew_lease(lease_id=lease_id), about=f"lease of {self.path}"
            )
        except VaultError as error:
            await self._not_renewed(holding, error)
            return
        left = float(answer.get("lease_duration") or 0)
        renewable = bool(answer.get("renewable"))
        self._holding = replace(
            holding, ends=started + left, next_at=due(started, left, renewable=renewable), renewable=renewable
        )
        log.debug("lease from Vault renewed", role=self.path, ttl=left)
        if left < NEAR_END * holding.ttl:
            await self._issue()  # no more to be had: a new one, while this one still holds

    async def _not_renewed(self, holding: Holding, error: VaultError) -> None:
        if error.kind == "denied":
            log.warning("leases from Vault cannot be renewed, only replaced", role=self.path, error=str(error))
            self._may_renew = False
        elif error.kind in ("invalid", "not_found"):
            log.info("lease from Vault has ended early", role=self.path, error=str(error))
            self._holding = replace(holding, ends=time.monotonic())
        else:
            raise error
        await self._issue()

    def _failed(self, error: VaultError) -> None:
        if error.away:
            self._next_at = time.monotonic() + _AWAY_PAUSE
        else:
            if self._error is None or str(self._error) != str(error):
                log.warning("credentials cannot be had from Vault", role=self.path, result=error.kind, error=str(error))
            self._next_at = time.monotonic() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._error, self._wanted = error, False

    def _retire(self) -> None:
        """Give back what was replaced long enough ago, if it has not ended by itself."""
        now = time.monotonic()
        for at, holding in self._retired:
            if now >= at and (holding.ends is None or holding.ends > now):
                self._revoker.revoke(holding)
        self._retired = [(at, holding) for at, holding in self._retired if now < at]
