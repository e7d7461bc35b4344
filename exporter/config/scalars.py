"""One text to one value: numbers, booleans, durations, words, secrets; and the formats of single keys.

YAML's guesses about types are not used: the key's type decides. So ``on`` is a boolean where one is due and
text where text is due, ``0123`` is never octal, and a number where text is due is refused, not reformatted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from exporter.config.addresses import check_http_url, check_listen_address, check_telemetry_path, check_vault_path
from exporter.config.dsn import parse_dsn
from exporter.config.durations import parse_duration
from exporter.config.model import Dsn, Duration
from exporter.config.places import check_ports
from exporter.config.problems import nearest, show
from exporter.config.references import Template
from exporter.config.secrets import Secret
from exporter.config.shapes import Shape
from exporter.config.sql import one_statement
from exporter.config.urls import check_broker, check_page_url, check_redis_url, check_trigger_url

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_STRICT_BOOLEANS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
#: Booleans of YAML 1.1 (Prometheus and Helm read them so) but text in YAML 1.2.
_LOOSE_BOOLEANS: Final = {"yes": True, "on": True, "no": False, "off": False}
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LOGIN: Final = re.compile(r"://[^/\s]*@")
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9]+")

_MISS: Final[Any] = object()


class RefusedError(Exception):
    """A value that does not fit; the text says what was expected and, unless it is secret, what was there."""


def is_null(text: str, plain: bool) -> bool:
    """True for nothing, ``~`` and ``null`` without quotes."""
    return plain and text in _NULLS


def convert(shape: Shape, text: str, plain: bool | None, shown: str) -> Any:
    """The value that ``text`` is for a key of this shape, or RefusedError; an error may show ``shown``.

    ``plain`` tells text without quotes from text in quotes; None is a text that came from outside the file: a
    number where a number is due, text where text is due.
    """
    value = _converted(shape, text, plain is not False)
    if value is _MISS and plain is None:
        value = _converted(shape, text, False)
    if value is _MISS:
        raise RefusedError(_mismatch(shape, text, plain is not False, shown))
    return constrain(shape, value, shown)


def late(shape: Shape, template: Template) -> Secret | Dsn:
    """The secret or the connection string that ``template`` will be when it is followed. Raises RefusedError."""
    if Dsn not in shape.leaves:
        return Secret(template)
    dsn = Dsn(template)
    try:
        parse_dsn(dsn)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    return dsn


def constrain(shape: Shape, value: Any, shown: str) -> Any:
    """The value (some formats rewrite it) if it keeps the bounds and formats of its key, or RefusedError."""
    for meta in shape.metas:
        wrong = _out_of_bounds(meta, value)
        if wrong:
            raise RefusedError(f"expected {wrong}{_got(shown)}")
        check = FORMATS.get((meta.extra or {}).get("format", ""))
        if check is not None:
            try:
                value = check(value)
            except ValueError as error:
                raise RefusedError(f"{error}{_got(shown)}") from None
    return value


def _got(shown: str) -> str:
    # An address that is refused for the login in it shows the login to nobody.
    shown = _LOGIN.sub("://<secret>@", shown)
    return f"; got {show(shown)}" if shown.strip() else ""


def _converted(shape: Shape, text: str, plain: bool) -> Any:
    if text in shape.choices:
        return text
    for leaf in shape.leaves:
        value = _CONVERTERS[leaf](text, plain)
        if value is not _MISS:
            return value
    return _MISS


def _mismatch(shape: Shape, text: str, plain: bool, shown: str) -> str:
    got = _kind(text, plain)
    if shape.choices and not shape.leaves:
        return f"expected {shape.expected}; got {show(shown)}{nearest(text, shape.choices)}"
    if not shape.leaves:
        return f"expected {shape.expected}; got {got}"
    if {str, Secret, Dsn} & set(shape.leaves):
        # Only numbers, true, false and nothing end here; a secret is told by its kind alone.
        what = got if shape.secret or got == "nothing" else f"{got} {show(shown)}"
        return f"expected {shape.expected}; got {what}" + ("; put it in quotes" if got != "nothing" else "")
    hint = ""
    if Duration in shape.leaves and got == "a number":
        hint = " (a number needs a unit: 500ms, 15s, 5m)"
    elif not plain and _converted(shape, text, True) is not _MISS:
        hint = " (without the quotes)"
    elif _LEADING_ZERO.fullmatch(text):
        hint = " (without the leading zero)"
    return f"expected {shape.expected}; got {'nothing' if got == 'nothing' else show(shown)}{hint}"


def _kind(text: str, plain: bool) -> str:
    if is_null(text, plain):
        return "nothing"
    if plain and text in _STRICT_BOOLEANS:
        return "a boolean"
    return "a number" if plain and _is_number(text) else "text"


def _is_number(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text) or (_NUMBER.fullmatch(text) and not _LEADING_ZERO.fullmatch(text)))


def _duration(text: str, _plain: bool) -> Any:
    try:
        return parse_duration(text)
    except ValueError as error:
        if "at most" in str(error):
            raise RefusedError(str(error)) from None
        return _MISS


def _boolean(text: str, plain: bool) -> Any:
    if not plain:
        return _MISS
    return _STRICT_BOOLEANS.get(text, _LOOSE_BOOLEANS.get(text.lower(), _MISS))


def _integer(text: str, plain: bool) -> Any:
    return int(text) if plain and _INTEGER.fullmatch(text) else _MISS


def _number(text: str, plain: bool) -> Any:
    if not plain or not _is_number(text):
        return _MISS
    value = float(text)
    return value if math.isfinite(value) else _MISS


def _text(text: str, plain: bool) -> Any:
    if _kind(text, plain) != "text":
        return _MISS
    if not is_storable(text):
        raise RefusedError("expected text; it holds a NUL character or half of a surrogate pair")
    return text


def is_storable(text: str) -> bool:
    """False for text that neither PostgreSQL nor UTF-8 can hold: a NUL, half of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _secret(text: str, plain: bool) -> Any:
    value = _text(text, plain)
    if value == "":
        raise RefusedError("expected a secret text; got an empty one; leave the key out where there is none")
    return value if value is _MISS else Secret(value)


