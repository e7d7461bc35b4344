"""A minute of ``make soak``: nothing that is counted grows, and everything that ended was counted.

Memory may grow by three megabytes here, and there may be a few tasks more: a minute is too short for less.
"""

from __future__ import annotations

from pathlib import Path

from soak.run import Plan, run


def test_a_sidecar_at_work_does_not_grow(tmp_path: Path) -> None:
    verdict = run(Plan(50), tmp_path)
    print(verdict.text)
    assert verdict.wrong == [], verdict.text
