"""One request to a scheduler's own API, and all that may be wrong with its answer.

Belongs here: bounds, statuses, JSON, instruments. Does not: how a request is made (``outbound``), what an answer means
(``nativelink``, ``chronos``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from exporter.config.model import HttpStore
from exporter.errors import StoreError, StoreUnavailable
from exporter.instruments import RequestInstruments
from exporter.outbound import Answer, RemoteUnavailable, Reveal, ask

T = TypeVar("T")

#: Bytes of an answer, and of one that is a list: ten thousand workers take less. Who sends more is not waited for.
LARGEST: Final = 512 * 1024
LARGEST_LIST: Final = 4 * 1024 * 1024
_GONE: Final = frozenset({301, 302, 303, 307, 308})
_REFUSED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
#: Seconds for which a store that is asked too often is left alone at most, whatever it says.
LONGEST_PAUSE: Final = 300.0


class AnswerError(StoreError):
    """Something answers, but not what the API's documentation says. ``result`` tells what in a word."""

    def __init__(self, message: str, result: str) -> None:
        super().__init__(message)
        self.result = result


class Missing(AnswerError):
    """The API says that there is no such thing."""


class Client:
    """Asks one store. Each request has the store's timeout."""

    def __init__(self, config: HttpStore, reveal: Reveal, instruments: RequestInstruments) -> None:
        self._config = config
        self._reveal = reveal
        self._instruments = instruments
        self._resting_until = 0.0

    async def get(
        self,
        endpoint: str,
        kind: type[T],
        *,
        query: Sequence[tuple[str, str]] = (),
        path: str | None = None,
        accept: Sequence[int] = (200,),
        largest: int = LARGEST,
    ) -> T:
        """The answer of ``endpoint`` in its shape; ``path`` where the endpoint is a template, from ``quote``.

        StoreUnavailable when there is none, AnswerError when it is not what it should be. Texts are safe to show.
        """
        if (left := self._resting_until - time.monotonic()) > 0:
            raise AnswerError(
                f"{endpoint}: HTTP status 429; asked again in {left:.0f} s, as the API wants it", "status"
            )
        result = "ok"
        try:
            answer = await self._ask(path or endpoint, query, largest)
            if answer.status == _TOO_MANY:
                self._resting_until = time.monotonic() + min(answer.retry_after or 0, LONGEST_PAUSE)
            return _decoded(answer, kind, path or endpoint, accept)
        except RemoteUnavailable as e:
            result = e.reason
            raise StoreUnavailable(f"{endpoint}: {e}") from e
        except AnswerError as e:
            result = e.result
            raise
        finally:
            self._instruments.observe(store=self._config.name, endpoint=endpoint, result=result)

    async def _ask(self, path: str, query: Sequence[tuple[str, str]], largest: int) -> Answer:
        url = self._config.url + path
        return await ask(self._config, "GET", url, reveal=self._reveal, query=query, largest=largest, packed=False)


def _decoded(answer: Answer, kind: type[T], place: str, accept: Sequence[int]) -> T:
    status = answer.status
    if status in _GONE:
        raise AnswerError(f"{place}: redirects are not followed; url has to be the final address", "redirect")
    if status in _REFUSED:
        raise AnswerError(f"{place}: HTTP status {status}; look at the token", "auth")
    if status not in accept:
        error = Missing if status == _NOT_FOUND else AnswerError
        raise error(f"{place}: HTTP status {status}", "status")
    if answer.encoding not in (None, "identity"):
        raise AnswerError(f"{place}: a compressed answer, which nobody asked for", "answer")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        if not answer.ok:
            raise AnswerError(f"{place}: HTTP status {status}", "status") from e
        raise AnswerError(f"{place}: {_fault(e, answer)}", "answer") from e


def _fault(error: Exception, answer: Answer) -> str:
    """What is wrong with an answer, without what it holds."""
    if isinstance(error, msgspec.ValidationError):
        return f"not what the API should answer: {str(error)[:200]}"
    return "answers no JSON" if answer.body.strip() else "answers nothing"


def segment(text: str) -> str | None:
    """An id as a segment of a path; None for what no path can have as one."""
    return None if text in ("", ".", "..") else quote(text, safe="")
