"""What can go wrong with Vault, told apart: the kinds that errors and the metric of requests have.

Belongs here: the exception and what its kinds mean. Does not: reading hvac's exceptions (``transport``).
"""

from __future__ import annotations

from pathlib import PurePath
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


def unexpected(fault: Exception) -> VaultError:
    """A fault of ours or of hvac's, for those who wait. Without its text, which may quote what it choked on."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return VaultError("error", f"what Vault answered was not understood: {type(fault).__name__}{place}")


class VaultError(CredentialsError):
    """A question to Vault that was not answered. The text is safe to show: it holds no secret."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind

    @property
    def away(self) -> bool:
        """Whether Vault as a whole cannot be asked now."""
        return self.kind in AWAY

    def about(self, subject: str) -> VaultError:
        """The same, saying what the question was about, unless that makes no difference."""
        return self if self.away or not subject else VaultError(self.kind, f"{subject}: {self}")

    def again(self) -> VaultError:
        """The same for another who waits: one exception raised twice would collect both tracebacks."""
        return VaultError(self.kind, str(self))
