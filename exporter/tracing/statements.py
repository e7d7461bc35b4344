"""A statement as a trace may have it: without any value."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: Characters of a statement that are shown.
LONGEST: Final = 2_000
#: What SQL is made of, as far as it matters. Values come first: the letter before a text is a part of it.
_PARTS: Final = re.compile(
    r"""
      (?P<value>
          [eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)                                # texts with escapes
        | (?:[uU]&|[bBxXnN])?'(?:[^']|'')*(?:'|\Z)                       # texts, bits
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)            # texts in dollars
        | (?:\d|\.\d)[\w.]*                                              # numbers
      )
    | (?P<kept>"(?:[^"]|"")*" | \$\d+ | [^\W\d][\w$]*)                  # names, parameters, words
    | (?P<gap>--[^\n]* | /\*.*?(?:\*/|\Z) | \s+)                         # comments and blanks
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=256)
def without_values(sql: str) -> str:
    """``sql`` on one line with ``?`` for each text and number in it, without comments, and not too long."""
    text = _PARTS.sub(_shown, sql).strip()
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def _shown(found: re.Match[str]) -> str:
    if found["kept"] is not None:
        return found["kept"]
    return " " if found["gap"] is not None else "?"
