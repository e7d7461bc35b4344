"""``make soak`` as it is without a flag, five minutes: nothing grows, and everything that ended was counted."""

from __future__ import annotations

from pathlib import Path

from soak.run import Plan, run


def test_a_sidecar_at_work_does_not_grow(tmp_path: Path) -> None:
    verdict = run(Plan(300), tmp_path)
    print(verdict.text)
    assert verdict.wrong == [], verdict.text
