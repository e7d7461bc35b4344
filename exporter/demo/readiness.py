"""Asking over HTTP whether a child is ready, and whether a scrape is complete."""

from __future__ import annotations

import http.client
import re
import urllib.request
from typing import Final

COMPLETE: Final = (
    re.compile(r'^scheduling_store_up\{store="demo"\} 1(\.0)?$', re.MULTILINE),
    re.compile(r"^scheduling_executions_total\{.*\} [0-9.e+]+$", re.MULTILINE),
    re.compile(r'^scheduling_connection_up\{connection="shop"\} 1(\.0)?$', re.MULTILINE),
)
"""What a first complete scrape holds: the store is up, its executions are counted, its server was checked."""


def fetch(url: str, timeout: float = 2) -> str | None:
    """The body of a 200 answer; None for anything else, for nobody is there yet."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            body: bytes = response.read()
            return body.decode()
    except (OSError, http.client.HTTPException):  # URLError and HTTPError are OSErrors
        return None


def is_complete(metrics: str | None) -> bool:
    """Whether an exposition holds everything a first complete one must."""
    return metrics is not None and all(pattern.search(metrics) for pattern in COMPLETE)
