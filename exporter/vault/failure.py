"""What can go wrong with Vault, told apart: the kinds that errors and the metric of requests have.

Belongs here: the exception and what its kinds mean. Does not: reading hvac's exceptions (``transport``).
"""

from __future__ import annotations

from typing import Final, Literal

from exporter.credentials import CredentialsError

Kind = Literal[
    "unreachable",
    "timeout",
    "tls",
    "sealed",
    "standby",
    "unavailable",
    "rate_limited",
    "denied",
    "token_expired",
    "not_found",
    "invalid",
    "error",
]

#: Vault as a whole cannot be asked now, whatever the question: nobody else need try.
AWAY: Final[frozenset[Kind]] = frozenset(
    {"unreachable", "timeout", "tls", "sealed", "standby", "unavailable", "rate_limited"}
)


class VaultError(CredentialsError):
    """A question to Vault that was not answered. The text is safe to show: it holds no secret."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind

    @property
    def away(self) -> bool:
        """Whether Vault as a whole cannot be asked now."""
        return self.kind in AWAY

    def again(self) -> VaultError:
        """The same for another who waits: one exception raised twice would collect both tracebacks."""
        return VaultError(self.kind, str(self))
