"""What of a query's answer cannot be shown: said once when it begins, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger(component="packs")

#: Complaints of one query that are told apart.
MOST: Final = 20


class Complaints:
    """The complaints about one query of one store. ``lasting``: what is left out once is never made up for.

    ``said`` takes them in place of the log.
    """

    def __init__(
        self, store: str, place: str, query: str, *, lasting: bool = False, said: Callable[[str], None] | None = None
    ) -> None:
        self._store, self._place, self._query = store, place, query
        self._lasting = lasting
        self._said = said
        self._known: frozenset[str] = frozenset()
        self._new: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Something that is left out of this answer."""
        if len(self._new) < MOST:
            self._new[text] = None

    def tell(self) -> None:
        """This answer is whole: say what is new, and that all is well again."""
        found = frozenset(self._new) | (self._known if self._lasting else frozenset())
        for text in self._new:
            if self._said is not None:
                self._said(text)
            elif text not in self._known:
                log.warning("values of a pack are left out", store=self._store, place=self._place, query=self._query,
                            reason=text)  # fmt: skip
        if self._known and not found and self._said is None:
            log.info("all values of the query are shown again", store=self._store, place=self._place, query=self._query)
        self._known, self._new = found, {}
