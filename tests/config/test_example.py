"""``config.example.yaml`` loads, shows every option of the model, and says each default as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from exporter.config.durations import format_duration
from exporter.config.load import load_file, load_text
from exporter.config.model import Config, Duration, Profile
from exporter.config.shapes import Shape, shape_of

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
TEXT = EXAMPLE.read_text()
#: With the alternatives, which are commented out in the first column and keep their indentation.
WHOLE = re.sub(r"^#(?=  |vault:|dependencies:|packs:)", "", TEXT, flags=re.MULTILINE)

KEY = re.compile(r"^(\s*)(?:- )?([a-z_0-9]+):(?: |$)")


def options(section: type, path: str = "") -> Iterator[tuple[str, type, msgspec.structs.FieldInfo]]:
    """Every option of the model as ``stores[].interval``, with the section it is in."""
    for field in msgspec.structs.fields(section):
        name = f"{path}.{field.encode_name}".removeprefix(".")
        yield name, section, field
        shape: Shape | None = shape_of(field.type)
        if shape is not None and shape.item is not None:
            name, shape = f"{name}[]", shape.item
        for struct in shape.structs if shape else ():
            yield from options(struct, name)


def shown(data: Any, path: str = "") -> Iterator[str]:
    """The same for the keys of a YAML document."""
    if isinstance(data, dict):
        for key, value in data.items():
            name = f"{path}.{key}".removeprefix(".")
            yield name
            yield from shown(value, name)
    elif isinstance(data, list):
        for item in data:
            yield from shown(item, f"{path}[]")


#: A key of several kinds of section counts as the first one's, as its comment does.
OPTIONS = {name: (section, field) for name, section, field in reversed(list(options(Config)))}


def test_it_loads_as_it_is() -> None:
    config = load_file(EXAMPLE, {})
    assert config.stores[0].name == "main"
    assert config.stores[0].password is None


def test_it_loads_with_the_alternatives() -> None:
    config = load_text(WHOLE, filename="whole.yaml", environ={}, base_dir=EXAMPLE.parent)
    profile = config.stores[1].profile
    assert isinstance(profile, Profile)
    assert profile.cursor is not None
    assert profile.cursor.position == "SELECT max(id) FROM runs"


def test_every_option_is_shown() -> None:
    assert sorted(set(OPTIONS) - set(shown(yaml.safe_load(WHOLE)))) == []


def test_the_alternatives_are_the_only_options_that_are_commented_out() -> None:
    missing = set(OPTIONS) - set(shown(yaml.safe_load(TEXT)))
    http = ("url", "username", "token", "ca_file", "verify")
    stores = ("stores[].profile.", "stores[].trigger.", "stores[].vault", *(f"stores[].{key}" for key in http))
    told = tuple(f"alerting.{name}" for name in ("slack", "email", "webhook", "on_call", "teams"))
    alternatives = (*stores, *told, "connections.targets[].vault", "vault", "dependencies", "packs")
    assert {name for name in missing if not name.startswith(alternatives)} == set()


def comments() -> dict[str, str]:
    """The comment above each key, by the key's path; the first where a key stands more than once."""
    found: dict[str, str] = {}
    lines = WHOLE.splitlines()
    path: list[tuple[int, str]] = []
    for index, line in enumerate(lines):
        match = KEY.match(line)
        if match is None:
            continue
        indent = len(match[1]) + (2 if line.lstrip().startswith("- ") else 0)
        path = [(depth, name) for depth, name in path if depth < indent]
        name = match[2]
        path.append((indent, name))
        above = []
        for earlier in reversed(lines[:index]):
            if not earlier.lstrip().startswith("# "):
                break
            above.insert(0, earlier.lstrip()[2:])
        found.setdefault(".".join(part for _, part in path), " ".join(above))
    return found


COMMENTS = comments()


def rendered(value: Any) -> str:
    """A default as the comments write it."""
    if isinstance(value, Duration):
        return format_duration(value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return '""' if value == "" else str(value)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_comment_says_the_default(name: str) -> None:
    _, field = OPTIONS[name]
    comment = COMMENTS.get(name.replace("[]", ""), "")
    assert comment, f"{name} has no comment"
    if field.required:
        assert comment.endswith("Required.")
    elif not isinstance(default := field_default(field), msgspec.Struct):
        assert comment.endswith(f"Default: {rendered(default)}")


def field_default(field: msgspec.structs.FieldInfo) -> Any:
    """The default of an option, made anew where it is a mapping."""
    if field.default is not msgspec.NODEFAULT:
        return field.default
    assert field.default_factory is not msgspec.NODEFAULT
    return field.default_factory()
