"""What the keys about Vault have to keep to, of those that one key alone does not show."""

from __future__ import annotations

from typing import Final

from exporter.config.problems import BROKEN, Where


def check_origin(section: Where) -> None:
    """The credentials come from Vault, or from here."""
    vault = section.get("vault")
    if vault is None:
        return
    if section.get("password") is not None:
        section.problem("password", "the password comes from vault; keep one of the two")
    if vault.role not in (None, BROKEN) and section.get("user") is not None:
        section.problem("user", "the user comes from the role in vault; leave it out")


def check_vault_credential(credential: Where) -> None:
    """A secret that is kept, or a role that makes credentials."""
    role, path = credential.value.role, credential.value.path
    if role is None and path is None:
        credential.problem("role", "expected role (such as database/creds/monitor) or path (such as secret/data/app)")
    if role is not None and path is not None:
        credential.problem("path", "either role or path; keep one of the two")


def check_vault(vault: Where) -> None:
    """TLS files that go together."""
    cert, key = vault.value.client_cert, vault.value.client_key
    if cert is not None and key is None:
        vault.problem("client_key", "required with client_cert")
    if key is not None and cert is None:
        vault.problem("client_cert", "required with client_key")
    address = vault.get("address")
    if address is not None and address.startswith("http:"):
        for name in ("ca_cert", "client_cert"):
            if vault.get(name) is not None:
                vault.problem(name, "never used with an address that begins with http:")


#: By method of logging in: the keys that it needs, of which one of each group, and those that it may have.
_AUTH_KEYS: Final[dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]]] = {
    "token": ((("token",),), ()),
    "token_file": ((("token_file",),), ()),
    "approle": ((("role_id",),), ("mount", "secret_id", "secret_id_file", "secret_id_wrapped")),
    "kubernetes": ((("role",),), ("mount", "jwt_file")),
    "jwt": ((("role",), ("jwt", "jwt_file")), ("mount",)),
}


def check_vault_auth(auth: Where) -> None:
    """The keys that go with the method, and no others."""
    method = auth.get("method")
    if method is None:
        return
    needed, optional = _AUTH_KEYS[method]
    for group in needed:
        given = [name for name in group if getattr(auth.value, name) is not None]
        if not given:
            auth.problem(group[0], f"required with method {method}" + (f", or {group[1]}" if group[1:] else ""))
    known = {name for group in needed for name in group}.union(optional, ("method",))
    for name in auth.value.__struct_fields__:
        if name not in known and getattr(auth.value, name) not in (None, False):
            auth.problem(name, f"never used with method {method} (its keys: {', '.join(sorted(known - {'method'}))})")
    for name in ("jwt", "secret_id"):
        if getattr(auth.value, name) is not None and getattr(auth.value, f"{name}_file") is not None:
            auth.problem(name, f"either {name} or {name}_file; keep one of the two")
    if auth.value.secret_id_wrapped is True and auth.value.secret_id is None and auth.value.secret_id_file is None:
        auth.problem(
            "secret_id_wrapped", "required with it: secret_id or secret_id_file, which hold the wrapping token"
        )
