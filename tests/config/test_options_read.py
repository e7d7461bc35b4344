"""Every option of the configuration is read by something: one that nothing reads promises what nobody keeps."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec

from exporter.config.alerting import ThresholdOverride, Thresholds
from exporter.config.model import Config
from exporter.config.profile import Profile
from exporter.config.shapes import Shape, keys_of, shape_of

SOURCE = Path(__file__).parents[2] / "exporter"
#: Read field by field, whatever their names: thresholds become series, SELECTs are asked by name.
BY_FIELD = (Thresholds, ThresholdOverride, Profile)


def structs(shape: Shape, seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    """Every section of the configuration, once."""
    for struct in shape.structs:
        if struct not in seen:
            seen.add(struct)
            yield struct
            for key in keys_of(struct).values():
                yield from structs(key.shape, seen)
    for inner in (shape.value, shape.item):
        if inner:
            yield from structs(inner, seen)


def test_every_option_is_read() -> None:
    trees = [ast.parse(file.read_text()) for file in SOURCE.rglob("*.py")]
    read = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    sections = list(structs(shape_of(Config), set()))
    assert len(sections) > 40
    dead = [
        f"{section.__name__}.{field.name}"
        for section in sections
        if section not in BY_FIELD
        for field in msgspec.structs.fields(section)
        if field.name not in read
    ]
    assert dead == []
