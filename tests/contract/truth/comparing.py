"""What a page of metrics says of a store, beside what it should: the differences, family by family, for people."""

from __future__ import annotations

from typing import Final

from support.exposition import Metrics

from contract.truth.families import FAMILIES, Labels, Series, Value
from contract.truth.model import PERHAPS, Between, Told

#: Times and sums go through doubles on their way; ours and PostgreSQL's additions differ in the last digits.
TOLERANCE: Final = 1e-3


def shown(page: Metrics, store: str, family: str) -> dict[Labels, float]:
    """A family's series of one store by its labels; a histogram's by part and bound besides."""
    labels, _ = FAMILIES[family]
    parts = {family: ()} if family not in page.types or page.types[family] != "histogram" else {
        f"{family}_{part}": (part,) for part in ("bucket", "sum", "count")
    }  # fmt: skip
    found: dict[Labels, float] = {}
    for name, part in parts.items():
        for series, value in page.series(name, store=store).items():
            named = dict(series)
            bound = (_bound(named.pop("le", "")),) if part else ()
            assert named.keys() == {"store", *labels}, f"labels of {family}: {named}"
            found[(*(named[label] for label in labels), *part, *bound)] = value
    return found


def _bound(text: str) -> str:
    return text if text in ("", "+Inf") else f"{float(text):.1f}"


def _agree(expected: Value, value: float) -> bool:
    if isinstance(expected, Between):
        return expected.low - TOLERANCE <= value <= expected.high + TOLERANCE
    return abs(expected - value) <= TOLERANCE


def _optional(expected: Value) -> bool:
    """Whether the series may be missing: nothing is certain to be in it."""
    return expected is PERHAPS or (isinstance(expected, Between) and expected.high > 0 >= expected.low)


def difference(page: Metrics, store: str, family: str, expected: Series | None) -> list[str]:
    """Lines that say where the page is wrong."""
    found = shown(page, store, family)
    if expected is None:
        return [f"{labels}: {value}, but nobody can know" for labels, value in found.items()]

    def line(labels: Labels) -> str | None:
        want, value = expected.get(labels), found.get(labels)
        if want is None:
            return f"{labels}: {value}, but the tables have no such thing"
        if value is None:
            return None if _optional(want) else f"{labels}: missing, the tables say {want}"
        return None if _agree(want, value) else f"{labels}: {value}, the tables say {want}"

    return [text for labels in sorted({*expected, *found}) if (text := line(labels)) is not None]


def differences(page: Metrics, store: str, told: Told) -> dict[str, list[str]]:
    """Those of every family."""
    return {family: difference(page, store, family, work_out(told)) for family, (_, work_out) in FAMILIES.items()}
