"""What the configuration's references stand for: fields in Vault and files, followed when they are needed.

Belongs here: following references, for secrets at each use and for other keys when a configuration is read. Does not:
how Vault is spoken to (``client``), how references are written (``config.expand``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from exporter.config.dsn import fill_dsn, secrets_in
from exporter.config.expand import ExpandError, read_file
from exporter.config.follow import Answers
from exporter.config.load import NOTHING, UnansweredError
from exporter.config.model import Config, Dsn, VaultCredential
from exporter.config.model import Vault as VaultSection
from exporter.config.problems import nearest
from exporter.config.references import FileReference, Reference, Template, VaultReference, filled
from exporter.config.secrets import Secret
from exporter.credentials import Credentials, CredentialsError, CredentialSource
from exporter.logs import scrubber

_NO_VAULT = "no vault is configured"
_REMEDY = "only passwords, tokens and DSNs can wait for Vault; mend this, or write the value into the file"


class Fields(Protocol):
    """A secret as it was read: its fields."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Texts by name."""


class Client(Protocol):
    """What is needed of Vault's client; every call raises CredentialsError."""

    async def read(self, path: str, *, fetched_after: float = 0.0) -> Fields:
        """The secret at ``path``; not an answer from before ``fetched_after`` (time.monotonic)."""

    def source(self, credential: VaultCredential, *, user: str | None = None) -> CredentialSource:
        """Credentials that Vault keeps, of ``user`` if that is known from elsewhere, or makes."""

    async def release(self, source: CredentialSource) -> None:
        """Nobody uses ``source`` any more."""


class Secrets:
    """The current values of the configuration's secrets. ``client`` is Vault's, None where there is none.

    What was found is made known to the logs' scrubber. Nothing is kept here: files are read each time, and how long
    an answer of Vault's holds is its client's affair. All calls raise CredentialsError, whose text is safe to show.
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client = client

    async def value(self, secret: Secret, *, newer_than: float = 0.0) -> str:
        """The text of a secret now; ``newer_than`` (time.monotonic) asks for more than what is known already."""
        if secret.template is None:
            return secret.reveal()
        values = await self._values(secret.template, newer_than)
        text = filled(secret.template, values)
        scrubber.add(text, *values.values())
        return text

    async def parameters(self, dsn: str, *, newer_than: float = 0.0) -> dict[str, Any]:
        """libpq's parameters of a connection string now."""
        template = dsn.template if isinstance(dsn, Dsn) else None
        values = await self._values(template or (), newer_than)
        try:
            parameters = fill_dsn(dsn, values)
        except ValueError as error:
            made_of = f" made of {', '.join(map(str, values))}" if values else ""
            raise CredentialsError(f"the connection string{made_of}: {error}") from None
        scrubber.add(*secrets_in(parameters))
        return parameters

    def login(self, user: str | None, password: Secret | None) -> CredentialSource | None:
        """A source of what ``password`` refers to; None where it refers to nothing."""
        return Referred(self, user, password) if password is not None and password.template is not None else None

    def source(self, credential: VaultCredential, *, user: str | None = None) -> CredentialSource:
        """Credentials that Vault keeps, of ``user`` if that is known from elsewhere, or makes."""
        if self._client is None:
            raise CredentialsError(_NO_VAULT)
        return self._client.source(credential, user=user)

    async def release(self, source: CredentialSource) -> None:
        """Nobody uses ``source`` any more: a lease of its own can end."""
        if self._client is not None:
            await self._client.release(source)

    async def _values(self, template: Template, newer_than: float) -> dict[Reference, str]:
        return {part: await self._follow(part, newer_than) for part in template if not isinstance(part, str)}

    async def _follow(self, reference: Reference, newer_than: float) -> str:
        if isinstance(reference, FileReference):
            try:
                return await asyncio.to_thread(read_file, reference)
            except ExpandError as error:
                raise CredentialsError(str(error)) from None
        if self._client is None:
            raise CredentialsError(f"{reference}: {_NO_VAULT}")
        try:
            secret = await self._client.read(reference.path, fetched_after=newer_than)
        except CredentialsError as error:
            raise CredentialsError(f"{reference}: {error}") from error
        return _field(reference, secret.fields)


def _field(reference: VaultReference, fields: Mapping[str, str]) -> str:
    value = fields.get(reference.field)
    if value:
        return value
    if value is not None:
        raise CredentialsError(f"{reference}: the field is empty")
    known = ", ".join(fields) or "none"
    raise CredentialsError(f"{reference}: no such field{nearest(reference.field, fields)} (fields: {known})")


class Referred:
    """A user of the configuration with a password that is followed at each login: a CredentialSource."""

    def __init__(self, secrets: Secrets, user: str | None, password: Secret) -> None:
        self._secrets = secrets
        self._user = user
        self._password = password

    async def current(self) -> Credentials:
        """What the references say, as far as is known."""
        return await self._credentials(0.0)

    async def renewed(self, refused: Credentials) -> Credentials:
        """What the references say when they are asked anew, unless others have become known since."""
        known = await self._credentials(0.0)
        return known if known != refused else await self._credentials(time.monotonic())

    async def _credentials(self, newer_than: float) -> Credentials:
        return Credentials(self._user, Secret(await self._secrets.value(self._password, newer_than=newer_than)))


async def load(
    read: Callable[[Answers], Config],
    client: Callable[[VaultSection], contextlib.AbstractAsyncContextManager[Client]],
) -> Config:
    """What ``read`` reads, when it has been told what its references to Vault stand for that cannot wait.

    ``client`` opens the Vault that the configuration itself says. Raises ConfigError.
    """
    try:
        return read(NOTHING)
    except UnansweredError as unanswered:
        async with client(unanswered.config.vault) as vault:
            answers = await asyncio.gather(*(_answer(vault, each) for each in unanswered.references))
        return read(dict(zip(unanswered.references, answers, strict=True)))


async def _answer(vault: Client, reference: VaultReference) -> str | ExpandError:
    try:
        # A reload means now, whatever is remembered.
        return _field(reference, (await vault.read(reference.path, fetched_after=time.monotonic())).fields)
    except CredentialsError as error:
        told = str(error) if str(reference) in str(error) else f"{reference}: {error}"
        return ExpandError(f"{told}; {_REMEDY}")
