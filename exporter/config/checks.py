"""What needs more than one key: doubles, contradictions, references from one section to another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from exporter.config.addresses import parse_listen_address
from exporter.config.convert import Check
from exporter.config.dsn import parse_dsn
from exporter.config.durations import format_duration
from exporter.config.model import Config, Connections, PostgresStore, Profile, Target, Web
from exporter.config.problems import BROKEN, Where, nearest, quote


def check_web(web: Where) -> None:
    """No address twice; port 0 is a new port each time."""
    seen = set()
    for index, text in enumerate(web.get("listen_address") or ()):
        if text is BROKEN:
            continue
        address = parse_listen_address(text)
        if address in seen and address[1]:
            web.problem("listen_address", f"duplicate address {quote(text)}", index)
        seen.add(address)


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
    if dsn and store.get("password") is not None and parse_dsn(dsn).get("password"):
        store.problem("password", "the password is in dsn too; keep one of the two")


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
    """TLS files that go together."""
    cert, key = target.value.sslcert, target.value.sslkey
    if cert is not None and key is None:
        target.problem("sslkey", "required with sslcert")
    if key is not None and cert is None:
        target.problem("sslcert", "required with sslkey")
    if target.get("sslmode") == "disable":
        for name in ("sslrootcert", "sslcert", "sslkey"):
            if target.get(name) is not None:
                target.problem(name, "never used with sslmode disable")


def check_config(config: Where) -> None:
    """What one section says about another."""
    stores, targets = config.items("stores"), config.items("connections", "targets")
    if config.get("stores") == () and not _has_targets(config):
        config.problem("stores", "expected at least one store, or one target in connections.targets")
    check_unique(stores, "name")
    check_unique(targets, "name")
    check_unique(targets, "id")
    objectives, overrides = config.items("slo"), config.items("alerting", "overrides")
    for entries in (overrides, objectives):
        _check_store_names(entries, config.get("stores"))
        _check_scopes(entries)


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
    Config: check_config,
    Connections: check_intervals,
    PostgresStore: check_store,
    Profile: check_profile,
    Target: check_target,
    Web: check_web,
}
