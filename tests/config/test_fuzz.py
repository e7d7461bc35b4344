"""A thousand broken examples: each is refused with a place, or accepted because it is valid."""

from __future__ import annotations

import random
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest

from exporter.config import yaml_lines
from exporter.config.load import load_file
from exporter.config.model import Config
from exporter.config.redact import redacted
from exporter.errors import ConfigError

EXAMPLE = (Path(__file__).parents[2] / "config.example.yaml").read_text()
WHOLE = re.sub(r"^#(?=  )", "", EXAMPLE, flags=re.MULTILINE)
#: Comments would take most of the blows.
BARE = "\n".join(line for line in WHOLE.splitlines() if line.strip() and not line.lstrip().startswith("#")) + "\n"

PART = r"""(?:[A-Za-z0-9_-]+|\["(?:[^"\\]|\\.)*"\])"""
PATH = re.compile(rf"""c\.yaml(?::\d+)?: (?:\(root\)|{PART}(?:\.[A-Za-z0-9_-]+|\[\d+\]|\["(?:[^"\\]|\\.)*"\])*): .+""")
SYNTAX = re.compile(
    r"c\.yaml(?::\d+){0,2}: "
    r"(?:invalid YAML|the file is|a second document|nested more|more than|an alias|a tag)"
)

GARBAGE = [
    "", "~", "null", "true", "on", "No", "0", "-1", "007", "1e400", ".nan", "-.inf", "9" * 400, "0x1F",
    "1_000", "12:30", "2024-01-01", "15", "15s", "1m", "[]", "{}", "[[[[]]]]", "{a: {b: [c, {d: e}]}}", "'",
    '"', "'unclosed", '"\\u0000"', '"\\uD800"', "\\", "*a", "&a", "&a b", "!x y", "!!int x",
    "!!binary AAAA", "%x", "@x", "`x`", "? x", ": x", "- x", "|", ">", "|\n      text", "# x", "<<", "=",
    "${", "${X}", '"${X}"', '"${NOT_SET}"', '"${file:nope}"', '"${vault:a#b}"', '"${X:-1}"', "$$",
    "a: b: c", "\u202e\u0000", "\ufeff", "\u2028", "\x85", "名前", "🦄" * 50, "x" * 3000, "\t", " ",
    "postgresql://u:p@h:port/x", "host=h password='", "SELECT 1; SELECT 2", "SELECT $$;", "unix:/x",
    "[::1]:1", "/health",
]  # fmt: skip


def _line(lines: list[str], rng: random.Random) -> int:
    return rng.randrange(len(lines))


def delete_lines(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    at = _line(lines, rng)
    del lines[at : at + rng.choice([1, 1, 2, 7])]
    return "\n".join(lines)


def duplicate_lines(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    at, to = _line(lines, rng), _line(lines, rng)
    lines[to:to] = lines[at : at + rng.choice([1, 1, 3, 20])]
    return "\n".join(lines)


def rename_key(text: str, rng: random.Random) -> str:
    keys = list(re.finditer(r"\w+(?=:)", text))
    key = rng.choice(keys)
    name = rng.choice([key[0] + "s", key[0][1:], key[0].upper(), rng.choice(keys)[0], rng.choice(GARBAGE)])
    return text[: key.start()] + name + text[key.end() :]


def replace_value(text: str, rng: random.Random) -> str:
    value = rng.choice(list(re.finditer(r"(?<=: ).+$", text, re.MULTILINE)))
    return text[: value.start()] + rng.choice(GARBAGE) + text[value.end() :]


def swap_values(text: str, rng: random.Random) -> str:
    values = list(re.finditer(r"(?<=: ).+$", text, re.MULTILINE))
    first, second = sorted(rng.sample(values, 2), key=lambda match: match.start())
    middle = text[first.end() : second.start()]
    return text[: first.start()] + second[0] + middle + first[0] + text[second.end() :]


def indent(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    at = _line(lines, rng)
    lines[at] = rng.choice([" " + lines[at], lines[at][1:], lines[at].lstrip(), "\t" + lines[at], "  " + lines[at]])
    return "\n".join(lines)


def truncate(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text))]


def strip_quotes(text: str, rng: random.Random) -> str:
    quotes = [match.start() for match in re.finditer("[\"'\\[\\]{}]", text)]
    at = rng.choice(quotes)
    return text[:at] + text[at + 1 :]


def insert_garbage(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(GARBAGE) + text[at:]


def nest(text: str, rng: random.Random) -> str:
    depth = rng.choice([3, 30, 50, 3000])
    opening, closing = rng.choice([("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")])
    value = rng.choice(list(re.finditer(r"(?<=: ).+$", text, re.MULTILINE)))
    return text[: value.start()] + opening * depth + "x" + closing * depth + text[value.end() :]


def alias(text: str, rng: random.Random) -> str:
    values = list(re.finditer(r"(?<=: ).+$|(?<=:)$", text, re.MULTILINE))
    first, second = sorted(rng.sample(values, 2), key=lambda match: match.start())
    name = rng.choice([" *a", " {<<: *a}", " [*a, *a]"])
    return text[: first.start()] + " &a " + text[first.start() : second.start()] + name + text[second.end() :]


MUTATIONS: list[Callable[[str, random.Random], str]] = [
    delete_lines,
    duplicate_lines,
    rename_key,
    rename_key,
    replace_value,
    replace_value,
    replace_value,
    swap_values,
    indent,
    truncate,
    strip_quotes,
    insert_garbage,
    nest,
    alias,
]


def mutated(seed: int) -> bytes:
    """One broken example; the same for the same seed."""
    rng = random.Random(seed)
    text = rng.choice([EXAMPLE, WHOLE, BARE, BARE, BARE])
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        text = rng.choice(MUTATIONS)(text, rng) or "x"
        if not re.search(r": .+\n(?:.*\n)*.*: .", text):
            break  # too little is left to break
    content = bytearray(text, "utf-8", "surrogatepass")
    for _ in range(rng.choice([0, 0, 0, 0, 1, 5])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def conforms(hint: Any, value: Any) -> bool:
    """Whether a value is of the type that the model declares, without the reader's own knowledge of types."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return conforms(args[0], value)
    if origin in (Union, types.UnionType):
        return any(conforms(arg, value) for arg in args)
    if origin is Literal:
        return value in args
    if origin is tuple:
        return type(value) is tuple and all(conforms(args[0], item) for item in value)
    if origin is dict:
        return type(value) is dict and all(
            conforms(args[0], key) and conforms(args[1], item) for key, item in value.items()
        )
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return type(value) is hint and all(
            conforms(field.type, getattr(value, field.name)) for field in msgspec.structs.fields(hint)
        )
    # The model's own defaults for numbers are whole.
    return type(value) is hint or (hint is float and type(value) is int)


@pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("batch", range(10))
def test_a_broken_file_is_refused_with_a_place_or_valid(
    batch: int, parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_lines, "LOADER", getattr(yaml_lines.yaml, parser))
    monkeypatch.chdir(tmp_path)
    refused = 0
    for seed in range(batch * 100, batch * 100 + 100):
        Path("c.yaml").write_bytes(mutated(seed))
        try:
            config = load_file("c.yaml", {"X": "x"})
        except ConfigError as error:
            refused += 1
            for problem in error.problems:
                assert problem.isprintable(), seed
                assert PATH.fullmatch(problem) or (SYNTAX.match(problem) and len(error.problems) == 1), (
                    seed,
                    problem,
                )
        else:
            assert conforms(Config, config), seed
            assert redacted(config), seed
    # Most of the mutations are faults: the fuzzer is not idle.
    assert 50 <= refused <= 100
