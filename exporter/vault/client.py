"""Vault as the rest of the program knows it: secrets by path, sources of credentials, one reload, one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Final, Self

from exporter.config.model import Vault as Config
from exporter.config.model import VaultCredential
from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError, CredentialSource
from exporter.snapshot import Hub, Part
from exporter.vault.failure import VaultError
from exporter.vault.leases import Revoker
from exporter.vault.roles import GRACE, Role
from exporter.vault.secrets import Fetched, Secrets
from exporter.vault.session import Session
from exporter.vault.sources import KeptSource, RoleSource
from exporter.vault.state import COLLECTOR, SOURCE, Requests, VaultState

#: Seconds at the end: for revoking leases, and then tokens.
REVOKING: Final = 4.0
LOGGING_OUT: Final = 1.5
#: Seconds for which a role that nobody uses is kept: a reload gives its targets up and takes them again.
LINGER: Final = 1.0
#: Seconds between two publications, and after which one is too old to be shown.
PUBLISHING: Final = 1.0
STALENESS: Final = 60.0


class Vault:
    """One Vault, or none (``config`` None: then whoever asks is told so). An async context manager.

    Publishes how it fares to ``hub``, if there is one. Calls ``on_change`` when it is worth while to ask again for what
    could not be had: Vault is back, or took a login.
    """

    def __init__(
        self, config: Config | None, *, hub: Hub | None = None, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._config = config
        self._hub = hub
        self._on_change = on_change
        self._requests = Requests()
        self._unwrapped: dict[Secret, Secret] = {}
        self._session: Session | None = None
        self._former: set[Session] = set()
        self._revoker = Revoker()
        self._secrets = Secrets(self._current, self._revoker.give_back)
        self._roles: dict[str, Role] = {}
        self._sources: set[RoleSource] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self._config is not None:
            self._session = self._make_session(self._config)
        if self._hub is not None:
            self._spawn(self._publish_forever(self._hub), "vault-publish")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Revoke every lease, then every token that is ours; give up after seconds where Vault is away."""
        for task in list(self._tasks):
            task.cancel()
        await self._secrets.close()
        held = [holding for role in list(self._roles.values()) for holding in await role.stop()]
        await self._revoker.close(held, REVOKING)
        sessions = [*self._former, *([self._session] if self._session else [])]
        await asyncio.gather(*(session.close(LOGGING_OUT) for session in sessions))

    # -- asking

    async def read(self, path: str, *, fetched_after: float = 0.0) -> Fetched:
        """The secret at ``path`` (KV version 1 or 2), asked for at ``fetched_after`` (monotonic) or later.

        Read once for all who ask at the same time, and kept. Raises CredentialsError, whose text is safe to show.
        """
        config = self._current().config
        try:
            async with asyncio.timeout(4 * config.timeout):  # logging in, asking, and both once more
                return await self._secrets.read(path, fetched_after)
        except TimeoutError:
            raise CredentialsError(f"Vault at {config.address} did not answer in time") from None

    def source(
        self, credential: VaultCredential, *, user: str | None = None, connection: str | None = None
    ) -> CredentialSource:
        """Where to ask for ``credential``. Give it back with ``release``.

        ``user`` is one that is known from elsewhere, ``connection`` the target's name, if there is one, for metrics.
        Equal credentials share what is behind them. Ask before each login, and compare: a connection that was made with
        other credentials than the current ones should be replaced, for their lease ends.
        """
        if credential.role is None:
            return KeptSource(self._secrets, credential, user)
        role = self._roles.get(credential.role)
        if role is None:
            role = self._roles[credential.role] = Role(credential.role, self._current, self._revoker)
        role.users += 1
        source = RoleSource(role, credential, user, connection)
        self._sources.add(source)
        return source

    async def release(self, source: CredentialSource) -> None:
        """``source`` is not used any more; a lease that nobody uses is revoked, soon and in the background."""
        if isinstance(source, RoleSource) and source in self._sources:
            self._sources.remove(source)
            source.role.users -= 1
            if not source.role.users:
                self._spawn(self._let_go(source.role), f"vault-release {source.role.path}")

    async def _let_go(self, role: Role) -> None:
        await asyncio.sleep(LINGER)
        if role.users or self._roles.get(role.path) is not role:
            return
        del self._roles[role.path]
        for holding in await role.stop():
            self._revoker.revoke(holding)

    # -- reload

    async def apply(self, config: Config | None) -> None:
        """Take over ``config``. Everything is asked for anew, while what is held still holds; then that is revoked."""
        if config == self._config:
            return
        before, self._config = self._config, config
        if self._session is not None:
            self._former.add(self._session)
            self._spawn(self._outlive(self._session), "vault-former")
        self._session = None if config is None else self._make_session(config)
        where = [None if each is None else (each.address, each.namespace) for each in (before, config)]
        self._secrets.changed(elsewhere=where[0] != where[1])
        self._changed()
        if config is None and self._hub is not None:
            self._hub.withdraw(SOURCE, COLLECTOR)

    async def _outlive(self, session: Session) -> None:
        """End a session that is in use no longer, once nothing is held that it has to revoke."""
        for _ in range(int(GRACE) + 30):
            if not any(role.uses(session) for role in self._roles.values()):
                break
            await asyncio.sleep(1)
        await asyncio.sleep(LINGER * 5)  # for what is being revoked
        await session.close(LOGGING_OUT)
        self._former.discard(session)

    def _make_session(self, config: Config) -> Session:
        session = Session(config, requests=self._requests, unwrapped=self._unwrapped, on_change=self._changed)
        session.start()
        return session

    def _current(self) -> Session:
        if self._session is None:
            raise VaultError("error", "the configuration has no section vault")
        return self._session

    def _changed(self) -> None:
        self._secrets.changed(elsewhere=False)
        for role in self._roles.values():
            role.changed()
        self._on_change()

    def _spawn(self, coroutine: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- how it fares

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        """How many requests there were, by operation and result."""
        return self._requests.snapshot()

    @property
    def token_number(self) -> int:
        """Which token is in use; grows when it is another one."""
        return self._session.number if self._session else 0

    @property
    def state(self) -> VaultState:
        """How Vault fares now."""
        ahead = time.time() - time.monotonic()
        session = self._session
        ends = session.token_ends if session else None
        leases = {
            source.connection: _seconds(source.role.ends + ahead)
            for source in self._sources
            if source.connection is not None and source.role.ends is not None
        }
        return VaultState(
            up=session.up if session else None,
            token_expiry=_seconds(ends + ahead) if ends is not None else None,
            requests=self.requests,
            leases=leases,
        )

    async def _publish_forever(self, hub: Hub) -> None:
        last, published_at = VaultState(), float("-inf")
        while True:
            state, now = self.state, time.monotonic()
            if self._session is not None and (state != last or now - published_at > STALENESS / 4):
                hub.publish(_part(state))
                last, published_at = state, now
            await asyncio.sleep(PUBLISHING)


def _seconds(at: float) -> float:
    """To the second: the difference of two clocks is never twice the same."""
    return float(round(at))


def _part(state: VaultState) -> Part:
    return Part(
        collector=COLLECTOR, source=SOURCE, value=state, success=True, collected_at=time.time(),
        collected_mono=time.monotonic(), duration=0.0, interval=PUBLISHING, staleness=STALENESS,
    )  # fmt: skip
