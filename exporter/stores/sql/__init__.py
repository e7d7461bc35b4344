"""The sidecar's own statements, one a file, each with a comment that says what it asks."""

from functools import cache
from importlib import resources


@cache
def statement(name: str) -> str:
    """The text of ``name``.sql."""
    return resources.files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
