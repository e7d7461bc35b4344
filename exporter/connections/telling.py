"""What a check found, for people at a terminal and for programs. Pure.

Belongs here: the words and shapes of ``targets check``. Does not: checking, printing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any, Final

import msgspec

from exporter.config.model import Target
from exporter.config.places import places
from exporter.connections.results import STAGES, CheckResult

_DAY: Final = 86_400
_WORD: Final = 10
#: Where results begin, and the least room that a reason is given.
_RESULT: Final = 2 + _WORD + 8 + 2
_NARROWEST: Final = 30


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A target, what its one check gave, and the store that lists it with its id there (None: the configuration)."""

    target: Target
    result: CheckResult
    store: str | None = None
    row: int | str | None = None


class Style:
    """Colours for a terminal, or none; lines of ``width`` characters, or as long as they come (None)."""

    def __init__(self, *, colours: bool, width: int | None = None) -> None:
        self._colours = colours
        self._width = width

    def wrapped(self, text: str, indent: int) -> str:
        """``text`` behind what takes ``indent`` characters, on lines that go on below its beginning."""
        if self._width is None:
            return text
        room = max(_NARROWEST, self._width - indent)
        return ("\n" + " " * indent).join(wrap(text, room, break_on_hyphens=False, break_long_words=False))

    def good(self, text: str) -> str:
        """Green."""
        return self._coloured(text, "32")

    def bad(self, text: str) -> str:
        """Red."""
        return self._coloured(text, "1;31")

    def faint(self, text: str) -> str:
        """Grey."""
        return self._coloured(text, "2")

    def strong(self, text: str) -> str:
        """Bold."""
        return self._coloured(text, "1")

    def _coloured(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours and text else text


def text(checked: Checked, style: Style, now: float | None = None) -> str:
    """A block of lines: the target, a line for each stage that was reached, what the server says of itself."""
    target, result = checked.target, checked.result
    origin = f"  (store {checked.store}, id {checked.row})" if checked.store is not None else ""
    lines = [f"{style.strong(target.name)}  {style.faint(_address(target) + origin)}"]
    lines.append(style.faint(f"  {'stage':<{_WORD}}{'seconds':>8}  result"))
    for stage in STAGES:
        if (seconds := result.stages.get(stage)) is not None:
            said = style.good("ok") if stage != result.failed_stage else _failure(result, style)
            lines.append(f"  {stage:<{_WORD}}{seconds:>8.3f}  {said}")
    if not result.is_healthy and result.failed_stage not in result.stages:
        lines.append(f"  {result.failed_stage or '':<{_WORD}}{'':>8}  {_failure(result, style)}")
    said = style.good("ok") if result.is_healthy else style.bad("FAILED")
    facts = ", ".join(_facts(result, time.time() if now is None else now))
    lines.append(f"  {'total':<{_WORD}}{result.response_seconds:>8.3f}  {said}{'  ' + facts if facts else ''}")
    return "\n".join(lines)


def summary(checked: Sequence[Checked], style: Style) -> str:
    """One line about all: how many, and which failed where."""
    failed = [one for one in checked if not one.result.is_healthy]
    count = f"{len(checked)} target{'s' if len(checked) != 1 else ''}"
    if not failed:
        return f"{count}: {style.good('all ok')}"
    named = ", ".join(f"{one.target.name} ({_where(one.result)})" for one in failed)
    return f"{count}: {len(checked) - len(failed)} ok, {style.bad(f'{len(failed)} failed')}: {named}"


def as_object(checked: Checked) -> dict[str, Any]:
    """For JSON. Seconds, ISO times; null is what is not known, or what there is none of."""
    target, result = checked.target, checked.result
    facts = result.facts
    return {
        "name": target.name,
        "id": target.id,
        "store": checked.store,
        "host": target.host,
        "port": target.port,
        "database": target.database,
        "ok": result.is_healthy,
        "result": result.result,
        "failed_stage": result.failed_stage,
        "error": result.error_message,
        "sqlstate": result.sqlstate,
        "seconds": round(result.response_seconds, 6),
        "stages": [
            {
                "stage": stage,
                "seconds": round(result.stages[stage], 6),
                "result": result.result if stage == result.failed_stage else "ok",
            }
            for stage in STAGES
            if stage in result.stages
        ],
        "role": facts.role if facts is not None else None,
        "server_version": facts.server_version if facts is not None else None,
        "tls_expiry": None if result.tls_expiry is None else _date(result.tls_expiry).isoformat(),
    }


def _address(target: Target) -> str:
    shown = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in places(target.host, target.port)]
    return f"{','.join(shown)}/{target.database}"


def _where(result: CheckResult) -> str:
    stage, kind = result.failed_stage, result.result
    return kind if stage in (None, kind) else f"{stage}: {kind}"


def _failure(result: CheckResult, style: Style) -> str:
    state = f" (SQLSTATE {result.sqlstate})" if result.sqlstate else ""
    reason = f"{result.result}: {result.error_message or 'no reason is known'}{state}"
    return f"{style.bad('FAILED')}  {style.wrapped(reason, _RESULT + len('FAILED  '))}"


def _facts(result: CheckResult, now: float) -> Iterator[str]:
    if result.facts is not None:
        if result.facts.role is not None:
            yield result.facts.role
        if result.facts.server_version is not None:
            yield f"PostgreSQL {result.facts.server_version}"
    if result.tls_expiry is not None:
        left = int((result.tls_expiry - now) // _DAY)
        days = f"{left} day{'s' if left != 1 else ''} left" if left >= 0 else "EXPIRED"
        yield f"certificate until {_date(result.tls_expiry):%Y-%m-%d} ({days})"


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
