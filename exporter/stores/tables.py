"""Whether a store's tables are still those that its profile was opened for: schedulers are upgraded while watched.

A migration may add what another variant of the profile needs, change a column's type, take away or rename what is
read. So the profile is held against the catalog again now and then, and soon after the server has refused a statement.
"""

from __future__ import annotations

import time
from typing import Final

import psycopg
import structlog
from msgspec.structs import replace

from exporter.config.model import PostgresStore
from exporter.errors import ProfileError, StoreError
from exporter.stores import catalog, recognition
from exporter.stores.queries import Wrapped
from exporter.stores.session import Transaction

log = structlog.get_logger(component="store")

#: Seconds between two looks; between two looks that refused statements ask for.
LOOK_SECONDS: Final = 60.0
SUSPECT_SECONDS: Final = 5.0


class Tables:
    """One store's tables against its profile."""

    def __init__(self, config: PostgresStore) -> None:
        self._config = config
        self._looked = time.monotonic()
        self._suspected = False
        self._misfit: str | None = None

    def suspect(self, error: StoreError) -> None:
        """A statement was refused: for a table, a column, a function that is not there, or of another type?"""
        if isinstance(error.__cause__, psycopg.errors.SyntaxErrorOrAccessRuleViolation):
            self._suspected = True

    def due(self) -> bool:
        """Whether it is time to look. True once: whoever asks has to look."""
        waited = time.monotonic() - self._looked
        if waited < (SUSPECT_SECONDS if self._suspected else LOOK_SECONDS):
            return False
        self._looked, self._suspected = time.monotonic(), False
        return True

    async def look(self, transaction: Transaction, wrapped: Wrapped) -> Wrapped | None:
        """The profile as the tables are now, where that is another; None where nothing has changed, or nothing fits.

        What does not fit is told, and the old form goes on: each question for itself, as far as it is answered.
        """
        store, known = self._config, wrapped.profile
        if store.profile == "auto":  # recognised once: what else comes into the database changes nothing
            store = replace(store, profile=known.name, parameters=dict(known.parameters))
        try:
            found = await recognition.resolve(transaction, store)
            now = await catalog.wrap(transaction, found.profile)
        except ProfileError as e:
            if str(e) != self._misfit:
                log.warning("the store's tables no longer fit its profile", store=store.name, reason=str(e))
            self._misfit = str(e)
            return None
        if self._misfit is not None:
            log.info("the store's tables fit its profile again", store=store.name)
            self._misfit = None
        if now == wrapped:
            return None
        log.warning(
            "the store's tables have changed: its profile is opened anew",
            store=store.name,
            profile=known.name,
            variant=found.variant,
            reason=f"others are {'; '.join(_changed(wrapped, now))}",
        )
        return now


def _changed(before: Wrapped, now: Wrapped) -> list[str]:
    """The SELECTs that are others, or whose columns are, in words."""
    told = []
    for entity in sorted({*before.columns, *now.columns}):
        old, new = before.columns.get(entity, {}), now.columns.get(entity, {})
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if names:
            told.append(f"{entity} ({', '.join(names)})")
        elif getattr(before.profile, entity) != getattr(now.profile, entity):
            told.append(entity)
    return told
