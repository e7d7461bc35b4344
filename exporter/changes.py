"""What a reload compares: what cannot change while running, and what has to begin anew when it did."""

from __future__ import annotations

from exporter.config.dsn import parse_dsn
from exporter.config.model import AnyStore, Config, PostgresStore
from exporter.errors import ConfigError


def address(store: AnyStore) -> dict[str, object]:
    """Where a store is. When that changes, nothing of what was there may be shown as what is here."""
    if not isinstance(store, PostgresStore):
        return {"kind": store.kind, "url": store.url}
    parameters = parse_dsn(store.dsn)
    return {name: parameters.get(name) for name in ("service", "host", "hostaddr", "port", "dbname")}


def opened_with(config: Config) -> tuple[object, ...]:
    """What a store is opened with beside its own section."""
    return config.limits, config.retention, config.connections.from_stores, config.connections.write_status


def refuse_fixed(before: Config, after: Config) -> None:
    """What is bound at start cannot change with a reload."""
    fixed = {
        "web": (before.web, after.web),
        "api.listen_address": (before.api.addresses, after.api.addresses),
        "state.path": (before.state, after.state),
        "tracing": (before.tracing, after.tracing),
        "sentry": (before.sentry, after.sentry),
    }
    problems = [f"{key}: cannot change while running; restart to apply it" for key, (a, b) in fixed.items() if a != b]
    if problems:
        raise ConfigError(problems)
