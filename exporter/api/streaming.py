"""Long answers, written as they are made: JSON arrays and CSV, a page of rows at a time, so that memory stays flat.

A client that stops reading is waited for and then dropped; nothing of a store's is held meanwhile. An answer that
breaks off ends its connection: it must not look whole.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from exporter.errors import ExporterError

log = structlog.get_logger(component="export")

#: Seconds for which a client may take no byte.
WRITE_SECONDS: Final = 30.0
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Pages = AsyncGenerator[Sequence[msgspec.Struct], None]


class Json:
    """A JSON array, one object a line."""

    media: Final = "application/json; charset=utf-8"

    def __init__(self, _: type[msgspec.Struct]) -> None:
        self._any = False

    def begin(self) -> bytes:
        """What comes before the first row."""
        return b"["

    def rows(self, rows: Sequence[msgspec.Struct]) -> bytes:
        """Some rows."""
        text = b",\n".join(map(msgspec.json.encode, rows))
        before = b",\n" if self._any and rows else b"\n" if rows else b""
        self._any = self._any or bool(rows)
        return before + text

    def end(self) -> bytes:
        """What comes after the last row."""
        return b"\n]\n" if self._any else b"]\n"


class Csv:
    """Comma-separated values (RFC 4180) with a line of names; null is empty, what is no plain value is JSON."""

    media: Final = "text/csv; charset=utf-8; header=present"

    def __init__(self, row: type[msgspec.Struct]) -> None:
        self._row = row

    def begin(self) -> bytes:
        """The line of names."""
        return _csv([[field.encode_name for field in msgspec.structs.fields(self._row)]])

    def rows(self, rows: Sequence[msgspec.Struct]) -> bytes:
        """Some rows."""
        return _csv([[cell(value) for value in msgspec.structs.astuple(row)] for row in rows])

    def end(self) -> bytes:
        """Nothing."""
        return b""


FORMATS: Final[dict[str, type[Json] | type[Csv]]] = {"json": Json, "csv": Csv}


def cell(value: Any) -> object:
    """A value as CSV holds it. A text that a spreadsheet would run gets an apostrophe in front, as people type it."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return "" if value is None else value
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _csv(lines: Sequence[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(lines)
    return out.getvalue().encode("utf-8", "replace")


async def stream(request: web.Request, pages: Pages, writer: Json | Csv, filename: str) -> web.StreamResponse:
    """Answer with ``pages``. Their first error before anything was written is raised as it is."""
    headers = {"Content-Type": writer.media, "Content-Disposition": f'attachment; filename="{filename}"'}
    async with aclosing(pages):
        if request.method == "HEAD":
            return web.Response(headers=headers)
        first = await _first(pages)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            await _write(response, writer.begin() + writer.rows(first))
            async for page in pages:
                await _write(response, writer.rows(page))
                await asyncio.sleep(0)  # others have their turn, also while the client takes everything
            await _write(response, writer.end())
        except (ConnectionError, TimeoutError):
            log.info("a client went away or stopped reading", endpoint=request.path)
            _abort(request)
        except ExporterError as exc:
            log.warning("an export broke off", endpoint=request.path, error=str(exc))
            _abort(request)
    return response


async def _first(pages: Pages) -> Sequence[msgspec.Struct]:
    """The first page, empty where there is none: as the default of ``anext``, CPython 3.11 trips over a tuple."""
    try:
        return await anext(pages)
    except StopAsyncIteration:
        return ()


async def _write(response: web.StreamResponse, data: bytes) -> None:
    if data:
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(data)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
