"""The distribution of durations in little space: counts by logarithmic bucket, each value within 2% of the true one.

A sketch is a dict bucket -> count. Sketches add up without loss, which is what rollups need: the hours of a month give
the same quantiles as their minutes would. (The idea is DDSketch's.)
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

#: How far a quantile may be from the true value, relatively.
ACCURACY: Final = 0.02
#: Seconds; what is shorter is taken for this long.
SHORTEST: Final = 1e-4
_GAMMA: Final = (1 + ACCURACY) / (1 - ACCURACY)
#: Multiplied with the natural logarithm of a duration it gives the bucket, once :data:`OFFSET` is added.
SCALE: Final = 1 / math.log(_GAMMA)
OFFSET: Final = -math.log(SHORTEST) * SCALE
#: Typecodes of the counts, smallest first. Standard sizes on every platform that CPython supports: 1, 2, 4, 8 bytes.
_COUNTS: Final = ("B", "H", "I", "Q")
_LIMITS: Final = (0xFF, 0xFFFF, 0xFFFFFFFF)

Sketch = dict[int, int]


def bucket(seconds: float) -> int:
    """The bucket that a duration falls into."""
    return math.ceil(math.log(seconds) * SCALE + OFFSET) if seconds > SHORTEST else 0


def value(index: int) -> float:
    """The duration in seconds that stands for a bucket."""
    return SHORTEST if index == 0 else SHORTEST * 2 * math.exp(index / SCALE) / (_GAMMA + 1)


def encode(sketch: Sketch) -> bytes:
    """A sketch as bytes: the counts' typecode, the buckets (two bytes each), the counts."""
    if not sketch:
        return b""
    indexes = sorted(sketch)
    counts = [sketch[i] for i in indexes]
    greatest = max(counts)
    code = next((c for c, limit in zip(_COUNTS, _LIMITS, strict=False) if greatest <= limit), _COUNTS[-1])
    return code.encode() + array("H", indexes).tobytes() + array(code, counts).tobytes()


def decode(data: bytes) -> Sketch:
    """The sketch that :func:`encode` made ``data`` from."""
    if not data:
        return {}
    counts = array(chr(data[0]))
    n = (len(data) - 1) // (2 + counts.itemsize)
    indexes = array("H", data[1 : 1 + 2 * n])
    counts.frombytes(data[1 + 2 * n :])
    return dict(zip(indexes, counts, strict=True))


def adding(data: bytes, buckets: Iterable[int]) -> Sketch:
    """The sketch that ``data`` encodes with more buckets counted."""
    found = Counter(buckets)
    found.update(decode(data))
    return found


def add(into: Sketch, other: Sketch) -> None:
    """Add ``other`` to ``into``."""
    get = into.get
    for index, count in other.items():
        into[index] = get(index, 0) + count


def quantile(sketch: Sketch, q: float) -> float | None:
    """The least duration (s) up to which a share ``q`` of all lies, as percentile_disc has it; None without any."""
    rank = q * sum(sketch.values())
    seen = 0
    for index in sorted(sketch):
        seen += sketch[index]
        if seen >= rank:
            return value(index)
    return None
