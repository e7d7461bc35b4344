"""YAML text to a tree that knows its lines. Values stay text: a value's type is its key's, never a guess.

Built from PyYAML's events, which need no recursion, so that neither deep nesting nor an alias bomb gets
further than the bounds below.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

#: Nesting, counted through aliases and merge keys; the model itself is six deep.
DEEPEST: Final = 40
#: Values after every alias is written out. A thousand connection targets with every key set are 30,000.
MOST_NODES: Final = 200_000

# libyaml reads ten times faster than PyYAML's own parser; both emit the same events.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Words that the parser quotes may be a part of a secret; single characters and the names of tokens are not.
_QUOTED: Final = re.compile(r"""(['"])(.+?)\1""", re.DOTALL)
_CORE: Final = "tag:yaml.org,2002:"
_TAGS: Final = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")} | {"!"}


class YamlFaultError(Exception):
    """The text is no YAML, or YAML that no configuration needs; line and column count from 1."""

    def __init__(self, text: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(text)
        self.text, self.line, self.column = text, line, column


class Scalar(msgspec.Struct, frozen=True):
    """A text; ``plain`` is one without quotes, which may also be a number, a boolean or nothing."""

    text: str
    plain: bool
    size: int = 1
    height: int = 1


class Entry(msgspec.Struct, frozen=True):
    """One key of a mapping and the line on which it stands."""

    key: Node
    value: Node
    line: int


class Mapping(msgspec.Struct, frozen=True):
    """The keys in the file's order, doubles and merge keys (``<<``) included."""

    entries: tuple[Entry, ...]
    size: int
    height: int


class Sequence(msgspec.Struct, frozen=True):
    """The elements, each with its line."""

    items: tuple[tuple[int, Node], ...]
    size: int
    height: int


Node = Scalar | Mapping | Sequence


class _Open(msgspec.Struct):
    """A mapping or sequence whose end has not been read."""

    is_mapping: bool
    anchor: str | None
    line: int
    children: list[tuple[int, Node]] = msgspec.field(default_factory=list)
    size: int = 1
    height: int = 1

    def close(self) -> Node:
        if not self.is_mapping:
            return Sequence(tuple(self.children), self.size, self.height)
        pairs = zip(self.children[::2], self.children[1::2], strict=True)
        entries = tuple(Entry(key, value, line) for (line, key), (_, value) in pairs)
        return Mapping(entries, self.size, self.height)


class _Composer:
    """Turns events into one tree."""

    def __init__(self) -> None:
        self.root: tuple[int, Node] | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def feed(self, event: Any) -> None:
        """Take in the next event."""
        line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise YamlFaultError("a second document begins here; a configuration is one", line)
            case yaml.ScalarEvent():
                self._place(Scalar(event.value, _is_plain(event, line)), line, event.anchor)
            case yaml.AliasEvent():
                self._place(self._aliased(str(event.anchor), line), line, None)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self._open.pop()
                self._place(done.close(), done.line, done.anchor)

    def _begin(self, event: Any, line: int) -> None:
        _check_tag(event.tag, line)
        if len(self._open) >= DEEPEST:
            raise YamlFaultError(f"nested more than {DEEPEST} deep", line)
        self._open.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor, line))

    def _aliased(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            # The name is left out: a password that begins with * looks like an alias.
            raise YamlFaultError("an alias (*) needs its anchor (&) above; text that begins with * needs quotes", line)
        return self._anchors[anchor]

    def _place(self, node: Node, line: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = (line, node)
            return
        parent = self._open[-1]
        parent.children.append((line, node))
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if parent.size > MOST_NODES:
            raise YamlFaultError(f"more than {MOST_NODES} values, counted with every alias written out", line)
        if parent.height > DEEPEST:
            raise YamlFaultError(f"nested more than {DEEPEST} deep, counted through aliases", line)


def compose(text: str) -> tuple[int, Node] | None:
    """The document's line and tree, or None when it holds no value; YamlFaultError when it cannot be read."""
    composer = _Composer()
    try:
        for event in yaml.parse(text, Loader=LOADER):
            composer.feed(event)
    except yaml.MarkedYAMLError as error:
        raise _marked(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else None
        raise YamlFaultError("invalid YAML: a character that no text file holds", line) from None
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML lets int() and chr() fail on absurd version directives and escapes.
        raise YamlFaultError("invalid YAML") from None
    return composer.root


def _marked(error: yaml.MarkedYAMLError) -> YamlFaultError:
    mark = error.problem_mark or error.context_mark
    parts = [_QUOTED.sub(_unquoted, part) for part in (error.context, error.problem) if part]
    text = "invalid YAML: " + ", ".join(parts)
    if "flow" in text:
        text += "; within { } and [ ], ${...} needs quotes"
    return YamlFaultError(text, mark.line + 1, mark.column + 1) if mark else YamlFaultError(text)


def _unquoted(match: re.Match[str]) -> str:
    return match[0] if len(match[2]) == 1 or match[2].startswith("<") else "..."


def _is_plain(event: Any, line: int) -> bool:
    _check_tag(event.tag, line)
    if event.tag is None:
        return bool(event.implicit[0])
    return str(event.tag) not in (f"{_CORE}str", "!")


def _check_tag(tag: str | None, line: int) -> None:
    if tag is not None and tag not in _TAGS:
        raise YamlFaultError("a tag (!) means nothing here; text that begins with ! needs quotes", line)
