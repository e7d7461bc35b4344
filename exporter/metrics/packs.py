"""Packs: what their queries told. One view, one query of one store; its part is the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from exporter.metrics import executions
from exporter.metrics.family import Families, Family, Sample, View
from exporter.packs.answer import PackAnswer, Shown
from exporter.snapshot import SEPARATOR

if TYPE_CHECKING:
    from exporter.packs.model import Metric

SCOPE: Final = "pack"
#: A source names its part: which queries there are is the configuration's.
INPUTS: Final[tuple[str, ...]] = ()

CURSOR: Final = Family(
    "scheduling_exporter_pack_cursor_timestamp_seconds",
    "gauge",
    "Up to when the rows of a pack's query have been counted, on the store's clock.",
    ("store", "pack", "query"),
)
EXACT: Final = Family(
    "scheduling_exporter_pack_counting_exact",
    "gauge",
    "1 when nothing stands against counting each row of a pack's query exactly once; the log says what does.",
    ("store", "pack", "query"),
)


def collect(view: View) -> Families:
    """Counts of our own also from a stale part: what was counted stays counted. Everything else only while fresh."""
    collector, _, store = view.source.partition(SEPARATOR)
    part = view.parts.get(collector)
    if part is None:
        return
    answer = cast(PackAnswer, part.value)
    fresh = collector not in view.stale
    for shown in answer.shown:
        if fresh or shown.kept:
            yield family_of(shown, kept=shown.kept), _samples(store, shown)
    if not fresh:
        return
    yield executions.DROPPED, [((store, shown.name), shown.dropped) for shown in answer.shown]
    place = (store, answer.pack, answer.query)
    if answer.cursor_time is not None:
        yield CURSOR, [(place, answer.cursor_time)]
    if answer.exact is not None:
        yield EXACT, [(place, float(answer.exact))]


def family_of(shown: Shown | Metric, *, kept: bool) -> Family:
    """A pack's metric as a family. ``kept``: it is counted by us."""
    return Family(
        shown.name,
        shown.kind,
        shown.help,
        ("store", *shown.labels),
        buckets=shown.buckets,
        persistent=kept,
        foreign=not kept,
    )


def _samples(store: str, shown: Shown) -> list[Sample]:
    return [((store, *labels), value) for labels, value in shown.samples]
