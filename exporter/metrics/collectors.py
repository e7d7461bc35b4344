"""How collection itself fares: every collector's latest attempt, by source. Reads the whole snapshot.

The checks of connections have a part for each target; a thousand times four series about collecting would be
noise, and each target has its own age and result among the connection metrics. So they are one source here,
``targets``.
"""

from __future__ import annotations

from typing import Final

from exporter.metrics.family import Families, Family, Sample
from exporter.snapshot import Part, Snapshot

#: The collectors whose sources are folded into one.
_FOLDED: Final = {"connections": "targets"}
#: Parts that say something about a store and are not collected by a question of their own.
_NO_QUESTIONS: Final = ("store", "settings")
_LABELS: Final = ("collector", "source")

_SUCCESS = Family(
    "scheduling_exporter_collector_success",
    "gauge",
    "Whether the collector's latest attempt at its source succeeded; source targets: whether the latest check"
    " of every target was carried out, whatever it found.",
    _LABELS,
)
_DURATION = Family(
    "scheduling_exporter_collector_duration_seconds",
    "gauge",
    "How long the collector's latest attempt took; source targets: the longest of the latest checks.",
    _LABELS,
)
_LAST_SUCCESS = Family(
    "scheduling_exporter_collector_last_success_timestamp_seconds",
    "gauge",
    "When the collector last succeeded; source targets: the oldest of the targets' latest checks.",
    _LABELS,
)
_INTERVAL = Family(
    "scheduling_exporter_collector_interval_seconds",
    "gauge",
    "The interval in force now, longer than configured while the load budget asks for it; source targets: the longest.",
    _LABELS,
)


def collect_snapshot(snapshot: Snapshot) -> Families:
    """The four families. The sidecar's own part, source "", is no collection and is left out; so is a collector whose
    entity the store's profile does not map, which succeeds with nothing.
    """
    groups: dict[tuple[str, str], list[Part]] = {}
    for (collector, source), part in snapshot.parts.items():
        if source and collector not in _NO_QUESTIONS and not (part.success and part.value is None):
            groups.setdefault((collector, _FOLDED.get(collector, source)), []).append(part)
    yield _SUCCESS, [(key, float(all(p.success for p in parts))) for key, parts in groups.items()]
    yield _DURATION, [(key, max(p.duration for p in parts)) for key, parts in groups.items()]
    yield _LAST_SUCCESS, _last_success(groups)
    yield _INTERVAL, [(key, max(p.interval for p in parts)) for key, parts in groups.items()]


def _last_success(groups: dict[tuple[str, str], list[Part]]) -> list[Sample]:
    """Absent until there was one."""
    times = {key: [p.collected_at for p in parts if p.collected_at is not None] for key, parts in groups.items()}
    return [(key, min(found)) for key, found in times.items() if found]
