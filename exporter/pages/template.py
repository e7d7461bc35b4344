"""Templates: found in this package, and safe from what names in a database may hold."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from exporter.pages import words
from exporter.pages.inlined import inlined

if TYPE_CHECKING:
    from jinja2 import Environment, Template

#: What of ``words`` templates write values with.
_FILTERS: Final = ("clip", "age", "span", "stamp", "clock", "hour", "count", "job_address")


def template(name: str) -> Template:
    """The template of that name."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    # Imported with the first visitor: a sidecar that is only scraped does without its two megabytes.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    made = Environment(
        loader=PackageLoader("exporter.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["inlined"] = inlined
    made.filters |= {name: getattr(words, name) for name in _FILTERS}
    return made