def _dsn(text: str, plain: bool) -> Any:
    value = _text(text, plain)
    if value is _MISS:
        return _MISS
    try:
        parse_dsn(value)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    return Dsn(value)


_CONVERTERS: Final[dict[type, Callable[[str, bool], Any]]] = {
    Duration: _duration,
    bool: _boolean,
    int: _integer,
    float: _number,
    Dsn: _dsn,
    Secret: _secret,
    str: _text,
}


def _out_of_bounds(meta: Any, value: Any) -> str | None:
    number = isinstance(value, int | float)
    sized = isinstance(value, str | tuple)
    wrong: Iterable[tuple[bool, str]] = (
        (number and meta.gt is not None and value <= meta.gt, f"more than {meta.gt}"),
        (number and meta.ge is not None and value < meta.ge, f"at least {meta.ge}"),
        (number and meta.lt is not None and value >= meta.lt, f"less than {meta.lt}"),
        (number and meta.le is not None and value > meta.le, f"at most {meta.le}"),
        (
            sized and meta.min_length is not None and not _holds(value, meta.min_length),
            "something that is not empty",
        ),
        (
            sized and meta.max_length is not None and len(value) > meta.max_length,
            f"at most {meta.max_length} characters",
        ),
    )
    return next((text for is_wrong, text in wrong if is_wrong), None)


def _holds(value: str | tuple[Any, ...], least: int) -> bool:
    # Blanks are no name, no host and no path.
    return len(value.strip() if isinstance(value, str) else value) >= least


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected a duration longer than 0")
    return value


FORMATS: Final[dict[str, Callable[[Any], Any]]] = {
    "positive": _positive,
    "sql": one_statement,
    "listen_address": check_listen_address,
    "ports": check_ports,
    "telemetry_path": check_telemetry_path,
    "http_url": check_http_url,
    "vault_path": check_vault_path,
    "trigger_url": check_trigger_url,
    "redis_url": check_redis_url,
    "page_url": check_page_url,
    "broker": check_broker,
}
