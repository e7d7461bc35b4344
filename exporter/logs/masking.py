"""The one masker: of every log line, every event for Sentry, every result and error text that the API shows or exports.

Secrets become ``<secret>``: known ones (``scrubber``), and what looks like one (``forms``). Personal data become
``<email>``, ``<phone>``, ``<card>``, ``<account>``, ``<name>`` or ``<personal>`` (``personal``, ``keys``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from exporter.config.secrets import REDACTED
from exporter.logs import forms, personal
from exporter.logs.keys import Kind, kind_of, like_a_name, one_name
from exporter.logs.personal import CARD, OTHER, PERSON, PHONE, is_card
from exporter.logs.scrubber import scrubber

#: Values within values that are followed; nobody nests deeper on purpose.
DEEPEST: Final = 100
#: A number of fewer digits is no card's.
_SMALLEST_CARD: Final = 10**12
_PHONE_DIGITS: Final = 5
#: Keys that only people have; those under which all belongs to one.
_TELLING: Final = frozenset({Kind.NAME, Kind.NUMBER, Kind.OTHER})
_WITHIN: Final = frozenset({Kind.PERSON, Kind.NAME, Kind.OTHER})
_INSTEAD: Final = {Kind.SECRET: REDACTED, Kind.NUMBER: PHONE, Kind.OTHER: OTHER}
#: PostgreSQL quotes the row that it refuses, and the keys that are taken.
_ROW: Final = re.compile(r"(?im)(failing row contains \()[^\n]*?(\)?\.?)$")
#: C0 and C1 but for tab and line feed, Unicode's own line ends, and halves of surrogate pairs, which are no text.
_CONTROL: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")
_NAMED: Final = re.compile(
    r"(?i)((?:\\?[\"'])?(?<![a-z])(?:first|last|full|given|family|middle|maiden|sur|customer|patient|recipient|employee|"
    r"cardholder)[_ -]?name(?:\\?[\"'])?\s{0,3}(?:=>|[:=])\s{0,3})"
    r"(\\\"[^\"]*\\\"|\"[^\"]*\"|'[^']*'|[^\W\d_][^\s,;&)}\]]*)"
)
_KEY_TAKEN: Final = re.compile(r"(Key \(([^)]{1,200})\)=\()([^)]*)(\))")


def without_secrets(text: str) -> str:
    """``text`` without secrets; personal data stay."""
    return scrubber.without_words(forms.without_secrets(scrubber.without_others(text)))


def masked_text(text: str) -> str:
    """``text`` without secrets and personal data."""
    text = without_secrets(text)
    if _quotes_data(text):
        text = _ROW.sub(r"\1<row>\2", text)
        text = _KEY_TAKEN.sub(_key_taken, text)
        text = _NAMED.sub(_named, text)
    return personal.without_personal(text)


def masked(value: Any) -> Any:
    """A JSON value without secrets and personal data: in texts, and under keys that name one. The type may change."""
    texts: list[str] = []
    _collect(value, texts, 0)
    # One look at all of it tells most values clean: the rules need not be tried on each text.
    return _Walk(_masks("\n".join(texts))).value(value, Kind.PLAIN, False, 0)


def _collect(value: Any, texts: list[str], depth: int) -> None:
    """Every text in ``value``, keys too."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict) and depth <= DEEPEST:
        for key, inner in value.items():
            texts.append(key)
            _collect(inner, texts, depth + 1)
    elif isinstance(value, list) and depth <= DEEPEST:
        for inner in value:
            _collect(inner, texts, depth + 1)


def _masks(text: str) -> Callable[[str], str]:
    """What has to be done to each part of ``text``: nothing, or no more than is worth trying."""
    if scrubber.finds(text) or forms.suspect(text) or _quotes_data(text):
        return masked_text
    return personal.without_personal if personal.suspect(text) else str


def _quotes_data(text: str) -> bool:
    return "ame" in text or "AME" in text or "ailing row" in text or "Key (" in text


def masked_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """What somebody logs, masked and fit for any format: no control characters, no objects that only we know."""
    plain: dict[str, Any] = masked({key: _plain(value) for key, value in fields.items()})
    return plain


def printable(text: str) -> str:
    r"""``text`` with control characters as ``\x1b``, but for line ends and tabs, which every format escapes itself.

    Some formats write them as they are: a carriage return in an id would begin a line that nobody logged.
    """
    return _CONTROL.sub(_escaped, text) if not text.isprintable() else text


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int | float | bool | None):
        return value
    if isinstance(value, dict):
        return {str(_plain(k)): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return printable(str(value))


def _named(found: re.Match[str]) -> str:
    quote = re.match(r"\\?[\"']", found[2])
    around = quote[0] if quote is not None else ""
    return f"{found[1]}{around}{PERSON}{around}"


def _key_taken(found: re.Match[str]) -> str:
    columns, values = found[2].split(","), found[3].split(",")
    if len(columns) != len(values):
        return f"{found[1]}<row>{found[4]}"
    pairs = [(kind_of(column.strip()), value.strip()) for column, value in zip(columns, values, strict=True)]
    shown = [_INSTEAD.get(kind, PERSON) if _hides(kind, value) else value for kind, value in pairs]
    return f"{found[1]}{', '.join(shown)}{found[4]}"


class _Walk:
    """Through a JSON value: what is within a person's object is that person's."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self._text = text

    def value(self, value: Any, kind: Kind, person: bool, depth: int) -> Any:
        """``value``, which stands under a key of this ``kind``, or in a list that does."""
        if depth > DEEPEST:
            return REDACTED
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return self._object(value, person, depth)
        if isinstance(value, list):
            return [self._under(kind, inner, person, depth + 1) for inner in value]
        if isinstance(value, int) and value >= _SMALLEST_CARD and is_card(str(value)):
            return CARD
        return value

    def _object(self, value: dict[str, Any], person: bool, depth: int) -> dict[str, Any]:
        kinds = {key: kind_of(key) for key in value}
        told = value.get("name", value.get("key"))
        if "value" in value and isinstance(told, str) and kind_of(told) is Kind.SECRET:
            kinds["value"] = Kind.SECRET  # a variable, a header, a setting
        some = set(kinds.values())
        person = person or not some.isdisjoint(_TELLING)
        # An address beside a name may be where a job's report goes: the name has to look like one.
        near = Kind.CONTACT in some
        shown = {}
        for key, inner in value.items():
            kind = kinds[key]
            if kind is Kind.ANY_NAME:
                named = person or (near and isinstance(inner, str) and (one_name(inner) or like_a_name(inner)))
                kind = Kind.NAME if named else Kind.PLAIN
            shown[self._text(key)] = self._under(kind, inner, person, depth + 1)
        return shown

    def _under(self, kind: Kind, value: Any, person: bool, depth: int) -> Any:
        # Nothing and true are nobody's.
        if value is None or isinstance(value, bool) or value == "":
            return value
        if _hides(kind, value):
            return _INSTEAD.get(kind, PERSON)
        return self.value(value, kind, (person and kind is not Kind.PLAIN) or kind in _WITHIN, depth)


def _hides(kind: Kind, value: Any) -> bool:
    match kind:
        case Kind.SECRET:  # a number is none: tokens are counted, too
            return isinstance(value, str | dict | list)
        case Kind.NAME:
            return isinstance(value, str)
        case Kind.NUMBER:
            return isinstance(value, str | int) and sum(c.isdecimal() for c in str(value)) >= _PHONE_DIGITS
        case Kind.OTHER:
            return isinstance(value, str | int | float)
        case Kind.MAYBE | Kind.PERSON:
            return isinstance(value, str) and like_a_name(value)
    return False
