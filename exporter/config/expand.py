"""``${VAR}``, ``${VAR:-default}`` and ``${file:/path}`` inside one string; ``$$`` is a dollar sign.

Runs after the YAML has been parsed, so that no value can change the file's structure. What is neither ``${``
nor ``$$`` stays: ``$1``, ``^foo$``, ``$HOME``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: Bytes; a secret, a DSN or a statement is far smaller.
LARGEST_FILE: Final = 1024 * 1024

_REFERENCE: Final = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
# Texts below name variables and files, never a value; a malformed reference may be a password's own "${".
_MALFORMED: Final = "expected ${VAR}, ${VAR:-default} or ${file:/path}; write $${ for a literal ${"
_VAULT: Final = "${vault:...} needs a vault section, which this version does not have"


class ExpandError(Exception):
    """A reference that cannot be followed; the text is safe to show."""


def expand(text: str, environ: Mapping[str, str], base_dir: Path) -> tuple[str, bool]:
    """The text with its references replaced, and whether there were any; files are below ``base_dir``."""
    if "$" not in text:
        return text, False
    followed = False

    def replace(match: re.Match[str]) -> str:
        nonlocal followed
        if match[0] == "$$":
            return "$"
        if not match[2]:
            raise ExpandError(f'"${{" without "}}": {_MALFORMED}')
        followed = True
        return _follow(match[1], environ, base_dir)

    return _REFERENCE.sub(replace, text), followed


def _follow(reference: str, environ: Mapping[str, str], base_dir: Path) -> str:
    if reference.startswith("vault:"):
        raise ExpandError(_VAULT)
    if reference.startswith("file:"):
        return _read(reference.removeprefix("file:"), base_dir)
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


def _read(name: str, base_dir: Path) -> str:
    shown = "${file:%s}" % name.encode("unicode_escape").decode("ascii")  # noqa: UP031 - braces
    if not name:
        raise ExpandError(_MALFORMED)
    try:
        with (base_dir / name).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ExpandError(f"{shown}: the file is not UTF-8 text") from None
    except OSError as error:
        raise ExpandError(f"{shown}: {os.strerror(error.errno) if error.errno else 'cannot be read'}") from None
    except ValueError:
        raise ExpandError(f"{shown}: not a file name") from None
    if len(content) > LARGEST_FILE:
        raise ExpandError(f"{shown}: the file is larger than {LARGEST_FILE} bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ExpandError(f"{shown}: the file is empty")
    return text
