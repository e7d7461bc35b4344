"""One run: everything is started, somebody comes by, the sidecar is looked at from outside, the curves are judged."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from support.polling import until
from support.scheduler import clock

from soak import workload
from soak.curves import LIMITS, MIB, MINUTES, Found, Kept, Limit, Sample, judge, told
from soak.visitors import Disturber, Reader, Repeated, Scraper, Sleeper
from soak.world import World, connect, size, soaked

Say = Callable[[str], object]
#: Seconds before those that count, in which everybody but the scheduler comes by so many times as often: whatever meets
#: by chance has met then, and the allocators have what that takes.
WARM, HURRY = 300.0, 4.0
#: Statuses of finished executions, and task types; both once more for what is cut off.
_CELLS: Final = 4 * 7
#: Seconds: what the page says of the last 5 s is made every 5 s, and asked for as often.
LAG_AGE: Final = 20.0
#: Bytes of the state file for a new row of statistics (0.4 kB were measured), and beside all rows: half-empty pages.
ROW, SLACK = 1024, MIB


@dataclass(frozen=True)
class Plan:
    """How long to look once all is warm (s), and the interpreter whose environment the sidecar runs in."""

    seconds: float
    python: str = sys.executable

    @property
    def limits(self) -> Mapping[str, Limit]:
        """How the curves may go."""
        return MINUTES if self.seconds < 600 else LIMITS

    @property
    def disturbed_every(self) -> float:
        """Between two reloads, and two cuts of every connection."""
        return min(60.0, self.seconds / 20)

    @property
    def every(self) -> float:
        """Between two looks."""
        return min(5.0, self.seconds / 300)


@dataclass
class Verdict:
    """What was found, and what of it is wrong."""

    kept: Kept
    found: list[Found]
    figures: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """For people: each curve, what happened, what is wrong."""
        warm, end = self.kept.warm, self.kept.samples[-1].at
        lines = [f"from {warm:.0f} to {end:.0f} s, {len(self.kept.samples)} looks:"]
        lines += [
            f"  {found.name:12}"
            + "".join(f"  {what} {told(found.name, getattr(found, what)):>9}" for what in ("growth", "median", "worst"))
            for found in self.found
        ]
        lines += [f"  {name}: {figure}" for name, figure in self.figures.items()]
        return "\n".join([*lines, *(f"WRONG: {line}" for line in self.wrong), "" if self.wrong else "all is well"])


def run(plan: Plan, directory: Path, say: Say = print) -> Verdict:
    """A whole run. Raises what whoever came by met, and AssertionError where the sidecar ends."""
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(soaked(directory, plan.python))
        scheduler = stack.enter_context(connect(world.database))
        scraper = stack.enter_context(contextlib.closing(Scraper(world.sidecar)))
        sleeper = Sleeper()
        sleeper.start()
        stack.callback(sleeper.end)
        reader, disturber = Reader(world), Disturber(world)
        history, again = workload.finished(scheduler), plan.disturbed_every
        working = [
            Repeated("scheduler", 0.4, lambda: workload.turn(scheduler)),
            Repeated("Prometheus", 5.0, scraper.scrape),
            Repeated("reader", 0.2, reader.ask),
            Repeated("page", 3.0, reader.look),
            Repeated("reload", again, disturber.reload),
            Repeated("cut", again * 0.8, disturber.disconnect),
        ]
        say(f"{WARM:g} s to warm up, {plan.seconds:g} s that count; reloaded and cut off every {again:.0f} s or so")
        for thread in working[1:]:
            thread.hurry = HURRY
        with _at_work(working):
            kept, rows = _watch(plan, world, scraper, sleeper, working, say, reader.forget)
        verdict = Verdict(kept, judge(kept.samples, WARM, plan.limits))
        verdict.wrong += [line for found in verdict.found for line in found.wrong]
        _judge_state(verdict, rows)
        _judge_end(verdict, world, reader, history)
        verdict.figures |= {thread.name: f"{thread.times} times" for thread in working}
        verdict.figures["connections cut"] = str(disturber.cut)
        return verdict


@contextlib.contextmanager
def _at_work(threads: list[Repeated]) -> Iterator[None]:
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.end()


def _watch(
    plan: Plan,
    world: World,
    scraper: Scraper,
    sleeper: Sleeper,
    working: list[Repeated],
    say: Say,
    warm: Callable[[], None],
) -> tuple[Kept, list[dict[str, int]]]:
    """The curves, and the rows of the state file when all was warm (``warm`` is called then) and at the end."""
    process = psutil.Process(world.sidecar.process.pid)
    began, samples = time.monotonic(), list[Sample]()
    rows: list[dict[str, int]] = []
    told_at = 0.0
    while (at := time.monotonic() - began) < WARM + plan.seconds:
        for thread in working:
            if thread.failed is not None:
                raise thread.failed
        sample = look(process, at, world, scraper, sleeper)
        samples.append(sample)
        if at >= WARM and not rows:
            rows.append(world.rows())
            warm()
            for thread in working:
                thread.hurry = 1.0
        if at - told_at >= 30:
            told_at = at
            say(f"{at:6.0f} s  {_short(sample)}")
        time.sleep(max(0.0, began + at + plan.every - time.monotonic()))
    return Kept(warm=WARM, samples=samples), [*rows, world.rows()]


def look(process: psutil.Process, at: float, world: World, scraper: Scraper, sleeper: Sleeper) -> Sample:
    """The process as the kernel tells of it, and what its page said last."""
    memory, used = _memory(process.pid), process.cpu_times()
    return Sample(
        at=round(at, 2),
        private=memory["Private_Clean"] + memory["Private_Dirty"],
        written=memory["Private_Dirty"],
        resident=memory["Rss"],
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        state=size(world.sidecar),
        processor=used.user + used.system,
        tasks=scraper.tasks,
        lag=scraper.lag,
        late=round(sleeper.worst(LAG_AGE), 4),
    )


def _memory(pid: int) -> dict[str, int]:
    """The kernel's sums over the process's pages, in bytes."""
    lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    return {name.rstrip(":"): 1024 * int(kib) for name, kib, _ in lines}


def _short(sample: Sample) -> str:
    names = ("private", "written", "descriptors", "threads", "tasks", "lag", "state")
    values = [(name, getattr(sample, name)) for name in names]
    return ", ".join(f"{name} {'?' if value is None else told(name, value)}" for name, value in values)


def _judge_state(verdict: Verdict, rows: list[dict[str, int]]) -> None:
    """The state file may grow by the cells of each new minute and hour, and by what somebody did; by nothing else."""
    before, after = rows
    measured = [sample for sample in verdict.kept.samples if sample.at >= verdict.kept.warm]
    first, last = measured[0], measured[-1]
    minutes = (last.at - first.at) / 60
    new = {name: after[name] - count for name, count in before.items() if after[name] != count}
    grown = last.state - first.state
    verdict.figures["rows of the state file"] = ", ".join(f"{name} {count:+}" for name, count in new.items()) or "none"
    verdict.figures["state file"] = f"{told('state', grown)} more, {told('state', last.state)}"
    share = (last.processor - first.processor) / (last.at - first.at)
    verdict.figures["processor"] = f"{100 * share:.1f}% of a core"
    verdict.wrong += judge_rows(before, after, minutes)
    most = max(0, new.get("rollup", 0)) * ROW + SLACK
    if grown > most:
        verdict.wrong.append(f"state: it grew by {told('state', grown)}, its new rows explain {told('state', most)}")


def judge_rows(before: dict[str, int], after: dict[str, int], minutes: float) -> list[str]:
    """What has more rows than so many minutes bring.

    Statistics have a row for each task type and outcome in each minute and hour; the audit trail one for each reload;
    a key is kept for late_window, and how many there are changes with what is open. A series may come late: one of a
    status that is seldom.
    """
    cells = (minutes + 2) * _CELLS + (minutes / 60 + 2) * 2 * _CELLS
    most = {
        "rollup": cells,
        "error_hour": (minutes / 60 + 1) * 20,
        "audit": 8 * minutes + 10,
        "seen": 200,
        "series": 10,
        "exposed": 30,
    }
    return [
        f"state: {name} has {after[name] - count} rows more, at most {most.get(name, 0):.0f} are new"
        for name, count in before.items()
        if after[name] - count > most.get(name, 0)
    ]


def _judge_end(verdict: Verdict, world: World, reader: Reader, history: int) -> None:
    """Nothing went wrong meanwhile, and it ends as it should."""
    answers = reader.answers
    verdict.figures["answers"] = ", ".join(f"{count} with {status}" for status, count in sorted(answers.items()))
    if answers[503] > 0.1 * answers.total():
        verdict.wrong.append(f"{answers[503]} of {answers.total()} answers were 503")
    with world.database.connect() as connection:
        metrics = world.sidecar.settled(since=clock(connection))
        wanted = workload.finished(connection) - history
    counted = sum(metrics.series("scheduling_executions_total").values())
    verdict.figures["executions"] = f"{counted:.0f} counted of {wanted}"
    if counted != wanted:
        verdict.wrong.append(f"{counted:.0f} executions were counted, {wanted} ended")
    errors = [line["message"] for line in world.sidecar.events() if line.get("level") in ("ERROR", "CRITICAL")]
    verdict.wrong += [f"it logged: {message}" for message in errors[:5]]
    if (status := world.sidecar.stop(seconds=60)) != 0:
        verdict.wrong.append(f"it ended with status {status}")
    try:
        until(lambda: not world.vault.leases(world.path), 5, "leases are left")
    except AssertionError as error:
        verdict.wrong.append(str(error))
