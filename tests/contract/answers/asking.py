"""What an answer says beside what it should: values in one form, and the differences for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from support.exposition import Metrics
from support.sidecar import Sidecar

from contract.truth.model import Between, Run, Told


@dataclass(frozen=True)
class Get:
    """A sidecar asked about one of its stores."""

    sidecar: Sidecar
    store: str

    def __call__(self, path: str) -> Any:
        """The JSON below this path, which has no ``store`` yet; of CSV a dict for each row, None what is empty."""
        at = f"{quote(path, safe='/?&=%')}{'&' if '?' in path else '?'}store={quote(self.store)}"
        answer = self.sidecar.get(at, timeout=30)
        # What is unhealthy is told with its status.
        assert answer.status == 200 or "/health" in path, f"{path}: {answer.status} {answer.text}"
        if not answer.headers["content-type"].startswith("text/csv"):
            return answer.json
        rows = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
        return [{name: text or None for name, text in row.items()} for row in rows]

    def metrics(self) -> Metrics:
        """The page of metrics, about all stores."""
        return self.sidecar.metrics()


#: What the tables say, and what an answer does: compared by ``differing``.
Pair = tuple[Any, Any]
#: Sums and times go through doubles, and are told to the millisecond.
TOLERANCE: Final = 2e-3


def differing(expected: Any, shown: Any, where: str = "") -> Iterator[str]:
    """Lines that say where ``shown`` is not what is expected; null is null and nothing else."""
    if isinstance(expected, Mapping) and isinstance(shown, Mapping):
        for key in sorted({*expected, *shown}, key=str):
            yield from differing(expected.get(key, "nothing"), shown.get(key, "nothing"), f"{where}/{key}")
    elif not _same(expected, shown):
        yield f"{where}: {shown}, the tables say {expected}"


def _same(expected: Any, shown: Any) -> bool:
    if isinstance(expected, Between):
        return isinstance(shown, int | float) and expected.low - TOLERANCE <= shown <= expected.high + TOLERANCE
    if isinstance(expected, float) and isinstance(shown, int | float):
        return abs(expected - shown) <= TOLERANCE
    if isinstance(expected, list) and isinstance(shown, list) and len(expected) == len(shown):
        return all(_same(*pair) for pair in zip(expected, shown, strict=True))
    if isinstance(expected, tuple) and isinstance(shown, tuple) and len(expected) == len(shown):
        return all(_same(*pair) for pair in zip(expected, shown, strict=True))
    return bool(expected == shown)


def moment(text: str | None) -> float | None:
    """Unix seconds of a time in an answer."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def whole(seconds: float | None) -> int | None:
    """A time as families tell it that have no milliseconds."""
    return None if seconds is None else int(seconds)


def share(part: int, of: int) -> str:
    """``"86.96%"``; ``"0.00%"`` of nothing."""
    return f"{int(10_000 * part / of + 0.5) / 100 if of else 0:.2f}%"


def lasting(run: Run) -> float | None:
    """Its duration in seconds."""
    return None if run.began is None else max(0.0, run.ended - run.began)


def summed(runs: list[Run]) -> list[Run]:
    """Those that are in a total: what was cancelled is apart."""
    return [run for run in runs if run.status != "CANCELLED"]


def spans(runs: list[Run], of: Callable[[list[float]], float]) -> Between | None:
    """A figure of durations in milliseconds; what was told for a while only leaves it open."""
    known = [seconds for run in runs if (seconds := lasting(run)) is not None]
    if not known:
        return None
    if any("began" in run.passing for run in runs):
        return Between(low=0, high=1000 * max(known) + 1)  # answers are rounded
    figure = 1000 * of(known)
    return Between(low=figure - 1, high=figure + 1)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def counted(runs: list[Run]) -> dict[str, int]:
    """By status in small letters, also those that no run has."""
    return {s.lower(): sum(run.status == s for run in runs) for s in ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")}


def retried(runs: list[Run]) -> int | None:
    """Runs that were no first attempt; None where the tables do not say."""
    told = [run.retry for run in runs if run.retry is not None]
    return sum(told) if told or not runs else None


def of_job(told: Told, job: str) -> list[Run]:
    """A job's runs, or those of a recurring job, the newest first."""
    found = [run for run in told.runs or () if job in (run.job, run.recurs)]
    return sorted(found, key=lambda run: -run.ended)


def newest_streak(runs: list[Run]) -> int:
    """Failures since the latest success, of runs the newest first."""
    streak = 0
    for run in runs:
        if run.status == "SUCCESS":
            break
        streak += run.failed
    return streak
