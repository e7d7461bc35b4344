"""SQL that stands in a profile: one statement. PostgreSQL itself judges the rest (``profile check``)."""

from __future__ import annotations

import re
from typing import Final

# Quoted text, dollar-quoted text and comments: a semicolon inside them ends nothing. Each also takes a text
# that is never closed, to its end, so that the scan is linear.
_OPAQUE: Final = re.compile(
    r"""
      (?<![A-Za-z0-9_$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
    | '(?:[^']|'')*(?:'|\Z)
    | "(?:[^"]|"")*(?:"|\Z)
    | (?<![A-Za-z0-9_$])\$(?P<tag>(?:[A-Za-z_][A-Za-z0-9_]*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | --[^\n]*
    | /\*.*?(?:\*/|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)


def one_statement(text: str) -> str:
    """The statement without its trailing semicolon; ValueError when it is empty or a second one follows."""
    # Same length, so that positions hold; comments become blanks, quoted text something that is not blank.
    bare = _OPAQUE.sub(lambda match: (" " if match[0][0] in "-/" else "x") * len(match[0]), text)
    if not bare.replace(";", " ").strip():
        raise ValueError("expected a SELECT; it is empty")
    end = bare.find(";")
    if end < 0:
        return text.strip()
    if bare[end + 1 :].replace(";", " ").strip():
        raise ValueError("expected one statement; another one follows the semicolon")
    return text[:end].strip()
