"""Parameters: a struct of them is read from path and query, each within its bounds, or the request is refused.

The struct's fields have one of the types below, a ``Literal`` of texts, ``bool`` or ``int`` with ``Meta(ge, le)``;
``| None`` with the default None where a parameter may be missing; ``tuple[str, ...]`` where it may be repeated.
Else a repeated parameter counts once, the first time. What the struct does not name is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, inspect

from exporter.httpd.problems import HttpError

ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)

#: Characters that a parameter may have.
MAX_TEXT: Final = 500
#: How often a parameter may be repeated where that means something.
MAX_REPEATED: Final = 50
#: Parameters that a query may have, known or not.
_MAX_FIELDS: Final = 100
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - subtracted from times whose offset was taken off by hand
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)
#: Digits of a number that is read at all; nothing here is bounded by more.
_DIGITS: Final = 18
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII)


class Moment(float):
    """Unix seconds, given as an ISO date (its beginning, in UTC) or date and time (in UTC unless it says its zone)."""

    __slots__ = ()


def limit_to(most: int) -> Meta:
    """Bounds of a ``limit``: below 1 is refused, above ``most`` is taken as ``most``.

    ``limit: Annotated[int, limit_to(100)] = 20``.
    """
    return Meta(ge=1, extra={"most": most}, description=f"At most {most}; what is above is taken as {most}.")


#: Any text of one line.
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
#: How many entries an answer leaves out at its beginning.
Offset = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class Kind(msgspec.Struct, frozen=True):
    """How a text is read (ValueError when it cannot be), what is expected in words, and in JSON Schema."""

    read: Callable[[str], Any]
    expected: str
    schema: Mapping[str, Any]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a parameters' struct; ``name`` as it is written in path or query."""

    name: str
    field: str
    kind: Kind
    required: bool
    repeated: bool
    default: Any
    description: str
    example: str | None


@cache
def parameters_of(struct: type[msgspec.Struct]) -> tuple[Parameter, ...]:
    """The parameters that a struct stands for; TypeError for a field of a type that is none."""
    found = []
    for field in msgspec.structs.fields(struct):
        kind, repeated, told = _taken_apart(inspect.type_info(field.type), _words_of(field.type))
        found.append(
            Parameter(
                name=field.encode_name,
                field=field.name,
                kind=kind,
                required=field.required,
                repeated=repeated,
                default=None if field.required else field.default,
                description=told.get("description", ""),
                example=next(iter(told.get("examples", ())), None),
            )
        )
    return tuple(found)


def read_params(struct: type[ParamsT], path: Mapping[str, str], query: str) -> ParamsT:
    """``struct`` from a path's parts (decoded) and a query as it was sent.

    HttpError 400 with the parameter's name and what was expected; 404 for a part of the path that cannot be anything's
    name: an id that does not exist is not found, whatever its form.
    """
    given = _pairs(query) if query else {}
    values: dict[str, Any] = {}
    for parameter in parameters_of(struct):
        name, kind = parameter.name, parameter.kind
        if name in path:
            values[parameter.field] = _read(kind, path[name], HttpError(404, f"{name}: not found"))
        elif name in given:
            refused = HttpError(400, f"{name}: expected {kind.expected}")
            read = [_read(kind, text, refused) for text in given[name]]
            if parameter.repeated and len(read) > MAX_REPEATED:
                raise HttpError(400, f"{name}: expected at most {MAX_REPEATED} of them")
            values[parameter.field] = tuple(read) if parameter.repeated else read[0]
        elif parameter.required:
            raise HttpError(400, f"{name}: required; expected {kind.expected}")
    return struct(**values)


def _pairs(query: str) -> dict[str, list[str]]:
    try:
        # surrogateescape keeps bytes that are not UTF-8 for the check of the parameter that they are in
        pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise HttpError(400, f"query: expected at most {_MAX_FIELDS} parameters") from None
    found: dict[str, list[str]] = {}
    for name, text in pairs:
        found.setdefault(name, []).append(text)
    return found


