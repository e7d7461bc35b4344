"""What this process spends its processor and its memory on, found out while it serves. Standard library only.

Belongs here: taking samples, adding them up. Does not: who may ask, how that is answered (``exporter.api.profile``).
Both ways block the thread that they are called in.
"""

from __future__ import annotations

from exporter.profiling.cpu import CpuProfile, sample_cpu
from exporter.profiling.memory import Allocation, MemoryProfile, trace_memory
from exporter.profiling.stacks import Stack, collapsed, short_path

__all__ = [
    "Allocation",
    "CpuProfile",
    "MemoryProfile",
    "Stack",
    "collapsed",
    "sample_cpu",
    "short_path",
    "trace_memory",
]
