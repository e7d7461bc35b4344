"""A soak beside the tests: it waits most of the time, and nobody else should have to."""

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


class Soak:
    """``make soak``, started. What it says goes into a file in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "soak.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "soak"],
                env=os.environ | {"PYTHONPATH": str(TESTS)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt is this process's to pass on
            )

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def wait(self) -> None:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        self._process.wait(LONGEST)

    def said(self) -> str:
        """What it has said until now."""
        return self._log.read_text()

    def end(self) -> None:
        """Have it end its servers and go, if it still runs."""
        if self.status is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(120)
