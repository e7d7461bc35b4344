"""Lists a page at a time: what is worst comes first, and the rest is a click away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, overload
from urllib.parse import urlencode

import msgspec

T = TypeVar("T")
U = TypeVar("U")

#: Digits of a page's number that are read at all.
_DIGITS = 6


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list: ``rows`` of ``total``; ``before`` and ``after`` are the queries of the pages beside it."""

    rows: tuple[T, ...]
    first: int
    total: int
    before: str | None
    after: str | None

    @property
    def last(self) -> int:
        """The number of the last row, counted from 1; 0 of an empty list."""
        return self.first + len(self.rows) - 1

    @property
    def whole(self) -> bool:
        """Whether these are all rows."""
        return len(self.rows) == self.total

    def each(self, make: Callable[[T], U]) -> Listed[U]:
        """The same page of what is made of its rows."""
        return Listed(tuple(map(make, self.rows)), self.first, self.total, self.before, self.after)

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        return bool(self.total)


class Made(Sequence[T]):
    """A sorted list whose rows are made when they are asked for: of a thousand, fifteen are shown.

    A row for each would be looked through by the garbage collector, which is slower than making them. ``keys`` has what
    each row is sorted by, ``make`` gives the row of a place in it.
    """

    def __init__(self, keys: Sequence[float], make: Callable[[int], T]) -> None:
        self._order = sorted(range(len(keys)), key=keys.__getitem__)
        self._make = make

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._make(place) for place in self._order[index]]
        return self._make(self._order[index])


class Pager:
    """Which page of which list a query asks for: ``?connections=3&workers=2``. What is no number is the first page."""

    def __init__(self, query: Mapping[str, str], names: Iterable[str]) -> None:
        self._asked = {name: _number(query.get(name, "")) for name in names}

    def page(self, name: str, rows: Sequence[T], size: int) -> Listed[T]:
        """The page of ``rows`` that is asked for; the last one where there are not so many."""
        last = max(1, -(-len(rows) // size))
        number = min(self._asked[name], last)
        start = (number - 1) * size
        return Listed(
            rows=tuple(rows[start : start + size]),
            first=start + 1 if rows else 0,
            total=len(rows),
            before=self._query(name, number - 1) if number > 1 else None,
            after=self._query(name, number + 1) if number < last else None,
        )

    @property
    def query(self) -> str:
        """What was asked, as a query that leads back here; empty for the first page of everything."""
        return urlencode({name: number for name, number in self._asked.items() if number > 1})

    def _query(self, name: str, number: int) -> str:
        wanted = {**self._asked, name: number}
        return "?" + urlencode({name: number for name, number in wanted.items() if number > 1})


def _number(text: str) -> int:
    # isdecimal() is true of other scripts' digits too, which int() reads as well.
    return max(1, int(text)) if text.isdecimal() and len(text) <= _DIGITS else 1
