"""What types say of themselves, where Python was told to forget it.

Under ``-OO``, as in the image, no class has its docstring: they are megabytes of memory. ``/openapi.json`` shows those
of the types in its bodies, and they are still in the source.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec


def put_back_docstrings(package: str) -> None:
    """Give every struct and enum that was imported from ``package`` its docstring, if this Python leaves them out."""
    if sys.flags.optimize < 2:
        return
    of_module: dict[str, dict[str, str]] = {}
    for kind in {*_below(msgspec.Struct), *_below(Enum)}:
        module = kind.__module__
        if kind.__doc__ is None and module.partition(".")[0] == package:
            if module not in of_module:
                of_module[module] = dict(_written(module))
            kind.__doc__ = of_module[module].get(kind.__qualname__)


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _written(module: str) -> Iterator[tuple[str, str]]:
    """The classes of a module and their docstrings, as its source has them; none where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and (text := ast.get_docstring(node)):
            yield node.name, text
