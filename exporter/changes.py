"""What a reload compares: what cannot change while running, and what has to begin anew when it did."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from exporter.config.dsn import parse_dsn
from exporter.config.model import AnyStore, Config, PostgresStore
from exporter.errors import ConfigError

T = TypeVar("T")


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


async def before_the_end(work: Coroutine[Any, Any, T], end: asyncio.Event) -> T:
    """What ``work`` returns or raises. It is given up, with a ConfigError, when the process is told to ``end``."""
    done, ended = asyncio.ensure_future(work), asyncio.ensure_future(end.wait())
    try:
        await asyncio.wait([done, ended], return_when=asyncio.FIRST_COMPLETED)
        if not end.is_set():
            return done.result()
    finally:
        for task in (done, ended):
            task.cancel()
        await asyncio.wait([done, ended])
    raise ConfigError(["nothing was reloaded: the exporter is ending"])
