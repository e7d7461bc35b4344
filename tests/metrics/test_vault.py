"""The metrics of Vault: what is unknown is absent, counters outlive what is too old to be shown."""

from __future__ import annotations

import time

from exporter.metrics import vault
from exporter.metrics.family import View
from exporter.snapshot import Part
from exporter.vault import COLLECTOR, VaultState


def view(state: VaultState | None, *, stale: bool = False) -> View:
    """What the collector sees."""
    if state is None:
        return View("", {}, frozenset())
    part = Part(
        collector=COLLECTOR, source="", value=state, success=True, collected_at=time.time(),
        collected_mono=time.monotonic(), duration=0.0, interval=1.0, staleness=60.0,
    )  # fmt: skip
    return View("", {COLLECTOR: part}, frozenset({COLLECTOR} if stale else ()))


def shown(state: VaultState | None, *, stale: bool = False) -> dict[str, dict[tuple[str, ...], object]]:
    return {family.name: dict(samples) for family, samples in vault.collect(view(state, stale=stale)) if samples}


STATE = VaultState(
    up=True,
    token_expiry=2000.0,
    requests={("read", "success"): 3, ("login", "denied"): 1},
    leases={"a": 1000.0, "b": 1000.0},
)


def test_everything() -> None:
    assert shown(STATE) == {
        "scheduling_vault_up": {(): 1.0},
        "scheduling_vault_token_expiry_timestamp_seconds": {(): 2000.0},
        "scheduling_vault_requests_total": {("read", "success"): 3, ("login", "denied"): 1},
        "scheduling_vault_lease_expiry_timestamp_seconds": {("a",): 1000.0, ("b",): 1000.0},
    }


def test_nothing_is_shown_without_vault_and_little_before_it_is_known() -> None:
    assert shown(None) == {}
    assert shown(VaultState()) == {}
    assert shown(VaultState(up=False)) == {"scheduling_vault_up": {(): 0.0}}


def test_only_the_counter_outlives_the_part() -> None:
    assert shown(STATE, stale=True).keys() == {"scheduling_vault_requests_total"}
