"""What a run consists of, and when each fault happens. The same seed gives the same plan, not the same interleaving."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

#: The clocks go away from real time and come back, both ways (seconds).
JUMPS = (20.0, 0.0, -20.0, 0.0)
#: When the server crashes, as parts of the run: two long stretches are left for transactions of 40 s to commit in.
CRASHES = (0.1, 0.2, 0.53, 0.87, 0.94)
DEFAULT_SECONDS = 165.0


@dataclass(frozen=True)
class Event:
    """A fault: ``at`` seconds after the writers began; ``value`` is a clock's offset or a pause."""

    at: float
    kind: str
    value: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of what. A longer run has more of everything."""

    seed: int
    seconds: float = DEFAULT_SECONDS
    writers: int = 16
    late_window: int = 30

    @property
    def parts(self) -> int:
        """How many times the default run's faults and executions fit in."""
        return max(1, int(self.seconds / DEFAULT_SECONDS))

    @property
    def executions(self) -> int:
        """How many must finish at least."""
        return 100_000 * self.parts

    @property
    def kills(self) -> int:
        """How often the sidecar is killed."""
        return 20 * self.parts

    @property
    def restarts(self) -> int:
        """How often the server crashes."""
        return len(CRASHES) * self.parts

    @property
    def jumps(self) -> int:
        """How often each clock jumps."""
        return len(JUMPS) * self.parts

    def events(self) -> list[Event]:
        """Every fault in its order."""
        rng = random.Random(self.seed)
        length = self.seconds / self.parts
        found: list[Event] = []
        for part in range(self.parts):
            for event in _part(rng):
                found.append(Event((part + event.at) * length, event.kind, event.value))
        return sorted(found, key=lambda event: event.at)


def _part(rng: random.Random) -> list[Event]:
    """The faults of one part, ``at`` from 0 to 1."""
    kills = [Event(rng.uniform(0.02, 0.99), "kill", rng.choice((0.0, 0.0, rng.uniform(0, 2)))) for _ in range(20)]
    crashes = [Event(at + rng.uniform(-0.02, 0.02), "crash", rng.uniform(0, 1.5)) for at in CRASHES]
    return [*kills, *crashes, *_jumps(rng, "server clock", JUMPS), *_jumps(rng, "sidecar clock", JUMPS[2:] + JUMPS[:2])]


def _jumps(rng: random.Random, kind: str, offsets: Sequence[float]) -> list[Event]:
    """A jump somewhere in each of equal stretches; the last one leaves time for what comes after it."""
    return [Event((n + rng.uniform(0.3, 0.9)) / len(offsets) * 0.97, kind, value) for n, value in enumerate(offsets)]
