"""Headers of every answer: nothing is sniffed, framed, cached or told about versions."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Final

SERVER: Final = "scheduler-exporter"
_DEFAULTS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def harden(headers: MutableMapping[str, str], configured: Mapping[str, str], request_id: str | None) -> None:
    """Complete ``headers`` in place; a handler's own header stays, the operator's ``configured`` one wins.

    A configured empty text leaves that header out, as in the exporter-toolkit's format.
    """
    for name, value in _DEFAULTS.items():
        headers.setdefault(name, value)
    for name, value in configured.items():
        if value:
            headers[name] = value
        else:
            headers.pop(name, None)
    headers["Server"] = SERVER
    if request_id is not None:
        headers["X-Request-Id"] = request_id
