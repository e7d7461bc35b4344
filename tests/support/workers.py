"""How tests are spread over several workers (``pytest -n 3``): what begins first, and what stays with one worker."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS: Final = Path(__file__).parents[1]
#: What takes longest, first of all: the end is then made of short tests, and no worker waits for another's long one.
FIRST: Final = ("e2e/test_e2e_soak.py", "contract", "e2e", "chaos", "dependencies", "docs", "stores")
#: Directories whose modules share servers that take long to start.
TOGETHER: Final = ("contract",)


def position(item: pytest.Item) -> int:
    """An item's place in the run: it stays behind those of its module that were collected before it."""
    place = item.path.relative_to(TESTS).as_posix()
    return next((at for at, first in enumerate(FIRST) if place.startswith(first)), len(FIRST))


class Spread(LoadScopeScheduling):
    """A module's tests run in one worker, one after the other, and so do all those of ``TOGETHER``."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        return next((one for one in TOGETHER if module.startswith(f"tests/{one}/")), module)
