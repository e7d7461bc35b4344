"""A sampling profiler: a hundred times a second, what does each thread do that has the processor?

Nothing is traced, so what is sampled is not slowed down. A thread counts when the kernel says that it ran since the
last look, and when it is not just waiting: Python frames alone show a wait for a socket as if it were work.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from types import FrameType
from typing import Final

import msgspec

from exporter.profiling.stacks import Stack, clean, frame_name

#: Frames of a stack; what is further out is left out.
DEEPEST: Final = 100
#: Innermost frames in which a thread waits.
_WAITS: Final = frozenset({
    ("selectors.py", "select"), ("threading.py", "wait"), ("threading.py", "_wait_for_tstate_lock"),
    ("threading.py", "join"), ("queue.py", "get"), ("thread.py", "_worker"), ("socket.py", "accept"),
})  # fmt: skip


class CpuProfile(msgspec.Struct, frozen=True, kw_only=True):
    """``stacks`` with how often each was seen, the commonest first; ``threads``: processor seconds by name.

    ``seconds`` is how long it was looked, ``looks`` how often; ``cpu_seconds`` what the whole process used.
    """

    seconds: float
    looks: int
    cpu_seconds: float
    threads: dict[str, float]
    stacks: tuple[tuple[Stack, int], ...]


def sample_cpu(seconds: float, rate: int, stop: threading.Event) -> CpuProfile:
    """Look at all threads but this one ``rate`` times a second, for ``seconds`` or until ``stop``."""
    own, used = threading.get_ident(), _Used()
    found: Counter[Stack] = Counter()
    looks, began, cpu = 0, time.monotonic(), time.process_time()
    used.since_last()
    due = began
    with contextlib.closing(used):
        while True:
            due = max(due + 1 / rate, time.monotonic())
            if stop.wait(due - time.monotonic()) or due > began + seconds:
                break
            ran = used.since_last()
            looks += 1
            for ident, frame in sys._current_frames().items():
                name = ran.get(ident)
                if ident != own and name is not None and not _waits(frame):
                    found[(clean(name), *_stack(frame))] += 1
    return CpuProfile(
        seconds=time.monotonic() - began,
        looks=looks,
        cpu_seconds=time.process_time() - cpu,
        threads=used.totals(),
        stacks=tuple(found.most_common()),
    )


class _Used:
    """Which threads used the processor, by the kernel's account. Where it keeps none, all are taken to have."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        #: The kernel's accounts by thread, kept open: to open one costs ten times a look. None: there is none.
        self._accounts: dict[int, int | None] = {}
        self._total: Counter[str] = Counter()

    def since_last(self) -> dict[int, str]:
        """The threads that ran since this was asked last, by id, with their names."""
        ran = {}
        for thread in threading.enumerate():
            if thread.ident is None or thread.native_id is None:
                continue
            now = self._nanoseconds(thread.native_id)
            before = self._known.get(thread.native_id)
            if now is None:
                ran[thread.ident] = thread.name
                continue
            self._known[thread.native_id] = now
            if before is not None and now > before:
                ran[thread.ident] = thread.name
                self._total[thread.name] += now - before
        return ran

    def _nanoseconds(self, native_id: int) -> int | None:
        """What a thread has used of the processor so far; None where that cannot be told."""
        if native_id not in self._accounts:
            self._accounts[native_id] = _account(native_id)
        account = self._accounts[native_id]
        if account is None:
            return None
        try:
            return int(os.pread(account, 100, 0).split()[0])
        except (OSError, ValueError, IndexError):  # it has ended
            return self._known.get(native_id, 0)

    def close(self) -> None:
        """Let go of the accounts."""
        for account in self._accounts.values():
            if account is not None:
                os.close(account)
        self._accounts.clear()

    def totals(self) -> dict[str, float]:
        """Seconds by thread's name, the greatest first; empty where the kernel keeps no account."""
        return {name: spent / 1e9 for name, spent in self._total.most_common()}


def _account(native_id: int) -> int | None:
    try:
        return os.open(f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _waits(frame: FrameType) -> bool:
    code = frame.f_code
    return (code.co_filename.rpartition("/")[2], code.co_name) in _WAITS


def _stack(frame: FrameType) -> Stack:
    names: list[str] = []
    each: FrameType | None = frame
    while each is not None and len(names) < DEEPEST:
        names.append(frame_name(each.f_code.co_filename, each.f_code.co_qualname))
        each = each.f_back
    return tuple(reversed(names))
