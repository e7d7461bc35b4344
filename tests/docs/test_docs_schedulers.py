"""docs/schedulers.md is what the contract suite says, and every profile is in it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from docs.conftest import Documents

from exporter.stores.profile import shipped

ROOT = Path(__file__).parents[2]


def test_the_file_is_current(documents: Documents) -> None:
    spec = importlib.util.spec_from_file_location("schedulers_doc", ROOT / "tools" / "schedulers_doc.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert documents.texts["docs/schedulers.md"] == generator.document(), "python tools/schedulers_doc.py writes it anew"
