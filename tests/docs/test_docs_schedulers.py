"""docs/schedulers.md is what the contract suite runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docs.conftest import Documents

ROOT = Path(__file__).parents[2]


def test_the_file_is_current(documents: Documents) -> None:
    spec = importlib.util.spec_from_file_location("schedulers_doc", ROOT / "tools" / "schedulers_doc.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert documents.texts["docs/schedulers.md"] == generator.document(), (
        "python tools/schedulers_doc.py writes it anew"
    )
