"""The dependencies imported and nothing else: the floor of memory and of the start. ``python -m benchmarks.imports``"""

from __future__ import annotations

import subprocess
import sys
import time

#: What the program declares as dependencies, and the large modules of the standard library that it needs.
MODULES = (
    "aiohttp.web", "bcrypt", "cronsim", "jinja2", "msgspec", "prometheus_client.openmetrics.exposition", "psutil",
    "psycopg", "yaml", "structlog", "zoneinfo", "sqlite3", "ssl",
)  # fmt: skip
PROGRAM = f"import {', '.join(MODULES)}; print(psutil.Process().memory_info().rss)"


def bare() -> tuple[float, float]:
    """Seconds from a process's start to its end, and its resident memory in MB (2**20 bytes), with the bare imports."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return time.monotonic() - began, int(done.stdout) / 2**20


if __name__ == "__main__":
    seconds, megabytes = bare()
    print(f"{seconds:.2f} s, {megabytes:.1f} MB")
