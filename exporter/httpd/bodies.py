"""Bodies: JSON or a page's form, read into a struct, or a refusal that names the key and what was expected."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from exporter.httpd.problems import HttpError

BodyT = TypeVar("BodyT", bound=msgspec.Struct)

#: The media type of a form.
FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 50
_WHERE: Final = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`(?: - at `\$\.?(?P<where>.*)`)?")


@cache
def _decoder(struct: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(struct)


async def read_body(request: web.Request, struct: type[BodyT], *, nulls: bool = False) -> BodyT:
    """The request's body; its texts may have null characters with ``nulls`` only.

    HttpError 415 unless it says to be JSON, which no page of another site can unasked.
    """
    if request.content_type != "application/json":
        raise HttpError(415, "Content-Type: expected application/json")
    data = await request.read()
    if not nulls and rb"\u0000" in data:
        raise HttpError(400, "body: expected text without null characters")
    try:
        body: BodyT = _decoder(struct).decode(data)
    except msgspec.ValidationError as exc:
        raise HttpError(400, _explained(str(exc))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HttpError(400, "body: expected JSON in UTF-8") from None
    return body


async def read_form(request: web.Request, struct: type[BodyT]) -> BodyT:
    """The fields of a page's form; of one that is repeated the first counts. HttpError 400, 415."""
    if request.content_type != FORM:
        raise HttpError(415, f"Content-Type: expected {FORM}")
    try:
        pairs = parse_qsl((await request.read()).decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise HttpError(400, f"body: expected a form in UTF-8 of at most {_MAX_FIELDS} fields") from None
    try:
        return msgspec.convert(dict(reversed(pairs)), struct, strict=False)
    except msgspec.ValidationError as exc:
        raise HttpError(400, _explained(str(exc))) from None


def _explained(text: str) -> str:
    """msgspec's words with the key first: ``durationMinutes: expected `int`, got `str```."""
    missing = _MISSING.fullmatch(text)
    if missing is not None:
        where = ".".join(filter(None, (missing["where"], missing["name"])))
        return f"{where}: required"
    found = _WHERE.fullmatch(text)
    what, where = (found["what"], found["where"]) if found is not None else (text, "body")
    return f"{where or 'body'}: {what[:1].lower()}{what[1:]}"
