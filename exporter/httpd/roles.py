"""Who asks, and what that one may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Role(IntEnum):
    """What an endpoint asks of a caller; each role may do what the ones before it may."""

    ANYONE = 0
    VIEWER = 1
    ADMIN = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of a token or user, or ``anonymous``; ``known`` if a credential proved it."""

    name: str
    role: Role
    known: bool


ANONYMOUS: Final = "anonymous"
