"""Encoded answers that are kept until what they are made of is another; so many of them and no more."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final

import msgspec

#: Answers kept for one endpoint: parameters are the client's to choose.
MOST: Final = 128


class KeptAnswers:
    """As :class:`asking.Kept`, for answers that have to be waited for: equal requests at once wait for one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[tuple[object, ...], asyncio.Future[bytes]]] = OrderedDict()

    async def get(self, key: Hashable, made_of: tuple[object, ...], build: Callable[[], Awaitable[Any]]) -> bytes:
        """The bytes for ``key``; ``build`` is called when one of ``made_of`` is another object than the last time."""
        kept = self._kept.get(key)
        if kept is None or any(a is not b for a, b in zip(kept[0], made_of, strict=True)) or _failed(kept[1]):
            kept = self._kept[key] = (made_of, asyncio.ensure_future(_encoded(build)))
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return await asyncio.shield(kept[1])


def _failed(answer: asyncio.Future[bytes]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


async def _encoded(build: Callable[[], Awaitable[Any]]) -> bytes:
    return msgspec.json.encode(await build())
