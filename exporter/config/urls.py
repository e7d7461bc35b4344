"""Addresses of what triggers jobs, and of what is checked: no secret may stand in one, for it is shown and logged."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
#: What stands for a job's id in the address of a trigger.
JOB_ID: Final = "{job_id}"


def check_trigger_url(text: str) -> str:
    """The address as it is; ValueError unless it is one of HTTP. ``{job_id}`` may stand after the host."""
    expected = f"expected an address such as https://scheduler.internal/jobs/{JOB_ID}/run"
    parts = _split(text, ("http", "https"), expected)
    if "{" in parts.netloc or parts.fragment:
        raise ValueError(f"{expected}, with {JOB_ID} in path or query only and without #")
    return text


def check_redis_url(text: str) -> str:
    """The address as it is; ValueError unless it is redis://host[:port][/database], or rediss:// for TLS."""
    expected = "expected an address such as redis://redis:6379/0, or rediss:// for TLS"
    parts = _split(text, ("redis", "rediss"), expected)
    if parts.query or parts.fragment or not re.fullmatch(r"(/[0-9]{0,9})?", parts.path):
        raise ValueError(f"{expected}; after the host only the number of the database")
    return text


def check_page_url(text: str) -> str:
    """The address as it is; ValueError unless it is one of HTTP."""
    expected = "expected an address such as https://api.internal/health"
    if _split(text, ("http", "https"), expected).fragment:
        raise ValueError(f"{expected}, without #")
    return text


def check_broker(text: str) -> str:
    """The address as it is; ValueError unless it is host:port."""
    broker_place(text)
    return text


def broker_place(text: str) -> tuple[str, int]:
    """``("kafka-1", 9092)`` of ``kafka-1:9092``, of an IPv6 address without its brackets. Raises ValueError."""
    expected = "expected host:port, such as kafka-1:9092 or [::1]:9092"
    parts = _split(f"//{text}", ("",), expected)
    if parts.port is None or parts.path or parts.query or parts.fragment or parts.hostname is None:
        raise ValueError(expected)
    return parts.hostname, parts.port


def _split(text: str, schemes: tuple[str, ...], expected: str) -> SplitResult:
    if _BLANK.search(text):
        raise ValueError(f"{expected}, without blanks")
    try:
        parts = urlsplit(text)
        known = parts.scheme in schemes and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known:
        raise ValueError(expected)
    if "@" in parts.netloc:
        raise ValueError(f"{expected}; a user and a password have keys of their own: username and password")
    return parts
