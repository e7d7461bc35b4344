"""A short run of ``make fuzz``: no 5xx, nothing that /openapi.json does not say.

Always the same requests, so that a change is what makes it fail; ``make fuzz`` makes up others, FUZZ_SEED too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from fuzz.run import faults, fuzz
from fuzz.world import fuzzed

#: Made up a form with fields that no page sends, one of them with a null character.
_SEED: Final = 4003858725


def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    seed = int(os.environ.get("FUZZ_SEED", _SEED))
    with fuzzed(tmp_path / "sidecar") as sidecar:
        found = fuzz(sidecar, examples=4, seed=seed, directory=tmp_path, say=print, brief=True)
        logged = faults(sidecar)
    assert found.good, found.report
    assert found.cases > 200
    assert logged == []
