"""``/debug/profile/cpu`` and ``/debug/profile/memory``: what this process is busy with, for admins, one at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec
import psutil
from aiohttp import web
from msgspec import Meta

from exporter.api.examples import example
from exporter.httpd.context import Context
from exporter.httpd.endpoint import APPLICATION_JSON, Answer, Endpoint, Family, Query
from exporter.httpd.problems import HttpError, json_response
from exporter.httpd.roles import Role
from exporter.threads import in_thread

if TYPE_CHECKING:
    from exporter.profiling import CpuProfile, MemoryProfile

T = TypeVar("T")

FAMILY: Final = Family(name="debug", description="What the exporter itself is busy with")
#: Functions that are told by name in JSON.
MOST_FUNCTIONS: Final = 100

#: Seconds between two looks at whether the client is still there.
LOOK: Final = 0.5

Seconds = Annotated[int, Meta(ge=1, le=60, description="How long, in seconds.")]
Format = Literal["collapsed", "json"]


class CpuAsked(msgspec.Struct, frozen=True):
    """For how long, how closely, and how it is told."""

    seconds: Seconds = 10
    rate: Annotated[int, Meta(ge=1, le=500, description="Looks a second.")] = 100
    format: Format = "collapsed"


class MemoryAsked(msgspec.Struct, frozen=True):
    """For how long, and how it is told."""

    seconds: Seconds = 10
    format: Format = "collapsed"


class SeenStack(msgspec.Struct, rename="camel"):
    """A thread's name and its frames, the innermost last; how often that was seen."""

    frames: list[str]
    samples: int


class SeenFunction(msgspec.Struct, rename="camel"):
    """How often a function was seen at work: itself, and with what it called."""

    function: str
    self_samples: int
    total_samples: int


class CpuAnswer(msgspec.Struct, rename="camel"):
    """``looks`` were made; ``threads`` has seconds of processor time by name, {} where the kernel does not tell."""

    seconds: float
    rate: int
    looks: int
    cpu_seconds: float
    threads: dict[str, float]
    functions: list[SeenFunction]
    stacks: list[SeenStack]


class HeldStack(msgspec.Struct, rename="camel"):
    """Places that allocated, the innermost last; what of it is held, and how much that grew in the second half."""

    frames: list[str]
    bytes: int
    blocks: int
    grown_bytes: int
    grown_blocks: int


class MemoryAnswer(msgspec.Struct, rename="camel"):
    """Of what was allocated meanwhile: bytes held at the end, and at the most; ``overheadBytes`` is tracing's own."""

    seconds: float
    rss_bytes: int
    traced_bytes: int
    peak_bytes: int
    overhead_bytes: int
    stacks: list[HeldStack]


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""
    desk = _Desk()

    async def cpu(call: Query[CpuAsked]) -> web.StreamResponse:
        from exporter.profiling import collapsed, sample_cpu  # noqa: PLC0415 - only who profiles pays for it

        asked = call.params
        profile = await desk.run(context, call, "cpu", lambda stop: sample_cpu(asked.seconds, asked.rate, stop))
        if asked.format == "json":
            return json_response(_cpu(profile, asked.rate))
        return web.Response(text=collapsed(profile.stacks))

    async def memory(call: Query[MemoryAsked]) -> web.StreamResponse:
        from exporter.profiling import collapsed, trace_memory  # noqa: PLC0415

        asked = call.params
        profile = await desk.run(context, call, "memory", lambda stop: trace_memory(asked.seconds, stop))
        if asked.format == "json":
            return json_response(_memory(profile))
        return web.Response(text=collapsed((each.stack, each.size) for each in profile.allocations))

    get = partial(Endpoint, family=FAMILY, role=Role.ADMIN, fails=(409,))
    media = ("text/plain", APPLICATION_JSON)
    text = "Lines as flame-graph tools read them, or JSON"
    return [
        get(
            path="/debug/profile/cpu",
            handler=cpu,
            params=CpuAsked,
            summary="What the processor is used for: stacks of running threads, sampled",
            answers={200: Answer(kind=CpuAnswer, media=media, description=text, example=example("profile_cpu"))},
        ),
        get(
            path="/debug/profile/memory",
            handler=memory,
            params=MemoryAsked,
            summary="What is allocated and stays: stacks with bytes, and what grew",
            answers={200: Answer(kind=MemoryAnswer, media=media, description=text, example=example("profile_memory"))},
        ),
    ]


class _Desk:
    """One profile at a time, whoever asks; each in the audit trail."""

    def __init__(self) -> None:
        self._taken = threading.Lock()

    async def run(self, context: Context, call: Query[Any], kind: str, work: Callable[[threading.Event], T]) -> T:
        """What ``work`` finds, in a thread of its own; it is told to stop when nobody waits any more."""
        entry = partial(call.entry, "profile", target=kind, detail=f"{call.params.seconds} s")
        if not self._taken.acquire(blocking=False):
            context.audit.record(entry("refused"))
            raise HttpError(409, "another profile is being taken; there is one at a time")
        context.audit.record(entry("success"))
        stop = threading.Event()
        working = asyncio.create_task(in_thread(lambda: self._to_its_end(work, stop), "profile"))
        try:
            # aiohttp lets a handler go on when its client has gone.
            while not (await asyncio.wait({working}, timeout=LOOK))[0] and call.request.transport is not None:
                pass
        finally:
            stop.set()
        return await working

    def _to_its_end(self, work: Callable[[threading.Event], T], stop: threading.Event) -> T:
        """Give the place free when the work has ended, not when nobody waits for it any more."""
        try:
            return work(stop)
        finally:
            self._taken.release()


def _cpu(profile: CpuProfile, rate: int) -> CpuAnswer:
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for stack, samples in profile.stacks:
        own[stack[-1]] += samples
        total.update(dict.fromkeys(stack[1:], samples))
    return CpuAnswer(
        seconds=round(profile.seconds, 3),
        rate=rate,
        looks=profile.looks,
        cpu_seconds=round(profile.cpu_seconds, 6),
        threads={name: round(seconds, 6) for name, seconds in profile.threads.items()},
        functions=[
            SeenFunction(function=name, self_samples=own[name], total_samples=samples)
            for name, samples in sorted(total.items(), key=lambda item: (-own[item[0]], -item[1]))[:MOST_FUNCTIONS]
        ],
        stacks=[SeenStack(frames=list(stack), samples=samples) for stack, samples in profile.stacks],
    )


def _memory(profile: MemoryProfile) -> MemoryAnswer:
    return MemoryAnswer(
        seconds=round(profile.seconds, 3),
        rss_bytes=psutil.Process().memory_info().rss,
        traced_bytes=profile.traced,
        peak_bytes=profile.peak,
        overhead_bytes=profile.overhead,
        stacks=[
            HeldStack(
                frames=list(each.stack),
                bytes=each.size,
                blocks=each.blocks,
                grown_bytes=each.grown_size,
                grown_blocks=each.grown_blocks,
            )
            for each in profile.allocations
        ],
    )
