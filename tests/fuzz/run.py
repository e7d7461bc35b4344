"""One run of schemathesis, and what it found."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.sidecar import HOST, Sidecar

from fuzz.world import ADMIN

#: Its own list, and 413: what is longer than a body may be breaks ``maxLength`` too, and is not read so far.
_REFUSALS: Final = (400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx")
_CASES: Final = re.compile(r"(\d[\d,]*) generated")


@dataclass(frozen=True)
class Found:
    """How many requests were made up, whether each answer was as the document says, and schemathesis' own report."""

    cases: int
    good: bool
    report: str


def fuzz(
    sidecar: Sidecar, *, examples: int, seed: int, directory: Path, say: Callable[[str], None], brief: bool = False
) -> Found:
    """Ask everything that the document has, ``examples`` times each at most in each way that schemathesis knows.

    ``brief``: without what is served twice, and what has moved.
    """
    url = f"http://{HOST}:{sidecar.port}/openapi.json"
    statuses = ", ".join(f'"{status}"' for status in _REFUSALS)
    config = directory / "schemathesis.toml"
    config.write_text(f"[checks]\nnegative_data_rejection.expected-statuses = [{statuses}]\n")
    # One worker: with threads CPython 3.11 may fail in ast.parse, which hypothesis uses ("recursion depth mismatch").
    command = [
        str(Path(sys.executable).with_name("schemathesis")), f"--config-file={config}", "run", url,
        "--checks=all", f"--max-examples={examples}",
        f"--seed={seed}", "--workers=1", f"--header=Authorization: Bearer {ADMIN}", "--no-color",
        "--continue-on-failure", "--generation-allow-x00=true", "--generation-database=none", "--request-timeout=30",
        "--suppress-health-check=all", "--no-shrink",
    ]  # fmt: skip
    # /live has no end, which no check can wait for; a profile takes the seconds that it is asked for.
    endless = "^/live$|^/debug/profile/"
    left_out = f"{endless}|^/monitoring/" if brief else endless
    command += [f"--exclude-path-regex={left_out}", *(["--exclude-deprecated"] if brief else [])]
    lines = []
    with subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip())
            lines.append(line)
    report = "".join(lines)
    counted = _CASES.search(report)
    return Found(int(counted[1].replace(",", "")) if counted else 0, process.returncode == 0, report)


def faults(sidecar: Sidecar) -> list[dict[str, Any]]:
    """What the sidecar logged as an error.

    What the alert receiver prints for a console is as grave as the alert that was made up, and no fault.
    """
    errors = [line for line in sidecar.events() if line.get("level") == "ERROR"]
    return [line for line in errors if line["message"] != "alert fires"]
