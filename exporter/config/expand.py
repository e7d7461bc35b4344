"""The references inside one string: ``${VAR}``, ``${VAR:-default}``, ``${file:/path}``, ``${vault:path#field}``.

``$$`` is a dollar sign. Works on values after the YAML has been parsed, so that no value can change the file's
structure. What is neither ``${`` nor ``$$`` stays: ``$1``, ``^foo$``, ``$HOME``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from exporter.config.addresses import check_vault_path
from exporter.config.references import FileReference, Reference, Template, VaultReference, escaped

#: Bytes; a secret, a DSN or a statement is far smaller.
LARGEST_FILE: Final = 1024 * 1024

_REFERENCE: Final = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
# Texts below name variables, files and paths in Vault, never a value; a malformed reference may be a password's own.
_MALFORMED: Final = "expected ${VAR}, ${VAR:-default}, ${file:/path} or ${vault:path#field}; write $${ for a literal ${"
_VAULT_MALFORMED: Final = (
    "expected ${vault:path#field}, the path of a secret and the name of a field in it, "
    "such as ${vault:secret/data/scheduler#password}"
)


class ExpandError(Exception):
    """A reference that cannot be followed; the text is safe to show."""


class Parsed(msgspec.Struct, frozen=True):
    """A text whose variables are followed; ``references`` are what is left, ``expanded`` whether there were any."""

    template: Template
    expanded: bool

    @property
    def references(self) -> tuple[Reference, ...]:
        """The files and the fields in Vault that the text refers to."""
        return tuple(part for part in self.template if not isinstance(part, str))


def parse(text: str, environ: Mapping[str, str], base_dir: Path) -> Parsed:
    """Take ``text`` apart. Files are below ``base_dir``, and not read. Raises ExpandError."""
    template: list[str | Reference] = []
    expanded = False
    place = 0
    for match in _REFERENCE.finditer(text):
        template.append(text[place : match.start()])
        place = match.end()
        if match[0] == "$$":
            template.append("$")
            continue
        if not match[2]:
            raise ExpandError(f'"${{" without "}}": {_MALFORMED}')
        expanded = True
        template.append(_refer(match[1], environ, base_dir))
    template.append(text[place:])
    return Parsed(_joined(template), expanded)


def _joined(parts: list[str | Reference]) -> Template:
    """The parts with neighbouring texts made one, and empty ones left out: equal templates then are equal values."""
    joined: list[str | Reference] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)


def _refer(reference: str, environ: Mapping[str, str], base_dir: Path) -> str | Reference:
    if reference.startswith("vault:"):
        return _vault(reference.removeprefix("vault:"))
    if reference.startswith("file:"):
        name = reference.removeprefix("file:")
        if not name:
            raise ExpandError(_MALFORMED)
        return FileReference(name, str(base_dir / name))
    match = _VARIABLE.fullmatch(reference)
    if match is None or "${" in reference:
        raise ExpandError(_MALFORMED)
    name, default = match[1], match[2]
    value = environ.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise ExpandError(f"the environment variable {name} is not set; ${{{name}:-default}} gives a default")
    return value


def _vault(text: str) -> VaultReference:
    path, _, field = (part.strip() for part in text.partition("#"))
    shown = "${vault:%s}" % escaped(text)  # noqa: UP031 - braces
    if not path.strip("/") or not field or not text.isprintable() or "${" in text:
        raise ExpandError(f"{shown}: {_VAULT_MALFORMED}")
    try:
        return VaultReference(check_vault_path(path), field)
    except ValueError as error:
        raise ExpandError(f"{shown}: {error}") from None


def read_file(reference: FileReference) -> str:
    """The content of a file without its last line end. Raises ExpandError."""
    try:
        with Path(reference.path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ExpandError(f"{reference}: the file is not UTF-8 text") from None
    except OSError as error:
        raise ExpandError(f"{reference}: {os.strerror(error.errno) if error.errno else 'cannot be read'}") from None
    except ValueError:
        raise ExpandError(f"{reference}: not a file name") from None
    if len(content) > LARGEST_FILE:
        raise ExpandError(f"{reference}: the file is larger than {LARGEST_FILE} bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ExpandError(f"{reference}: the file is empty")
    return text
