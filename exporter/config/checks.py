"""What needs more than one key: doubles, contradictions, references from one section to another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Final

from exporter.config.addresses import parse_listen_address
from exporter.config.convert import Check
from exporter.config.dsn import parse_dsn
from exporter.config.durations import format_duration
from exporter.config.model import (
    MESSAGE_FIELDS,
    Alertmanager,
    Auth,
    Config,
    Connections,
    HttpTrigger,
    PostgresStore,
    Profile,
    RedisTrigger,
    Remote,
    StoreTargets,
    Target,
    Vault,
    VaultAuth,
    VaultCredential,
)
from exporter.config.places import DEFAULT_PORT, parse_hosts, places
from exporter.config.problems import BROKEN, Where, nearest, quote


def check_auth(auth: Where) -> None:
    """A name stands for one token, and a token for one name."""
    tokens = auth.items("tokens")
    check_unique(tokens, "name")
    first: dict[Any, Where] = {}
    for token in tokens:
        secret = token.get("token")
        if secret is not None and first.setdefault(secret, token) is not token:
            token.problem("token", f"the same token as that of {first[secret].place('token')}; expected one of its own")


def check_intervals(section: Where) -> None:
    """``interval`` and ``timeout`` within ``staleness``: else fresh values would be withdrawn."""
    staleness = section.get("staleness")
    for name in ("interval", "timeout"):
        value = section.get(name)
        if value is not None and staleness is not None and value > staleness:
            limit = format_duration(staleness)
            text = f"expected at most staleness, which is {limit}; got {format_duration(value)}"
            section.problem(name, text)


def check_store(store: Where) -> None:
    """Intervals, and one password at most."""
    check_intervals(store)
    dsn = store.get("dsn")
    in_dsn = dsn is not None and parse_dsn(dsn).get("password")
    if in_dsn and store.get("password") is not None:
        store.problem("password", "the password is in dsn too; keep one of the two")
    if store.get("vault") is not None:
        if in_dsn:
            store.problem("dsn", "the password comes from vault; leave it out of dsn")
        if store.get("password") is not None:
            store.problem("password", "the password comes from vault; keep one of the two")


def check_profile(profile: Where) -> None:
    """Something to read, and a cursor that fits."""
    has = {name: getattr(profile.value, name) is not None for name in ("jobs", "executions", "cursor")}
    if not has["jobs"] and not has["executions"]:
        profile.problem("jobs", "expected jobs or executions; a profile without both reads nothing")
    if has["executions"] and not has["cursor"]:
        profile.problem("cursor", "required with executions: the column that orders finished executions")
    cursor = profile.get("cursor")
    if cursor is None or cursor.kind is BROKEN or cursor.position is BROKEN:
        return
    if cursor.kind == "id" and cursor.position is None:
        profile.problem("cursor", "required with kind id: the SELECT of the greatest id", "position")
    if cursor.kind != "id" and cursor.position is not None:
        profile.problem("cursor", f"only a cursor of kind id has a position; this one is {cursor.kind}", "position")


def check_target(target: Where) -> None:
    """Hosts and ports that fit each other, TLS files that go together, one origin of the credentials."""
    _check_places(target)
    check_origin(target)
    check_tls_files(target)


def check_tls_files(target: Where) -> None:
    """A certificate with its key, and files only where TLS is used."""
    cert, key = target.value.sslcert, target.value.sslkey
    if cert is not None and key is None:
        target.problem("sslkey", "required with sslcert")
    if key is not None and cert is None:
        target.problem("sslcert", "required with sslkey")
    if target.get("sslmode") == "disable":
        for name in ("sslrootcert", "sslcert", "sslkey"):
            if target.get(name) is not None:
                target.problem(name, "never used with sslmode disable")
    if target.get("sslrootcert") == "system" and target.get("sslmode") not in (None, "verify-full", "disable"):
        target.problem(
            "sslmode", "expected verify-full with sslrootcert system: whoever has any certificate would pass"
        )


def _check_places(target: Where) -> None:
    host, port = target.get("host"), target.get("port")
    if host is None:
        return
    try:
        parse_hosts(host)
    except ValueError as error:
        target.problem("host", f"{error} in {quote(host)}")
        return
    try:
        places(host, DEFAULT_PORT if port is None else port)
    except ValueError as error:
        target.problem("port", str(error))


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


def check_remote(remote: Where) -> None:
    """One way to log in, and all of it."""
    username, password = remote.get("username"), remote.get("password")
    if password is not None and username is None:
        remote.problem("username", "required with password")
    if username is not None and password is None:
        remote.problem("password", "required with username")
    if username is not None and remote.get("token") is not None:
        remote.problem("token", "there is a username too; keep one of the two")


def check_redis_trigger(trigger: Where) -> None:
    """The client library is there; nothing is in the message that nobody fills in."""
    if find_spec("redis") is None:
        trigger.problem("kind", "needs the client library: pip install 'scheduler-exporter[redis]'")
    for name in re.findall(r"\{(\w+)\}", trigger.get("message") or ""):
        if name not in MESSAGE_FIELDS:
            known = ", ".join(f"{{{field}}}" for field in MESSAGE_FIELDS)
            trigger.problem(
                "message", f"nothing is known as {{{name}}}{nearest(name, MESSAGE_FIELDS)} (known: {known})"
            )


def check_connections(connections: Where) -> None:
    """Intervals; results are written only for what stores list."""
    check_intervals(connections)
    if connections.get("write_status") and connections.get("from_stores") is False:
        connections.problem(
            "write_status", "needs from_stores: results are written for the connections that stores list"
        )


def check_config(config: Where) -> None:
    """What one section says about another."""
    stores, targets = config.items("stores"), config.items("connections", "targets")
    if config.get("stores") == () and not _has_targets(config):
        config.problem("stores", "expected at least one store, or one target in connections.targets")
    check_unique(stores, "name")
    check_unique(targets, "name")
    check_unique(targets, "id")
    _check_vault_is_there(config, [*stores, *targets])
    _check_addresses(config)
    objectives, overrides = config.items("slo"), config.items("alerting", "overrides")
    for entries in (overrides, objectives):
        _check_store_names(entries, config.get("stores"))
        _check_scopes(entries)


def _check_addresses(config: Where) -> None:
    """No address twice, in one section or in two; port 0 is a new port each time."""
    seen: set[tuple[str, int]] = set()
    for name in ("web", "api"):
        section = config.get(name)
        given = getattr(section, "listen_address", None)
        if given is BROKEN:
            continue
        for index, text in enumerate((given,) if isinstance(given, str) else given or ()):
            if text is BROKEN:
                continue
            address = parse_listen_address(text)
            if address in seen and address[1]:
                place = () if isinstance(given, str) else (index,)
                config.problem(name, f"duplicate address {quote(text)}", "listen_address", *place)
            seen.add(address)


def check_unique(sections: Iterable[Where], name: str) -> None:
    """No value of this key twice; ids 1 and "1" are one, for ids are text inside."""
    first: dict[str, Where] = {}
    for section in sections:
        value = section.get(name)
        if value is None:
            continue
        before = first.setdefault(str(value), section)
        if before is not section:
            section.problem(name, f"duplicate {name} {quote(str(value))}; first at {before.place(name)}")


def _check_vault_is_there(config: Where, users: Iterable[Where]) -> None:
    if config.value.vault is None:
        for user in users:
            if user.get("vault") is not None:
                user.problem(
                    "vault", "needs the section vault at the top of the file: where Vault is and how to log in"
                )


def _has_targets(config: Where) -> bool:
    connections = config.get("connections")
    return connections is None or connections.targets != ()


def _check_store_names(sections: Iterable[Where], stores: Any) -> None:
    if stores is None or any(store is BROKEN or store.name is BROKEN for store in stores):
        return  # The store that is meant may be one of those that could not be read.
    known = [store.name for store in stores]
    for section in sections:
        name = section.get("store")
        if name is not None and name not in known:
            listed = ", ".join(quote(store) for store in known) or "none"
            section.problem("store", f"no store is named {quote(name)}{nearest(name, known)} (stores: {listed})")


def _check_scopes(sections: Iterable[Where]) -> None:
    first: dict[tuple[str, str], Where] = {}
    for section in sections:
        store, task_type = section.get("store"), section.get("task_type")
        if store is None or task_type is None:
            continue
        before = first.setdefault((store, task_type), section)
        if before is not section:
            scope = f"store {quote(store)} and task type {quote(task_type)}"
            section.problem("store", f"duplicate entry for {scope}; first at {before.place('store')}")


#: Run on each section once it has been read; a section with faults is checked as far as its other keys allow.
CHECKS: Final[dict[type, Check]] = {
    Alertmanager: check_remote,
    Auth: check_auth,
    Config: check_config,
    Connections: check_connections,
    PostgresStore: check_store,
    HttpTrigger: check_remote,
    Profile: check_profile,
    RedisTrigger: check_redis_trigger,
    Remote: check_remote,
    StoreTargets: check_tls_files,
    Target: check_target,
    Vault: check_vault,
    VaultAuth: check_vault_auth,
    VaultCredential: check_vault_credential,
}
