"""Imports of libraries without what of them nobody uses here: each is some megabytes in memory.

Belongs here: how it is left out. Does not: which library, which is said where it is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Let imports within find these optional modules as if they were not installed, and not warn of it.

    A module that somebody has imported already stays what it is.
    """
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Let imports within find this environment variable, and those to come what it was."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
