"""Whether a store can be asked. Reads the part ``store``, a bool that the store's adapter publishes."""

from __future__ import annotations

from exporter.metrics.family import Families, Family, View

SCOPE = "store"
INPUTS = ("store",)

_UP = Family(
    "scheduling_store_up",
    "gauge",
    "Whether the store answered when it was last asked; 0 also before a first answer and when it is too old.",
    ("store",),
)


def collect(view: View) -> Families:
    """1 only for a fresh, successful True. Unlike other gauges it says 0 for unknown: alerts lean on it."""
    part = view.parts.get("store")
    up = part is not None and part.success and view.fresh("store") is True
    yield _UP, [((view.source,), float(up))]
