"""The memory limit that a container runtime set, from control groups of either version."""

from __future__ import annotations

from pathlib import Path


def memory_limit(root: Path, total: int) -> int | None:
    """The least limit in bytes of the process's control group and those above it; None when there is none.

    ``root`` is the file system's. Version 1 writes "no limit" as a number near 2^63: ``total``, the system's
    memory in bytes, and above count as none.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    limits: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits += _limits(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
    return min((limit for limit in limits if limit < total), default=None)


def _limits(mount: Path, path: str, name: str) -> list[int]:
    """Limits from the group's directory up to the mount; what a container cannot see is skipped."""
    parts = Path(path.lstrip("/")).parts
    found: list[int] = []
    for depth in range(len(parts), -1, -1):
        try:
            text = mount.joinpath(*parts[:depth], name).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():  # version 2 writes "max" for none
            found.append(int(text))
    return found
