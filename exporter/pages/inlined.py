"""The style sheet and the script of the pages, which stand in the page itself; a policy names them by their hashes."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

STYLE: Final = "status.css"
SCRIPT: Final = "status.js"


@cache
def inlined(name: str) -> str:
    """A style sheet or script as it stands in the page."""
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def policy() -> str:
    """What a browser may do with a page: nothing runs but the page's own script, and nothing loads at all."""
    return (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; connect-src 'self';"
        " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _hash(name: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(inlined(name).encode()).digest()).decode()
