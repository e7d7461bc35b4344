"""Values that only Vault knows, in a configuration that was read with NOT_ASKED: where they are, and what to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from exporter.config.problems import BROKEN, KeyPath, render
from exporter.errors import ConfigError


def left_open(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths below ``value`` of what nobody asked Vault for; ``path`` is where ``value`` itself is."""
    if value is BROKEN:
        yield path
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from left_open(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield from left_open(below, (*path, name))
    elif isinstance(value, tuple):
        for index, below in enumerate(value):
            yield from left_open(below, (*path, index))


def refuse_open(value: object, path: KeyPath, *, file: str, instead: str) -> None:
    """ConfigError for each value that a command needs which asks no Vault; ``instead``: what can be done."""
    problems = [f"{file}: {render(at)}: is in Vault, which this command does not ask; {instead}"
                for at in left_open(value, path)]  # fmt: skip
    if problems:
        raise ConfigError(problems)
