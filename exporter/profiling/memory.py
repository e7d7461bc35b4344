"""What is allocated and stays: tracemalloc for a while, two looks, and what grew between them."""

from __future__ import annotations

import threading
import time
import tracemalloc
from typing import Final

import msgspec

from exporter.profiling.stacks import Stack, short_path

#: Frames of a stack, the innermost ones. Each costs time and memory while it is traced.
FRAMES: Final = 12
#: Stacks that are told: those that hold most.
MOST: Final = 2_000
_OURS: Final = (tracemalloc.__file__, __file__)

_Held = dict[tracemalloc.Traceback, tuple[int, int]]


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of that which a stack has allocated since tracing began, and how much more than at half time."""

    stack: Stack
    size: int
    blocks: int
    grown_size: int
    grown_blocks: int


class MemoryProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that were allocated meanwhile: ``traced`` are still there, ``peak`` were; ``overhead`` is tracing's own."""

    seconds: float
    traced: int
    peak: int
    overhead: int
    allocations: tuple[Allocation, ...]


def trace_memory(seconds: float, stop: threading.Event) -> MemoryProfile:
    """Trace allocations for ``seconds`` or until ``stop``, which slows the process down meanwhile.

    What was allocated before is not seen. What came and went within a half is not there; what is replaced again and
    again is held at both looks, and has not grown.
    """
    began = time.monotonic()
    ours = not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start(FRAMES)
    try:
        stop.wait(seconds / 2)
        first = _held()
        stop.wait(seconds / 2)
        second = _held()
        traced, peak = tracemalloc.get_traced_memory()
        overhead = tracemalloc.get_tracemalloc_memory()
    finally:
        if ours:
            tracemalloc.stop()
    largest = sorted(second.items(), key=lambda item: -item[1][0])[:MOST]
    return MemoryProfile(
        seconds=time.monotonic() - began,
        traced=traced,
        peak=peak,
        overhead=overhead,
        allocations=tuple(_allocation(where, held, first.get(where, (0, 0))) for where, held in largest),
    )


def _held() -> _Held:
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(False, name, all_frames=True) for name in _OURS]
    )
    return {each.traceback: (each.size, each.count) for each in snapshot.statistics("traceback")}


def _allocation(where: tracemalloc.Traceback, held: tuple[int, int], before: tuple[int, int]) -> Allocation:
    return Allocation(
        stack=tuple(f"{short_path(frame.filename)}:{frame.lineno}" for frame in where),
        size=held[0],
        blocks=held[1],
        grown_size=held[0] - before[0],
        grown_blocks=held[1] - before[1],
    )
