"""``profile check``: every store held against its profile, told to people or, as JSON, to machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from exporter.config.model import Config, PostgresStore
from exporter.config.problems import nearest
from exporter.errors import ConfigError
from exporter.stores.checking.examine import examine
from exporter.stores.checking.render import text
from exporter.stores.checking.report import StoreReport
from exporter.vault.references import Secrets


async def check_stores(
    config: Config,
    names: Sequence[str],
    say: Callable[[str], None],
    *,
    analyze: bool = False,
    as_json: bool = False,
    secrets: Secrets | None = None,
) -> int:
    """Check the stores of these names, all in PostgreSQL when there are none; 0 when none has a fault, else 1.

    Each is told as soon as it is checked; JSON at the end: ``{"ok": ..., "stores": [...]}``. Raises ConfigError for a
    name that no store has, or one that has no profile.
    """
    known = [store.name for store in config.stores]
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(known) or "none"
        raise ConfigError([f"no store is named {name!r}{nearest(name, known)} (stores: {listed})" for name in unknown])
    others = {store.name: store.kind for store in config.stores if not isinstance(store, PostgresStore)}
    if asked := [f"store {name!r} is of kind {others[name]}: it has no profile" for name in names if name in others]:
        raise ConfigError(asked)
    reports: list[StoreReport] = []
    for store in config.stores:
        if not isinstance(store, PostgresStore) or (names and store.name not in names):
            continue
        report = await examine(store, secrets or Secrets(), budget=config.limits.series_per_metric, analyze=analyze)
        if not as_json:
            say(("\n" if reports else "") + text(report))
        reports.append(report)
    ok = all(report.ok for report in reports)
    if as_json:
        shown = [{"ok": report.ok, **msgspec.to_builtins(report)} for report in reports]
        say(msgspec.json.format(msgspec.json.encode({"ok": ok, "stores": shown}), indent=2).decode())
    elif not reports:
        say("no stores in PostgreSQL are configured: nothing to check")
    return 0 if ok else 1
