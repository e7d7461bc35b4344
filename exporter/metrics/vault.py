"""Vault: whether it answers, when the token and the leases end, what it was asked. Reads the part ``vault``."""

from __future__ import annotations

from typing import Final, cast

from exporter.metrics.family import Families, Family, View
from exporter.vault import COLLECTOR, VaultState

SCOPE: Final = "process"
INPUTS: Final = (COLLECTOR,)

UP: Final = Family(
    "scheduling_vault_up",
    "gauge",
    "Whether Vault answers, is unsealed and takes the exporter's login; asked every 15 s if nothing else is.",
)
TOKEN_EXPIRY: Final = Family(
    "scheduling_vault_token_expiry_timestamp_seconds",
    "gauge",
    "When the exporter's token ends unless it is renewed; absent for one that does not end.",
)
REQUESTS: Final = Family(
    "scheduling_vault_requests_total",
    "counter",
    "Requests to Vault by operation; result is success or what kind of failure it was.",
    ("operation", "result"),
)
LEASE_EXPIRY: Final = Family(
    "scheduling_vault_lease_expiry_timestamp_seconds",
    "gauge",
    "When the lease of the credentials that the target is checked with ends unless it is renewed.",
    ("connection",),
)


def collect(view: View) -> Families:
    """The counter outlives the part's staleness, the gauges do not. Nothing where no Vault is configured."""
    part = view.parts.get(COLLECTOR)
    if part is None:
        return
    state = cast(VaultState, part.value)
    yield REQUESTS, [(key, count) for key, count in sorted(state.requests.items())]
    if view.fresh(COLLECTOR) is None:
        return
    if state.up is not None:
        yield UP, [((), float(state.up))]
    if state.token_expiry is not None:
        yield TOKEN_EXPIRY, [((), state.token_expiry)]
    yield LEASE_EXPIRY, [((name,), ends) for name, ends in state.leases.items()]
