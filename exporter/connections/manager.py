"""Every target on a task of its own, and what the tasks share: slots, resolver, hub, histogram.

Belongs here: who runs, reload, publication. Does not: how one target is checked (``check``) or when
(``runner``).
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping

from exporter.config.model import Connections, Target
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.results import CheckResult, ConnectionState, Rhythm, Stage, observe
from exporter.connections.reuse import keep_for
from exporter.connections.runner import Schedule, Slots, TargetRunner, initial_state
from exporter.connections.target import CheckTarget
from exporter.credentials import CredentialSource
from exporter.snapshot import Hub, Part

#: The parts that are published: one for each target, and the process's own (source "") with the durations of all.
COLLECTOR = "connections"
DURATIONS_COLLECTOR = "connection_checks"
DURATIONS_SOURCE = ""
#: Seconds over which first checks are spread: soon, and not all in one moment.
FIRST_CHECKS_WITHIN = 2.0
#: Seconds between two moments at which checks begin: one that wakes an idle processor costs several times what it costs
#: right after another.
BEAT = 0.2


class ConnectionManager:
    """Checks all targets for as long as ``run`` runs, and publishes each result to ``hub``.

    ``credentials`` gives a target's source of credentials, None for what its configuration says; ``release`` takes one
    back that is not asked any more.
    ``wall_clock`` gives Unix seconds.
    """

    def __init__(
        self,
        hub: Hub,
        config: Connections,
        *,
        credentials: Callable[[Target], CredentialSource | None] = lambda _: None,
        release: Callable[[CredentialSource], Awaitable[None]] | None = None,
        resolver: Resolver | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._hub = hub
        self._config = config
        self._credentials = credentials
        self._release = release
        self._sources: dict[str, CredentialSource] = {}
        self._resolver = resolver or Resolver()
        self._wall_clock = wall_clock
        self._slots = Slots(config.max_concurrent_checks)
        self._checks = Rhythm()
        self._runners: dict[str, TargetRunner] = {}
        self._targets: dict[str, Target] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def states(self) -> Mapping[str, ConnectionState]:
        """The current state of each target by name, in the configuration's order."""
        return {name: runner.state for name, runner in self._runners.items()}

    async def run(self) -> None:
        """Check until cancelled. No target's trouble ends this, or another target's checks."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    await self.apply(self._config)
                    await asyncio.get_running_loop().create_future()  # for ever
                finally:
                    self._group = None
                    for runner in self._runners.values():
                        runner.cancel()
        finally:
            for runner in self._runners.values():
                runner.finish()

    async def apply(self, config: Connections) -> None:
        """Take over ``config`` as a whole.

        Targets that stay as they are keep their task and all they know; a changed one starts anew with its
        counters; one that is gone is withdrawn from the hub. Before ``run`` this only replaces what it will
        start with.
        """
        previous, self._config = self._config, config
        if self._group is None:
            return
        wanted = {target.name: target for target in config.targets}
        old = self._runners
        rhythm_changed = _rhythm(previous) != _rhythm(config)
        if previous.max_concurrent_checks != config.max_concurrent_checks:
            self._slots = Slots(config.max_concurrent_checks)
        kept = {
            name: runner
            for name, runner in old.items()
            if not rhythm_changed and self._targets.get(name) == wanted.get(name)
        }
        await asyncio.gather(*(runner.stop() for name, runner in old.items() if name not in kept))
        former = [self._sources.pop(name) for name in old if name not in kept and name in self._sources]
        self._runners = {name: kept.get(name) or self._runner(target, old.get(name)) for name, target in wanted.items()}
        self._targets = wanted
        for name in old.keys() - wanted.keys():
            self._hub.withdraw(name, COLLECTOR)
        self._start([runner for name, runner in self._runners.items() if name not in kept], self._group)
        self._hub.publish(self._durations_part())
        if self._release is not None:  # now: what a new one shares with a former one has not been given up in between
            for source in former:
                await self._release(source)

    def hurry(self, stage: Stage) -> None:
        """Check those targets in a moment that failed at ``stage``: what they waited for may be there."""
        for runner in self._runners.values():
            if runner.state.result is not None and runner.state.result.failed_stage == stage:
                runner.hurry()

    async def check_now(self, name: str) -> CheckResult:
        """Check a target now, with a fresh login, or join the check that is going on. KeyError: none of that name."""
        return await self._runners[name].check_now()

    def _runner(self, target: Target, before: TargetRunner | None) -> TargetRunner:
        source = self._credentials(target)
        if source is not None:
            self._sources[target.name] = source
        check_target = CheckTarget.from_config(target, source)
        same = self._targets.get(target.name) == target
        return TargetRunner(
            Checker(check_target, self._resolver, self._wall_clock, keep=keep_for(target, self._config)),
            initial_state(check_target, before.state if before else None, same=same),
            timeout=self._config.timeout,
            slots=lambda: self._slots,
            publish=self._publish,
            late=self._began_late,
        )

    def _start(self, runners: list[TargetRunner], group: asyncio.TaskGroup) -> None:
        """First checks within moments; then each target at a place of its own within the interval."""
        now = asyncio.get_running_loop().time()
        interval = float(self._config.interval)
        first_within = min(interval, FIRST_CHECKS_WITHIN)
        for index, runner in enumerate(runners):
            place = (index + random.random()) / len(runners)  # noqa: S311
            phase = math.ceil((now + interval * place) / BEAT) * BEAT
            runner.start(group, Schedule(now + first_within * place, phase, interval))

    def _publish(self, state: ConnectionState, result: CheckResult, error: str | None) -> None:
        self._checks = Rhythm(observe(self._checks.durations, result.response_seconds), self._checks.lateness)
        part = self._part(COLLECTOR, state.name, state, result.response_seconds, error)
        self._hub.publish(part, self._durations_part())

    def _began_late(self, seconds: float) -> None:
        self._checks = Rhythm(self._checks.durations, observe(self._checks.lateness, max(0.0, seconds)))

    def _durations_part(self) -> Part:
        return self._part(DURATIONS_COLLECTOR, DURATIONS_SOURCE, self._checks, 0.0, None)

    def _part(self, collector: str, source: str, value: object, duration: float, error: str | None) -> Part:
        return Part(
            collector=collector,
            source=source,
            value=value,
            success=error is None,
            collected_at=self._wall_clock(),
            collected_mono=time.monotonic(),
            duration=duration,
            interval=self._config.interval,
            staleness=self._config.staleness,
            error=error,
        )


def _rhythm(config: Connections) -> tuple[object, ...]:
    return config.interval, config.timeout, config.staleness, config.reuse, config.login_interval
