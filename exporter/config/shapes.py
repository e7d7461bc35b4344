"""The model's types, taken apart once: which values a key takes, and how to say so in an error."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from exporter.config.durations import EXPECTED
from exporter.config.model import Dsn, Duration
from exporter.config.secrets import Secret

#: The kinds of scalar, in the order in which a text is tried as each.
LEAVES: Final[dict[type, str]] = {
    Duration: EXPECTED,
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Dsn: "a PostgreSQL connection string",
    Secret: "a secret text",
    str: "text",
}


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What one key takes: scalars of some kinds, words, sections, a list of ``item``, keys to ``value``."""

    optional: bool = False
    leaves: tuple[type, ...] = ()
    choices: tuple[str, ...] = ()
    structs: tuple[type[Struct], ...] = ()
    item: Shape | None = None
    value: Shape | None = None
    metas: tuple[Meta, ...] = ()

    @property
    def secret(self) -> bool:
        """True when a value must not be shown, whatever is wrong with it."""
        return Secret in self.leaves or Dsn in self.leaves

    @property
    def compound(self) -> bool:
        """True for a section, list or mapping: one that is empty in the file keeps its default."""
        return not self.leaves and not self.choices

    @property
    def expected(self) -> str:
        """``a duration such as 15s, 5m, 2h, 35d``; ``text or a mapping``."""
        words = [text for leaf, text in LEAVES.items() if leaf in self.leaves]
        if len(self.choices) == 1:
            words.append(self.choices[0])
        elif self.choices:
            words.append("one of " + ", ".join(self.choices))
        if self.structs or self.value:
            words.append("a mapping")
        if self.item:
            words.append("a list")
        return " or ".join(words)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a section."""

    name: str
    shape: Shape
    required: bool


@cache
def keys_of(section: type[Struct]) -> dict[str, Key]:
    """The keys of a section by the name they have in the file."""
    return {
        field.encode_name: Key(name=field.name, shape=shape_of(field.type), required=field.required)
        for field in msgspec.structs.fields(section)
    }


def places_of(name: str, root: type[Struct]) -> list[str]:
    """Where such a key may stand below ``root``, of the highest level that has it: ``["stores[].counting"]``.

    ``[""]`` is ``root`` itself.
    """
    level = [("", root)]
    while level:
        if found := [place for place, section in level if name in keys_of(section)]:
            return list(dict.fromkeys(found))
        level = [
            (f"{place}.{key}{mark}".lstrip("."), struct)
            for place, section in level
            for key, at in keys_of(section).items()
            for mark, struct in _sections(at.shape)
        ]
    return []


def _sections(shape: Shape, mark: str = "") -> Iterator[tuple[str, type[Struct]]]:
    yield from ((mark, struct) for struct in shape.structs)
    if shape.item:
        yield from _sections(shape.item, f"{mark}[]")
    if shape.value:
        yield from _sections(shape.value, f"{mark}.*")


@cache
def tag_of(section: type[Struct]) -> str | None:
    """The one value of the section's ``kind``, where that tells it from other sections."""
    kind = keys_of(section).get("kind")
    return kind.shape.choices[0] if kind and len(kind.shape.choices) == 1 else None


def shape_of(hint: Any) -> Shape:
    """The shape of a type of the model; TypeError for one that the reader does not know."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner = shape_of(args[0])
        metas = tuple(arg for arg in args[1:] if isinstance(arg, Meta))
        return replace(inner, metas=inner.metas + metas)
    if origin in (Union, types.UnionType):
        return _joined(shape_of(arg) for arg in args)
    if origin is Literal:
        return Shape(choices=args)
    if origin is tuple and args[1:] == (...,):
        return Shape(item=shape_of(args[0]))
    if origin is dict and args[0] is str:
        return Shape(value=shape_of(args[1]))
    return _simple(hint)


def _simple(hint: Any) -> Shape:
    if hint is type(None):
        return Shape(optional=True)
    if hint in LEAVES:
        return Shape(leaves=(hint,))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return Shape(structs=(hint,))
    raise TypeError(f"the configuration's reader does not know {hint!r}")


def _joined(parts: Iterable[Shape]) -> Shape:
    shapes = list(parts)
    leaves = {leaf for shape in shapes for leaf in shape.leaves}
    return Shape(
        optional=any(shape.optional for shape in shapes),
        leaves=tuple(leaf for leaf in LEAVES if leaf in leaves),
        choices=tuple(choice for shape in shapes for choice in shape.choices),
        structs=tuple(struct for shape in shapes for struct in shape.structs),
        item=next((shape.item for shape in shapes if shape.item), None),
        value=next((shape.value for shape in shapes if shape.value), None),
        metas=tuple(meta for shape in shapes for meta in shape.metas),
    )
