"""A configuration file to a ``Config``, or one ConfigError with every fault of the file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from msgspec import Struct

from exporter.config.checks import CHECKS
from exporter.config.convert import Reader
from exporter.config.follow import Answers, Follower
from exporter.config.model import Config
from exporter.config.problems import Report
from exporter.config.references import VaultReference
from exporter.config.shapes import Shape
from exporter.config.yaml_lines import YamlFaultError, compose

#: Bytes. A thousand targets with every key set are a third of it.
LARGEST: Final = 1024 * 1024

#: Vault has not been asked yet.
NOTHING: Final[Answers] = {}
Section = TypeVar("Section", bound=Struct)


#: No answers, and no wish for any: values that only Vault knows are left open, the rest of the file is checked.
NOT_ASKED: Final[Answers | None] = None


class UnansweredError(Exception):
    """Keys that are no secrets have ``references`` to Vault: ask it (``config.vault`` says where), then read again."""

    def __init__(self, config: Any, references: Set[VaultReference]) -> None:
        super().__init__(f"{len(references)} references to Vault have to be followed first")
        self.config = config
        self.references = references


def load_file(path: str | Path, environ: Mapping[str, str] = os.environ, answers: Answers | None = NOTHING) -> Config:
    """The configuration in the file at ``path``; relative ``${file:...}`` are read from the file's directory.

    Raises ConfigError with a line for each fault: ``config.yaml:12: stores[0].intervall: unknown key; ...``, and
    UnansweredError for references to Vault that ``answers`` lacks. ``exporter.vault.references.load`` asks for them.
    """
    filename = str(path)
    report = Report(filename)
    text = read_text(path, report)
    report.raise_if_any()
    return load_text(text, filename=filename, environ=environ, base_dir=Path(path).parent, answers=answers)


def load_text(
    text: str, *, filename: str, environ: Mapping[str, str], base_dir: Path, answers: Answers | None = NOTHING
) -> Config:
    """The configuration in ``text``; faults name ``filename``; ``base_dir`` is for relative ``${file:}``."""
    return load_section(text, Config, filename=filename, environ=environ, base_dir=base_dir, answers=answers)


def load_section(
    text: str,
    section: type[Section],
    *,
    filename: str,
    environ: Mapping[str, str],
    base_dir: Path,
    answers: Answers | None = NOTHING,
) -> Section:
    """Any section of the model from a YAML document of its own, such as a Profile, under the same rules."""
    report = Report(filename)
    try:
        root = compose(text)
    except YamlFaultError as fault:
        report.add_syntax(fault.text, line=fault.line, column=fault.column)
        root = None
    else:
        if root is None:
            report.add_syntax("the file is empty; config.example.yaml shows every option")
    value = None
    follower = Follower(environ, base_dir, answers)
    if root is not None:
        report.locate((), root[0])
        value = Reader(report, follower, CHECKS).read(Shape(structs=(section,)), root[1], ())
        if getattr(value, "vault", None) is None:
            follower.refuse_without_vault(report)
    report.raise_if_any()
    if follower.unanswered and answers is not NOT_ASKED:
        raise UnansweredError(value, follower.unanswered)
    return cast(Section, value)


def read_text(path: str | Path, report: Report) -> str:
    """The file's text; what keeps it from being read goes into the report."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        report.add_syntax(f"cannot read the file: {os.strerror(error.errno) if error.errno else error}")
        return ""
    except ValueError:
        report.add_syntax("cannot read the file: not a file name")
        return ""
    if len(content) > LARGEST:
        report.add_syntax(f"the file is larger than {LARGEST} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        report.add_syntax("the file is not UTF-8 text", line=line)
        return ""
