"""The process's memory: how it is allocated from, and what of it is given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None)
#: The number of glibc's arenas, as mallopt(3) knows it.
_M_ARENA_MAX: Final = -8
#: madvise(2) on Linux, of every architecture that Python has wheels for.
_MADV_DONTNEED: Final = 4
#: Allocations between two looks at the youngest objects, and how many of those there are before older ones' turn; the
#: last is ten times Python's own. What is in no cycle goes at once anyhow.
_COLLECT: Final = (700, 10, 100)
_SMAPS: Final = Path("/proc/self/smaps")
#: The head of a mapping that nothing may write to and that has a file: addresses, rights, offset, device, inode, name.
_READ_ONLY: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[-x]p [0-9a-f]+ [0-9a-f:]+ \d+\s+/")


def prepare_memory() -> None:
    """Have all threads allocate from one arena, where the C library has several (glibc): what one frees, all can use.

    To be called once all is imported and before there are threads. They seldom allocate at the same time: the
    interpreter's lock is one. And what has been imported is never looked through again by the garbage collector, the
    rest as a whole more seldom: that stops every answer for 30 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    choose = getattr(_LIBC, "mallopt", None)
    if choose is not None:
        choose(_M_ARENA_MAX, 1)
    if threading.active_count() == 1:  # no library is being loaded meanwhile
        _forget_libraries()


def trim_memory() -> None:
    """Free what only cycles hold, and give memory that is free within the process back to the system, where the C
    library can (glibc).

    Each connection that was closed is a cycle (asyncio's transports hold themselves), each error of a cut one, each
    target that was removed; the collector's own turn comes after so many objects, minutes or hours later. And a
    backfill or a catch-up leaves megabytes between what is still in use; by itself that would stay for ever.
    """
    gc.collect()
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _forget_libraries() -> None:
    """Let go of the pages of libraries' files: loading them has read every symbol and relocation, which is never needed
    again. What is needed comes back from the file, for the most part without reading the disk.

    Only what no process can have written: a page that was relocated is no copy of the file's any more.
    """
    advise = getattr(_LIBC, "madvise", None)
    if advise is None:
        return
    with contextlib.suppress(OSError):  # no Linux
        for start, end in unwritten(_SMAPS.read_text()):
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def unwritten(smaps: str) -> Iterator[tuple[int, int]]:
    """The addresses of each mapping of a file that may not be written to and never was, by proc(5)'s ``smaps``."""
    mapping: re.Match[str] | None = None
    for line in smaps.splitlines():
        if line[0] in "0123456789abcdef":
            mapping = _READ_ONLY.match(line)
        elif mapping is not None and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield int(mapping[1], 16), int(mapping[2], 16)
