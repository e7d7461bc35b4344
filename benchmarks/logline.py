"""What a line of the log costs: ``python -m benchmarks.logline``; has no budget of its own."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from exporter import logs
from exporter.api.masking import shown_result

ROUNDS, LINES = 7, 3000
RESULT = '{"sent": true, "recipient": "user@example.com", "count": 125, "batch": "2026-01-28", "ids": [1, 2, 3]}'


def cost(secrets: int) -> tuple[float, float, float]:
    """Microseconds of processor time: of a line, of one below the level, of a result that is masked."""
    logs.scrubber.add(*(f"pw-{n:06d}-x{n * 7919 % 100_003}" for n in range(secrets)))
    with Path("/dev/null").open("w") as stream:
        logs.configure(logs.LogSettings(), stream)
        log = structlog.get_logger(component="connections")
        return (
            _best(lambda n: log.info("target up again", target="prod-db", was="timeout", seconds=1.25, rows=n)),
            _best(lambda n: log.debug("nothing", rows=n)),
            _best(lambda _: shown_result(RESULT)),
        )


def _best(work: object) -> float:
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for number in range(LINES):
            work(number)  # type: ignore[operator]
        found.append((time.process_time() - began) / LINES)
    return min(found) * 1e6


if __name__ == "__main__":
    for known in (0, 100, 1000):
        line, below, result = cost(known)
        print(
            f"{known:5} secrets known: a line {line:.1f} us, below the level {below:.1f} us, a result {result:.1f} us"
        )
