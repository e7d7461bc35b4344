"""What needs more than one key: doubles, contradictions, references from one section to another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Final

from exporter.config.addresses import parse_listen_address
from exporter.config.alerting import Alerting, Email, OnCall, Pagerduty, Receiver, Slack, Team, Webhook
from exporter.config.alerting_checks import (
    check_alerting,
    check_email,
    check_on_call,
    check_pagerduty,
    check_receiver,
    check_slack,
    check_team,
    check_webhook,
)
from exporter.config.convert import Check
from exporter.config.dependency_checks import check_kafka, check_redis, check_smtp, check_tcp
from exporter.config.dsn import parse_dsn
from exporter.config.durations import format_duration
from exporter.config.http_stores import check_tls
from exporter.config.model import (
    MESSAGE_FIELDS,
    Alertmanager,
    Auth,
    ChronosStore,
    Config,
    Connections,
    HttpDependency,
    HttpTrigger,
    KafkaDependency,
    NativelinkStore,
    PostgresDependency,
    PostgresStore,
    Profile,
    RedisDependency,
    RedisTrigger,
    Remote,
    Sentry,
    SmtpDependency,
    StoreTargets,
    Target,
    TcpDependency,
    Tracing,
    Vault,
    VaultAuth,
    VaultCredential,
)
from exporter.config.places import DEFAULT_PORT, parse_hosts, places
from exporter.config.problems import BROKEN, Where, nearest, quote
from exporter.config.remediation import HttpRemedy, check_remediation
from exporter.config.telemetry_checks import check_sentry, check_tracing
from exporter.config.vault_checks import check_origin, check_vault, check_vault_auth, check_vault_credential


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


def check_http_store(store: Where) -> None:
    """Intervals, one way to log in, TLS that is used."""
    check_intervals(store)
    check_remote(store)
    check_tls(store)


def check_profile(profile: Where) -> None:
    """Something to read, and a cursor that fits."""
    has = {name: getattr(profile.value, name) is not None for name in ("jobs", "executions", "cursor")}
    if not has["jobs"] and not has["executions"]:
        profile.problem("jobs", "expected jobs or executions; a profile without both reads nothing")
    if has["executions"] and not has["cursor"]:
        profile.problem("cursor", "required with executions: the column that orders finished executions")
    if has["executions"] and profile.get("history") == "none":
        profile.problem("history", "expected final or per_attempt: executions read what is kept")
    cursor = profile.get("cursor")
    if cursor is None or BROKEN in (cursor.kind, cursor.position, cursor.seek, cursor.unfinished):
        return
    if cursor.kind == "id" and cursor.position is None:
        profile.problem("cursor", "required with kind id: the SELECT of the greatest id", "position")
    if cursor.kind != "id" and cursor.position is not None:
        profile.problem("cursor", f"only a cursor of kind id has a position; this one is {cursor.kind}", "position")
    if cursor.kind != "id" and cursor.unfinished is not None:
        text = f"only a cursor of kind id looks for what is unfinished; this one is {cursor.kind}"
        profile.problem("cursor", text, "unfinished")


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
    dependencies = config.items("dependencies")
    if config.get("stores") == () and not _has_targets(config):
        config.problem("stores", "expected at least one store, or one target in connections.targets")
    check_unique(stores, "name")
    check_unique(targets, "name")
    check_unique(targets, "id")
    check_unique(dependencies, "name")
    check_unique(config.items("alerting", "remediation", "rules"), "name")
    check_remediation(config)
    for dependency in dependencies:
        check_intervals(dependency)
    servers = [s for s in (*stores, *dependencies) if isinstance(s.value, PostgresStore | PostgresDependency)]
    _check_vault_is_there(config, [*targets, *servers])
    _check_addresses(config)
    _check_packs(config)
    objectives, overrides = config.items("slo"), config.items("alerting", "overrides")
    for entries in (overrides, objectives):
        _check_store_names(entries, config.get("stores"))
        _check_scopes(entries)


def _check_packs(config: Where) -> None:
    """Stores that exist, and some store to ask; what is in the packs is checked by ``exporter.packs``."""
    stores = config.get("stores")
    if stores is None or any(store is BROKEN or store.name is BROKEN for store in stores):
        return
    known = [store.name for store in stores if isinstance(store, PostgresStore)]
    if config.get("packs") and not known:
        config.problem("packs", "needs a PostgreSQL store: packs are asked of those")
    for pack in config.items("packs"):
        for index, name in enumerate(() if isinstance(pack.value, str) else pack.get("stores") or ()):
            if name is not BROKEN and name not in known:
                listed = ", ".join(quote(store) for store in known) or "none"
                text = f"no PostgreSQL store is named {quote(name)}{nearest(name, known)} (stores: {listed})"
                pack.problem("stores", text, index)


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
    Alerting: check_alerting,
    Alertmanager: check_remote,
    Auth: check_auth,
    ChronosStore: check_http_store,
    Config: check_config,
    Connections: check_connections,
    Email: check_email,
    PostgresStore: check_store,
    HttpDependency: check_remote,
    HttpRemedy: check_remote,
    HttpTrigger: check_remote,
    KafkaDependency: check_kafka,
    NativelinkStore: check_http_store,
    OnCall: check_on_call,
    Pagerduty: check_pagerduty,
    PostgresDependency: check_target,
    Profile: check_profile,
    Receiver: check_receiver,
    RedisDependency: check_redis,
    RedisTrigger: check_redis_trigger,
    Remote: check_remote,
    Slack: check_slack,
    Sentry: check_sentry,
    SmtpDependency: check_smtp,
    StoreTargets: check_tls_files,
    Target: check_target,
    TcpDependency: check_tcp,
    Team: check_team,
    Tracing: check_tracing,
    Vault: check_vault,
    VaultAuth: check_vault_auth,
    VaultCredential: check_vault_credential,
    Webhook: check_webhook,
}
