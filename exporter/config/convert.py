"""A YAML tree to the model's structs. Goes on after a fault, so that one run finds all faults of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from exporter.config.expand import ExpandError
from exporter.config.follow import Follower, LaterError
from exporter.config.problems import BROKEN, KeyPath, Report, Where, nearest
from exporter.config.scalars import RefusedError, constrain, convert, is_null, is_storable, late
from exporter.config.shapes import Shape, keys_of, places_of, tag_of
from exporter.config.yaml_lines import Entry, Mapping, Node, Scalar, Sequence

#: Checks what needs more than one key of a section.
Check = Callable[[Where], None]

#: How alike a key has to be to a known one, from 0 to 1, to be that one misspelt, whatever else has such a key.
HARDLY_ANOTHER: Final = 0.8
#: In more places than this, a key's name tells nothing.
CLEAR: Final = 2


class Reader:
    """Reads values of known shape out of a tree; faults go to the report, BROKEN stands for a value."""

    def __init__(self, report: Report, follower: Follower, checks: dict[type, Check]) -> None:
        self._report = report
        self._follower = follower
        self._checks = checks
        self._root: type[Struct] | None = None

    def read(self, shape: Shape, node: Node, path: KeyPath) -> Any:
        """The value at ``path``, or BROKEN when it was refused."""
        if not path and shape.structs:
            self._root = shape.structs[0]
        if isinstance(node, Scalar):
            return self._scalar(shape, node, path)
        if isinstance(node, Mapping) and shape.structs:
            return self._tagged(shape.structs, node, path)
        if isinstance(node, Mapping) and shape.value:
            return self._mapping(shape.value, node, path)
        if isinstance(node, Sequence) and shape.item:
            return self._sequence(shape, shape.item, node, path)
        got = "a mapping" if isinstance(node, Mapping) else "a list"
        return self._refuse(path, f"expected {shape.expected}; got {got}")

    def _refuse(self, path: KeyPath, text: str) -> Any:
        self._report.add(path, text)
        return BROKEN

    def _scalar(self, shape: Shape, node: Scalar, path: KeyPath) -> Any:
        if shape.optional and is_null(node.text, node.plain):
            return None
        try:
            parsed = self._follower.parse(node.text, path)
            if shape.secret and self._follower.is_late(parsed, path):
                return late(shape, parsed.template)
            text = self._follower.follow(parsed)
            if parsed.expanded and shape.optional and not text:
                return None  # ${VAR:-} is how a file says "if it is set"
            # What an error shows is the reference itself, never what it stood for.
            return convert(shape, text, None if parsed.expanded else node.plain, "" if shape.secret else node.text)
        except LaterError:
            return BROKEN
        except (ExpandError, RefusedError) as error:
            return self._refuse(path, str(error))

    def _sequence(self, shape: Shape, element: Shape, node: Sequence, path: KeyPath) -> Any:
        values = []
        for index, (line, item) in enumerate(node.items):
            below = (*path, index)
            self._report.locate(below, line)
            values.append(self.read(element, item, below))
        try:
            return constrain(shape, tuple(values), "")
        except RefusedError as error:
            return self._refuse(path, str(error))

    def _mapping(self, shape: Shape, node: Mapping, path: KeyPath) -> Any:
        values = {}
        for key, entry in self._entries(node, path).items():
            values[key] = self.read(shape, entry.value, (*path, key))
        return values

    def _tagged(self, structs: tuple[type[Struct], ...], node: Mapping, path: KeyPath) -> Any:
        """The section that ``kind`` names; without one, the first."""
        entries = self._entries(node, path)
        by_tag = {tag: struct for struct in structs if (tag := tag_of(struct)) is not None}
        kind = entries.get("kind")
        if not by_tag or (kind is None and not keys_of(structs[0])["kind"].required):
            return self._section(structs[0], entries, path, structs[1:])
        if kind is None:
            return self._refuse((*path, "kind"), f"required; expected one of {', '.join(by_tag)}")
        tag = self.read(Shape(choices=tuple(by_tag)), kind.value, (*path, "kind"))
        # Of an unknown kind, no other key can be judged.
        return BROKEN if tag is BROKEN else self._section(by_tag[tag], entries, path, structs)

    def _section(
        self, section: type[Struct], entries: dict[str, Entry], path: KeyPath, others: tuple[type[Struct], ...] = ()
    ) -> Any:
        """``others`` are the sections that might have stood here too: somebody may have meant one of those."""
        keys = keys_of(section)
        values: dict[str, Any] = {}
        for name, entry in entries.items():
            key = keys.get(name)
            if key is None:
                self._unknown(name, section, path, others)
            elif not _keeps_default(key.shape, entry.value, key.required):
                values[key.name] = self.read(key.shape, entry.value, (*path, name))
        for name, key in keys.items():
            if key.required and name not in entries:
                text = f"required; expected {key.shape.expected}"
                values[key.name] = self._refuse((*path, name), text)
        value = section(**values)
        if check := self._checks.get(section):
            check(Where(value, path, self._report))
        return value

    def _unknown(self, name: str, section: type[Struct], path: KeyPath, others: tuple[type[Struct], ...]) -> None:
        keys = keys_of(section)
        kinds = [tag for other in others if name in keys_of(other) and (tag := tag_of(other)) is not None]
        if kinds and not self._report.full:
            listed, remedy = " or ".join(kinds), getattr(section, "instead", {}).get(name)
            text = f"kind {tag_of(section)} has no such key; {remedy or 'leave it out'}, or write kind: {listed}"
            self._report.add((*path, name), f"{text} (known keys: {', '.join(keys)})")
            return
        close = "" if self._report.full else self._meant(name, keys)
        self._report.add((*path, name), f"unknown key{close} (known keys: {', '.join(keys)})")

    def _meant(self, name: str, keys: Iterable[str]) -> str:
        """What somebody meant who wrote ``name`` among ``keys``: a word that is hardly another one; where ``name``
        belongs, if that is clear; any word that is near."""
        places = places_of(name, self._root) if self._root else []
        if not nearest(name, keys, HARDLY_ANOTHER) and 0 < len(places) <= CLEAR:
            return f"; it is a key of {' or '.join(place or 'the whole file' for place in places)}"
        return nearest(name, keys)

    def _entries(self, node: Mapping, path: KeyPath) -> dict[str, Entry]:
        """The keys of a mapping, merge keys followed: its own come first, then those merged earlier."""
        entries: dict[str, Entry] = {}
        merged: list[Entry] = []
        for entry in node.entries:
            name = _name(entry.key)
            if _is_merge(entry.key):
                merged.extend(self._merged(entry, path))
            elif name is None:
                self._report.add(path, "expected text as a key", line=entry.line)
            elif name in entries:
                first = entries[name].line
                self._report.add((*path, name), f"duplicate key; first on line {first}", line=entry.line)
            else:
                entries[name] = entry
        for entry in merged:
            name = _name(entry.key)
            if name is not None:
                entries.setdefault(name, entry)
        for name, entry in entries.items():
            self._report.locate((*path, name), entry.line)
        return entries

    def _merged(self, entry: Entry, path: KeyPath) -> list[Entry]:
        sources = [item for _, item in entry.value.items] if isinstance(entry.value, Sequence) else [entry.value]
        found: list[Entry] = []
        for source in sources:
            if isinstance(source, Mapping):
                found.extend(self._entries(source, path).values())
            else:
                text = "expected a mapping or a list of mappings to merge; << in quotes is an ordinary key"
                self._report.add((*path, "<<"), text, line=entry.line)
        return found


def _name(key: Node) -> str | None:
    """The text of a key; numbers and booleans are text here, for that is what the file shows."""
    if not isinstance(key, Scalar) or is_null(key.text, key.plain):
        return None
    return key.text if is_storable(key.text) else None


def _is_merge(key: Node) -> bool:
    return isinstance(key, Scalar) and key.plain and key.text == "<<"


def _keeps_default(shape: Shape, node: Node, required: bool) -> bool:
    """True for a section, list or mapping with nothing in it, as when all its keys are commented out."""
    return shape.compound and not required and isinstance(node, Scalar) and is_null(node.text, node.plain)
