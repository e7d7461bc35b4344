"""``make soak`` as it is without a flag, five minutes: nothing grows, and everything that ended was counted.

It waits most of its time; with several workers the others run the other tests meanwhile.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
#: Seconds from the start to the end, at most: ten minutes, and what makes and ends its servers on a busy machine.
LONGEST: Final = 1200


def test_a_sidecar_at_work_does_not_grow() -> None:
    soak = subprocess.Popen(
        [sys.executable, "-m", "soak"],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = soak.communicate(timeout=LONGEST)
    finally:
        if soak.poll() is None:
            soak.send_signal(signal.SIGINT)  # it ends its servers
            soak.communicate(timeout=120)
    print(said)
    assert soak.returncode == 0, said
