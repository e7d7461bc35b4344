"""What is published of Vault, and the count of what it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from exporter.vault.failure import Kind

#: The part that is published: the process's own.
COLLECTOR: Final = "vault"
SOURCE: Final = ""

#: What Vault is asked for, as the metric of requests names it.
Operation = Literal[
    "login",
    "unwrap",
    "lookup_token",
    "renew_token",
    "revoke_token",
    "read",
    "credentials",
    "renew_lease",
    "revoke_lease",
    "health",
]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
RESULTS: Final = ("success", *get_args(Kind))


class VaultState(msgspec.Struct, frozen=True, kw_only=True):
    """How Vault fares. Times are Unix seconds; ``up`` is None before it is known.

    ``requests`` counts by (operation, result); ``leases`` has the end of the lease that each connection uses.
    """

    up: bool | None = None
    token_expiry: float | None = None
    requests: Mapping[tuple[str, str], int] = msgspec.field(default_factory=dict)
    leases: Mapping[str, float] = msgspec.field(default_factory=dict)


class Requests:
    """Counts requests; shared by all sessions of a process, so that a reload is no reset."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, operation: Operation, result: str) -> None:
        """One request. ``result`` is "success" or the kind of its failure."""
        self._counts[operation, "success"] += 0  # known with the operation, and never absent beside a failure
        self._counts[operation, result] += 1

    def snapshot(self) -> dict[tuple[str, str], int]:
        """The counts now."""
        return dict(self._counts)
