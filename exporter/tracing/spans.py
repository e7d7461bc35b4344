"""A span for those who make one: a context manager that costs a function call where nothing is traced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from structlog.contextvars import clear_contextvars

Kind = Literal["internal", "server", "client"]
#: What an attribute may be; None is left out.
Value = str | int | float | bool | None
#: ``version-trace-parent-flags`` of W3C's Trace Context; ids of zeros are none.
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


class Span(Protocol):
    """What is told of something while it is done. It ends with its ``with`` block."""

    def __enter__(self) -> Self:
        """Begin; what is done within belongs to it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End. An error that comes through is told by its type, and by its text where that is ours."""

    @property
    def recording(self) -> bool:
        """Whether anything that is told of it goes anywhere."""

    def set(self, name: str, value: Value) -> None:
        """Tell one thing more. Secrets that are known are taken out of texts."""

    def failed(self, kind: str, text: str = "") -> None:
        """It went wrong: ``kind`` is a word or an error's type, ``text`` safe to show."""


class _Nothing:
    """The span where nothing is traced."""

    __slots__ = ()
    recording = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def set(self, name: str, value: Value) -> None: ...

    def failed(self, kind: str, text: str = "") -> None: ...


NOTHING: Final = _Nothing()


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self,
        name: str,
        operation: str,
        kind: Kind,
        *,
        root: bool,
        caller: Mapping[str, str] | None,
        attributes: Mapping[str, Value],
    ) -> Span:
        """As the function ``span``."""

    def carried(self) -> Mapping[str, str]:
        """As the function ``carried``."""

    def detach(self) -> None:
        """As the function ``detach``."""


_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Make spans with ``tracer`` from now on; None: no spans."""
    global _tracer  # noqa: PLW0603 - one for the process, as the scrubber is
    _tracer = tracer


def span(
    name: str,
    operation: str,
    kind: Kind = "internal",
    *,
    root: bool = False,
    caller: Mapping[str, str] | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> Span:
    """A span for a ``with`` block.

    ``name`` is one of few, ``operation`` what kind of thing is done (request, poll, check ...). It belongs to the span
    it is made in, or with ``root`` to none; ``caller`` are the headers of a request, whose ``traceparent`` comes first.
    """
    if _tracer is None:
        return NOTHING
    return _tracer.span(name, operation, kind, root=root, caller=caller, attributes=attributes or {})


def carried() -> Mapping[str, str]:
    """The headers that tell another service which trace a request to it belongs to; none outside of spans."""
    return {} if _tracer is None else _tracer.carried()


def told_by(headers: Mapping[str, str]) -> dict[str, str]:
    """What a caller's ``traceparent`` gives the log, whether or not this process traces: its ``trace_id``."""
    given = headers.get("traceparent")
    found = None if given is None else _TRACEPARENT.fullmatch(given.strip())
    return {} if found is None else {"trace_id": found[1]}


def detach() -> None:
    """Say that this task goes on when what began it has ended: neither its request nor its trace is this task's.

    A task inherits both from whoever made it, and a reload by request makes tasks that live for ever.
    """
    clear_contextvars()
    if _tracer is not None:
        _tracer.detach()
