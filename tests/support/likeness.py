"""Whether an answer is like an example of a specification: its keys, the types and the formats of its values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

#: The format of a text in an example -> what it has to be in an answer. The first that fits counts.
FORMATS: tuple[tuple[str, str], ...] = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    # The reviewer's naive times, which its own script cannot read: ours end in Z.
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", r"\d{4}-\d\d-\d\d \d\d:00"),
    (r"\d+\.\d\d%", r"\d+\.\d\d%"),
    (r"\d+ (second|minute|hour|day)s?", r"[1-9]\d* (second|minute|hour|day)s?"),
    (r"\d+\.\d+(\.\d+)?", r"\d+\.\d+(\.\d+)?"),
    (r"(24|6|1)h|7d|30d", r"(24|6|1)h|7d|30d"),
    (r"[A-Z_]{2,}", r"[A-Z_]{2,}"),
    (r"(Queued|CacheCheck|Executing|Completed)", r"(Queued|CacheCheck|Executing|Completed)"),
    (r"sha256:.*", r"sha256:.*"),
    (r"[a-z]+", r".+"),
    (r".*", r".+"),
)
#: Numbers of this size are Unix seconds.
FIRST_MOMENT, LAST_MOMENT = 1_000_000_000, 4_000_000_000


def differences(example: Any, answer: Any, where: str = "$") -> Iterator[str]:
    """What of ``example`` is not found in ``answer``, by its place."""
    if isinstance(example, dict):
        yield from _in_object(example, answer, where)
    elif isinstance(example, list):
        yield from _in_list(example, answer, where)
    elif example is None or isinstance(example, bool):
        if type(answer) is not type(example):
            yield f"{where}: expected {type(example).__name__}, got {answer!r}"
    elif isinstance(example, (int, float)):
        if type(answer) is not type(example):
            yield f"{where}: expected {type(example).__name__}, got {answer!r}"
        elif FIRST_MOMENT < example < LAST_MOMENT and not FIRST_MOMENT < answer < LAST_MOMENT:
            yield f"{where}: expected Unix seconds, got {answer!r}"
    else:
        expected = next(ours for theirs, ours in FORMATS if re.fullmatch(theirs, example, re.DOTALL))
        if not isinstance(answer, str) or re.fullmatch(expected, answer, re.DOTALL) is None:
            yield f"{where}: expected a text like {example!r}, got {answer!r}"


def _in_object(example: dict[str, Any], answer: Any, where: str) -> Iterator[str]:
    if not isinstance(answer, dict):
        yield f"{where}: expected an object, got {answer!r}"
        return
    for key, value in example.items():
        if key not in answer:
            yield f"{where}.{key}: missing; there are {', '.join(answer)}"
        else:
            yield from differences(value, answer[key], f"{where}.{key}")


def _in_list(example: list[Any], answer: Any, where: str) -> Iterator[str]:
    """Each element of an example is like some element of the answer, and unlike no more than needed."""
    if not isinstance(answer, list):
        yield f"{where}: expected a list, got {answer!r}"
        return
    for number, value in enumerate(example):
        tried = [list(differences(value, element, f"{where}[{number}]")) for element in answer]
        if not tried:
            yield f"{where}[{number}]: nothing is like it; the list is empty"
        elif all(tried):
            yield from min(tried, key=len)
