"""The sections about Vault: where it is, who the exporter is there, what it is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from exporter.config.base import Duration, HttpUrl, Positive, Section, Text, VaultPath
from exporter.config.secrets import Secret


class VaultCredential(Section, frozen=True, kw_only=True):
    """Credentials that Vault keeps (``path``: a KV secret) or makes (``role``: a role of a database engine)."""

    role: VaultPath | None = None
    path: VaultPath | None = None
    user_field: Text = "username"
    password_field: Text = "password"  # noqa: S105 - a field's name


VaultMethod = Literal["token", "token_file", "approle", "kubernetes", "jwt"]


class VaultAuth(Section, frozen=True, kw_only=True):
    """How the exporter logs in to Vault; which keys go with which method is in ``checks``."""

    method: VaultMethod
    mount: VaultPath | None = None
    token: Secret | None = None
    token_file: Text | None = None
    role: Text | None = None
    role_id: Text | None = None
    secret_id: Secret | None = None
    secret_id_file: Text | None = None
    secret_id_wrapped: bool = False
    jwt: Secret | None = None
    jwt_file: Text | None = None


class Vault(Section, frozen=True, kw_only=True):
    """HashiCorp Vault or OpenBao: where it is, who the exporter is there, and how much may be asked of it."""

    address: HttpUrl
    auth: VaultAuth
    namespace: Text | None = None
    ca_cert: Text | None = None
    client_cert: Text | None = None
    client_key: Text | None = None
    timeout: Positive = Duration(5)
    max_concurrent_requests: Annotated[int, Meta(ge=1, le=64)] = 4
    refresh: Positive = Duration(300)
