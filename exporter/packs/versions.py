"""Ranges of server versions as postgres_exporter's files write them: ``>=10.0.0 <13.0.0 || 14.x``."""

from __future__ import annotations

import re
from typing import Final

Version = tuple[int, int, int]
_PART: Final = re.compile(r"(>=|<=|==|!=|>|<|=|!)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?")
_ANY: Final = frozenset("xX*")


def version_of(number: int) -> Version:
    """The server's ``server_version_num`` as three numbers: 140005 is 14.5.0, 90603 is 9.6.3."""
    if number >= 100_000:
        return number // 10_000, number % 10_000, 0
    return number // 10_000, number // 100 % 100, number % 100


def matches(wanted: str, version: Version) -> bool:
    """Whether ``version`` lies in the range. Raises ValueError when that is none."""
    # Every part is read, so that a wrong one is told whatever the version.
    found = [_all(group, version) for group in wanted.split("||")]
    return any(all(group) for group in found)


def _all(group: str, version: Version) -> list[bool]:
    found, at = [], 0
    text = group.strip()
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            break
        found.append(_one(match, version))
        at = match.end()
        while at < len(text) and text[at] in " ,":
            at += 1
    if at < len(text) or not found:
        raise ValueError(f"expected a range of versions such as >=10.0.0 <13.0.0 || 14.x; got {group.strip()!r}")
    return found


def _one(match: re.Match[str], version: Version) -> bool:
    operator, *parts = match.groups()
    fixed: list[int] = []
    for part in parts:
        if part is None or part in _ANY:
            break
        fixed.append(int(part))
    wild = any(part in _ANY for part in parts if part is not None)
    if operator in (None, "=", "==", "!", "!=") and wild:
        inside = version[: len(fixed)] == tuple(fixed)
        return not inside if operator in ("!", "!=") else inside
    bound = tuple([*fixed, 0, 0, 0][:3])
    return {
        ">=": version >= bound,
        "<=": version <= bound,
        ">": version > bound,
        "<": version < bound,
        "!": version != bound,
        "!=": version != bound,
    }.get(operator or "=", version == bound)
