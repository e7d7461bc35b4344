"""Content negotiation: which exposition format and coding a scraper takes, by RFC 9110's quality values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def wants_openmetrics(accept: str) -> bool:
    """Whether the ``Accept`` header prefers OpenMetrics (1.0.0 or above, or no version) to the text format.

    Agrees with ``prometheus_client.exposition.choose_encoder`` on what Prometheus sends, but heeds q (``q=0``
    forbids) and cannot be made to fail by a version that is no number.
    """
    openmetrics = text = 0.0
    for kind, parameters in _items(accept):
        quality = _quality(parameters)
        if kind == "application/openmetrics-text" and _at_least_one(parameters.get("version")):
            openmetrics = max(openmetrics, quality)
        elif kind in ("text/plain", "text/*", "*/*"):
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Whether gzip is allowed and not less welcome than no coding at all."""
    codings = {name: _quality(parameters) for name, parameters in _items(accept_encoding)}
    gzip = codings.get("gzip", codings.get("x-gzip", codings.get("*", 0.0)))
    return gzip > 0 and gzip >= codings.get("identity", 0.0)


def _items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for item in header.split(","):
        name, *rest = item.split(";")
        pairs = (part.partition("=") for part in rest)
        if name.strip():
            yield (
                name.strip().lower(),
                {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs},
            )


def _quality(parameters: dict[str, str]) -> float:
    try:
        value = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0


def _at_least_one(version: str | None) -> bool:
    return version is None or (version[:1].isascii() and version[:1].isdigit() and version[:2] != "0.")
