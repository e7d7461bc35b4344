"""Who asks, and what that one may do."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec


class Role(IntEnum):
    """What an endpoint asks of a caller; each role may do what the ones before it may."""

    ANYONE = 0
    VIEWER = 1
    ADMIN = 2


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the name of a token or user, or ``anonymous``; ``known`` if a credential proved it."""

    name: str
    role: Role
    known: bool


ANONYMOUS: Final = "anonymous"
