"""Commands, flags and endpoints: what the documents show exists, and what exists is documented."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.serving import World

from exporter import cli
from exporter.api import FAMILIES
from exporter.pages.families import PAGES

if TYPE_CHECKING:
    from docs.conftest import Documents

ROOT = Path(__file__).parents[2]


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """The command line's parser, with whatever ran kept from running."""
    for name in ("PROMETHEUS_PORT", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    return cli._parser()


def commands(documents: Documents) -> Iterator[tuple[str, list[str]]]:
    """(place, words) of every command in a shell block, pipes taken apart."""
    for block in documents.blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in line.split("|"):
                words = shlex.split(part, comments=True)
                if words:
                    yield str(block), words


def test_shell_blocks_are_called_sh(documents: Documents) -> None:
    found = {block.info for block in documents.blocks()}
    assert not found & {"", "bash", "shell", "console"}


def test_our_commands_parse(documents: Documents, parser: argparse.ArgumentParser) -> None:
    ours = [(place, words[1:]) for place, words in commands(documents) if words[0] == "scheduler-exporter"]
    assert {words[0] for _, words in ours} >= {"serve", "schema", "profile"}
    for place, words in ours:
        try:
            parser.parse_args(words)
        except SystemExit:
            pytest.fail(f"{place}: the command line is refused: {' '.join(words)}")


def test_other_commands_exist(documents: Documents) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for place, words in commands(documents):
        if words[0] == "make":
            assert words[1] in targets, f"{place}: no make {words[1]}"
        else:
            known = (
                "scheduler-exporter",
                "python3",
                ".",
                "pip",
                "export",
                "psql",
                "kill",
                "curl",
                "amtool",
                "prometheus",
                "alertmanager",
                "sed",
                "docker",
                "helm",
                "kubectl",
            )
            assert words[0] in known, f"{place}: {words[0]}"


def test_commands_named_in_the_text_exist(documents: Documents, parser: argparse.ArgumentParser) -> None:
    subcommands = {name for action in parser._actions if action.choices for name in action.choices}
    named = [
        (file, command)
        for file in documents.texts
        for command in re.findall(r"`scheduler-exporter ([a-z][a-z-]*)", documents.prose(file))
    ]
    assert named
    for file, command in named:
        assert command in subcommands, f"{file}: scheduler-exporter {command}"


def test_every_command_says_what_it_does(parser: argparse.ArgumentParser) -> None:
    def walk(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
        yield parser
        for action in parser._actions:
            for inner in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
                yield from walk(inner)

    found = list(walk(parser))
    assert len(found) > 15
    for command in found:
        assert (command.description or "").endswith("."), command.prog
        assert not command.allow_abbrev, command.prog


def test_every_flag_is_documented_with_its_variable(documents: Documents, parser: argparse.ArgumentParser) -> None:
    text = documents.texts["docs/operations.md"]
    serve = next(action.choices["serve"] for action in parser._actions if action.choices)
    flags = [action for action in serve._actions if action.help is not argparse.SUPPRESS and action.dest != "help"]
    assert len(flags) > 15
    for action in flags:
        flag = action.option_strings[-1]
        assert f"| `{flag}` |" in text, flag
        variable = re.search(r"environment: (\w+)", action.help or "")
        if variable and not flag.startswith("--collector."):
            assert f"| `{flag}` | `{variable[1]}` |" in text, flag
    documented = set(re.findall(r"^\| `(--[\w.-]+)`", text, re.MULTILINE))
    assert documented == {action.option_strings[-1] for action in flags}


def test_every_endpoint_is_documented_with_the_role_it_needs(documents: Documents) -> None:
    served = {
        (endpoint.path, endpoint.method, endpoint.role.name.lower())
        for declare in (*FAMILIES, *PAGES)
        for endpoint in declare(World().context)
    }
    table = documents.texts["docs/operations.md"].partition("## Endpoints")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(/[^`]*)`[^|]*\| ([A-Z, ]+) \| (\w+) \|", table, re.MULTILINE)
    documented = {(path, method, role) for path, methods, role in rows for method in methods.split(", ")}
    assert documented == served