def _read(kind: Kind, text: str, refused: HttpError) -> Any:
    try:
        text.encode()
        if _CONTROL.search(text):
            raise ValueError("a control character")
        return kind.read(text)
    except ValueError:
        raise refused from None


def _words_of(annotation: Any) -> tuple[str, ...]:
    """The words of the ``Literal`` in an annotation, in their order; ``inspect`` sorts them."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((words for part in get_args(annotation) if (words := _words_of(part))), ())


def _taken_apart(shape: Any, words: tuple[str, ...]) -> tuple[Kind, bool, Mapping[str, Any]]:
    """Kind, whether repeated, and what else is told of the parameter."""
    told: Mapping[str, Any] = {}
    most = None
    if isinstance(shape, inspect.UnionType):
        (shape,) = (one for one in shape.types if not isinstance(one, inspect.NoneType))
    if isinstance(shape, inspect.Metadata):
        told = shape.extra_json_schema or {}
        most = (shape.extra or {}).get("most")
        shape = shape.type
    if isinstance(shape, inspect.VarTupleType):
        return _taken_apart(shape.item_type, words)[0], True, told
    return _kind(shape, words, most), False, told


def _kind(shape: Any, words: tuple[str, ...], most: int | None) -> Kind:
    match shape:
        case inspect.LiteralType():
            return _words(words)
        case inspect.BoolType():
            return _words(("true", "false"), lambda text: text == "true")
        case inspect.IntType():
            return _number(shape.ge or 0, shape.le, most)
        case inspect.StrType():
            return _text(shape.min_length or 0, shape.max_length or MAX_TEXT)
        case inspect.CustomType(cls=cls) if cls is Moment:
            return _MOMENT
    raise TypeError(f"no parameter has the type {shape}")


def _words(words: Sequence[str], convert: Callable[[str], Any] = str) -> Kind:
    def read(text: str) -> Any:
        if text not in words:
            raise ValueError(text)
        return convert(text)

    schema = {"type": "boolean"} if words == ("true", "false") else {"type": "string", "enum": list(words)}
    return Kind(read, f"one of {', '.join(words)}", schema)


def _number(least: int, greatest: int | None, most: int | None) -> Kind:
    bound = greatest if greatest is not None else 10**_DIGITS

    def read(text: str) -> int:
        if _WHOLE.fullmatch(text) is None:
            raise ValueError(text)
        # int() refuses thousands of digits with an error of its own; a number so long is beyond each bound
        number = int(text) if len(text) <= _DIGITS else bound + 1 if text[0] != "-" else least - 1
        if most is not None and number > most:
            return most
        if not least <= number <= bound:
            raise ValueError(text)
        return number

    schema = {"type": "integer", "minimum": least}
    if most is not None:
        return Kind(read, f"a whole number from {least}", schema)
    return Kind(read, f"a whole number from {least} to {bound}", {**schema, "maximum": bound})


def _text(least: int, most: int) -> Kind:
    def read(text: str) -> str:
        if not least <= len(text) <= most:
            raise ValueError(text)
        return text

    expected = f"one line of {least} to {most} characters in UTF-8"
    return Kind(read, expected, {"type": "string", "minLength": least, "maxLength": most, "pattern": _ONE_LINE})


#: No control characters, in a form that every dialect of regular expressions reads alike.
_ONE_LINE: Final = r"^[^\x00-\x1f\x7f]*$"


def _moment(text: str) -> Moment:
    if _ISO.fullmatch(text) is None:
        raise ValueError(text)
    found = datetime.fromisoformat(text.upper().replace(",", "."))
    offset = found.utcoffset() or timedelta(0)
    # Not timestamp(): an hour before the year 1 has a number of seconds, but no datetime.
    return Moment((found.replace(tzinfo=None) - _EPOCH - offset).total_seconds())


_MOMENT: Final = Kind(
    _moment,
    "an ISO date or time such as 2026-01-28T15:30:00Z",
    {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]},
)
