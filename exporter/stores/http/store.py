"""A scheduler's own API as a store: its questions, each as a collector for the poller, and whether it is up.

Belongs here: what is true of every such API. Does not: paths and meanings (``nativelink``, ``chronos``).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from exporter.config.model import ChronosStore, NativelinkStore
from exporter.poller import Collected, Collector
from exporter.snapshot import Hub
from exporter.stores.asked import StoreReads
from exporter.stores.http.around import Around
from exporter.stores.up import tell_up

#: What a collector answers that the API does not tell: nothing, which is shown as nothing.
ABSENT: Final = Collected(value=None)
#: The share of the time for which a question may be on its way: a slow scheduler is asked less often.
MAX_LOAD: Final = 0.1
#: Seconds beyond its requests' own timeouts after which a question is given up.
PATIENCE: Final = 2.0


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the API: the part that its answer makes, and those that it makes beside that (``also``).

    ``requests`` is how many it takes at most, one after the other; it is asked at ``every`` so many intervals.
    """

    name: str
    ask: Callable[[], Awaitable[Collected]]
    requests: int = 1
    every: int = 1
    also: tuple[str, ...] = ()


class Api(Protocol):
    """One kind of API."""

    @property
    def questions(self) -> Sequence[Question]:
        """What is asked again and again."""

    @property
    def lacks(self) -> Sequence[str]:
        """The parts of stores in PostgreSQL that this API never tells anything for."""

    @property
    def reads(self) -> StoreReads:
        """What requests ask."""


class ApiStore:
    """One configured store behind an API. ``collectors`` are for the poller."""

    def __init__(self, config: NativelinkStore | ChronosStore, api: Api, *, hub: Hub, around: Around) -> None:
        self.config = config
        self.reads = api.reads
        self._api = api
        self._hub = hub
        self._around = around
        #: Whether the latest attempt at each question succeeded; None while the first one is on its way.
        self._answered: dict[str, bool | None] = {}

    async def close(self) -> None:
        """Nothing is kept between requests."""

    def collectors(self) -> list[Collector]:
        """The questions. What the API does not tell answers nothing, at no cost."""
        return [*(self._collector(question) for question in self._api.questions), *map(self._nothing, self._api.lacks)]

    def _collector(self, question: Question) -> Collector:
        config = self.config
        # As seldom as the API's users ask, but at least three times before its last answer is too old.
        interval = max(config.interval, min(config.interval * question.every, config.staleness / 3))

        async def collect() -> Collected:
            return await self._asked(question)

        return Collector(
            name=question.name,
            source=config.name,
            collect=collect,
            interval=interval,
            deadline=config.timeout * question.requests + PATIENCE,
            staleness=config.staleness,
            max_load=MAX_LOAD,
            also=question.also,
        )

    def _nothing(self, name: str) -> Collector:
        async def collect() -> Collected:
            return ABSENT

        config = self.config
        return Collector(
            name=name, source=config.name, collect=collect, interval=config.interval, deadline=PATIENCE,
            staleness=config.staleness,
        )  # fmt: skip

    async def _asked(self, question: Question) -> Collected:
        began = time.perf_counter()
        self._answered.setdefault(question.name, None)
        try:
            result = await question.ask()
        except Exception:
            self._answered[question.name] = False
            self._tell_up()
            raise
        finally:
            if question.name == "health":
                self._around.asked_for_health()
        self._answered[question.name] = True
        self._tell_up()
        return replace(result, load_seconds=time.perf_counter() - began)

    def _tell_up(self) -> None:
        """Up is a store that answers anything: one path that fails is a failure of its own."""
        up = any(self._answered.values())
        if not up and None in self._answered.values():
            return
        tell_up(self._hub, self.config, up=up)
