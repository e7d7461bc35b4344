"""The chaos run as ``make chaos`` makes it. CHAOS_SEED in the environment repeats one."""

from __future__ import annotations

import os
import random

import pytest

from chaos.director import run
from chaos.plan import Plan
from chaos.world import missing


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_every_execution_is_counted_once_whatever_happens() -> None:
    verdict = run(Plan(seed=int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))))
    print(verdict.text)
    assert not verdict.wrong, verdict.text
    assert verdict.executions >= 100_000
    assert (verdict.lost, verdict.double) == (0, 0)
    figures = verdict.figures
    assert (figures["kills of the sidecar"], figures["crashes of the server"], figures["jumps of clocks"]) == (20, 5, 8)
