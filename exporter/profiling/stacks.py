"""Stacks as text: frames named alike everywhere, the outermost first."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePath

#: Frames, the outermost first: ``exporter/poller.py:Poller.run``.
Stack = tuple[str, ...]


def collapsed(stacks: Iterable[tuple[Stack, int]]) -> str:
    """A line for each stack, ``outermost;...;innermost value``: what flame-graph tools read."""
    return "".join(f"{';'.join(stack)} {value}\n" for stack, value in stacks)


@lru_cache(maxsize=4096)
def short_path(filename: str) -> str:
    """A file from its package on: where it is installed says nothing."""
    parts = PurePath(filename).parts
    for root, more in (("site-packages", 1), ("exporter", 0)):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root) + more
            return "/".join(parts[at:])
    return parts[-1] if parts else filename


@lru_cache(maxsize=4096)
def frame_name(filename: str, function: str) -> str:
    """A frame as text."""
    return clean(f"{short_path(filename)}:{function}")


def clean(name: str) -> str:
    """``name`` without what separates frames and values."""
    return name.replace(";", ",").replace(" ", "_")
