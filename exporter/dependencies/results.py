"""What a check of a dependency says, and counters that go on where a server's own begin again.

Times are Unix seconds, durations seconds. None means unknown, and is never shown as a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from exporter.connections import Result as ConnectionResult
from exporter.errors import ExporterError

#: The part that is published for each dependency; its source is the dependency's name.
COLLECTOR: Final = "dependencies"

#: ``answer``: something answers, but not what it should.
Result = ConnectionResult | Literal["answer"]
#: A counter: its name, then what tells it from others of that name.
Count = tuple[str, ...]

OPERATIONS: Final = "redis operations"
HITS: Final = "redis keyspace hits"
MISSES: Final = "redis keyspace misses"
#: With the topic; with the group and the topic.
PRODUCED: Final = "kafka messages produced"
CONSUMED: Final = "kafka messages consumed"


class CheckFailed(ExporterError):
    """A check did not reach its end. The text is safe to show: it holds no secret."""

    def __init__(self, result: Result, message: str) -> None:
        super().__init__(message)
        self.result = result


class DependencyState(msgspec.Struct, frozen=True, kw_only=True):
    """The part of one dependency. ``result`` is None before the first check; ``message`` says why the last one failed.

    ``response`` is how long the last check took, ``counts`` what has been counted since the first sight of each.
    """

    name: str
    kind: str
    required: bool
    result: Result | None = None
    message: str | None = None
    response: float | None = None
    last_check: float | None = None
    last_success: float | None = None
    counts: Mapping[Count, int] = msgspec.field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        """Whether the last check reached its end."""
        return self.result == "ok"

    def after(self, failure: CheckFailed | None, *, response: float, at: float) -> DependencyState:
        """The state once a check has ended."""
        return replace(
            self,
            result="ok" if failure is None else failure.result,
            message=None if failure is None else str(failure),
            response=response,
            last_check=at,
            last_success=at if failure is None else self.last_success,
        )


class Tally:
    """Adds up what others' counters gain. History is left out: it would look like an increase."""

    def __init__(self) -> None:
        self._totals: dict[Count, int] = {}
        self._seen: dict[tuple[Count, int], int] = {}

    @property
    def totals(self) -> Mapping[Count, int]:
        """The counters as they are now; a copy."""
        return dict(self._totals)

    def seen(self, count: Count, value: int, *, part: int = 0, first: int | None = None, anew: bool = False) -> None:
        """Another's counter stands at ``value``, or a ``part`` of several that are added up does.

        ``first`` is where it stood before it was seen for the first time, if that is known. A value below the last one,
        or ``anew``, means that it began at 0 again since; what it had gained just before is lost.
        """
        before = self._seen.get((count, part), value if first is None else first)
        gained = value if anew or value < before else value - before
        self._totals[count] = self._totals.get(count, 0) + gained
        self._seen[count, part] = value

    def moved(self, count: Count, value: int, *, part: int = 0) -> None:
        """As ``seen`` for a position that may be set back on purpose, which is no gain and no beginning.

        Where it stood before its first sight nobody knows: a group may begin at either end of what is there.
        """
        before = self._seen.get((count, part), value)
        self._totals[count] = self._totals.get(count, 0) + max(0, value - before)
        self._seen[count, part] = value

    def nothing(self, count: Count) -> None:
        """Something is counted that has no position yet."""
        self._totals.setdefault(count, 0)
