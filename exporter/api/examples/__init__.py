"""Examples of answers, one JSON file each, as the specifications show them. Read when ``/openapi.json`` is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

import msgspec


def example(name: str) -> Callable[[], Any]:
    """The content of ``<name>.json``, once it is asked for."""
    return partial(_read, name)


def _read(name: str) -> Any:
    return msgspec.json.decode(files(__package__).joinpath(f"{name}.json").read_bytes())
