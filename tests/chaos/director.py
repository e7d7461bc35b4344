"""Makes the faults, one after another, and brings everything to rest at the end."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from support.polling import until

from chaos.fleet import Fleet, wait_for_executions
from chaos.plan import Event, Plan
from chaos.record import UNCERTAIN, USUAL, Record
from chaos.verdict import Verdict, judge
from chaos.world import CURSOR, World, running

Say = Callable[[str], object]


def run(plan: Plan, say: Say = print, keep: Path | None = None) -> Verdict:
    """A whole run; the sidecar's log and state are left in ``keep``.

    Raises AssertionError where something that is no question of counting goes wrong.
    """
    began = time.monotonic()
    say(f"seed {plan.seed}: {plan.seconds:g} s, at least {plan.executions} executions by {plan.writers} writers")
    with running(plan) as world:
        try:
            fleet = Fleet(plan, world)
            fleet.start()
            made = _make_faults(plan, world, fleet, say)
            wait_for_executions(fleet, 3 * plan.seconds)
            fleet.finish()
            say(f"{len(fleet.record.committed)} executions after {time.monotonic() - began:.0f} s; all is to settle")
            _settle(world)
            verdict = judge(world, fleet.record, seconds=time.monotonic() - began + 60)
        finally:
            if keep is not None:
                shutil.copytree(world.sidecar.directory, keep, dirs_exist_ok=True)
    wanted = {"kill": plan.kills, "crash": plan.restarts, "server clock": plan.jumps, "sidecar clock": plan.jumps}
    verdict.demand(made == wanted, f"the faults made are {dict(made)}, not {wanted}")
    verdict.demand(verdict.executions >= plan.executions, f"fewer than {plan.executions} executions finished")
    verdict.demand(fleet.record.longest > plan.late_window, "no transaction outlived the late window")
    verdict.figures.update(_figures(made, fleet.record), **{"seconds in all": round(time.monotonic() - began)})
    return verdict


def _make_faults(plan: Plan, world: World, fleet: Fleet, say: Say) -> Counter[str]:
    """Every planned fault when its time has come; returns how many there were."""
    began = time.monotonic()
    made: Counter[str] = Counter()
    for event in plan.events():
        while (left := began + event.at - time.monotonic()) > 0:
            fleet.check()
            time.sleep(min(left, 0.5))
        _make(event, world)
        made[event.kind] += 1
        say(
            f"{time.monotonic() - began:5.1f} s  {event.kind} {event.value:+.1f}"
            f"  ({len(fleet.record.committed)} executions)"
        )
    while time.monotonic() < began + plan.seconds:
        fleet.check()
        time.sleep(0.2)
    return made


def _make(event: Event, world: World) -> None:
    match event.kind:
        case "kill":
            world.sidecar.kill()
            time.sleep(event.value)
            world.sidecar.start(wait=False)
        case "crash":
            world.server.crash(event.value)
        case "server clock":
            world.server_clock.set(event.value)
        case "sidecar clock":
            world.sidecar_clock.set(event.value)


def _settle(world: World) -> None:
    """Wait until all that was committed must have been counted, and Prometheus has seen it."""
    with world.database.connect() as connection:
        left = connection.execute("SELECT gid FROM pg_prepared_xacts").fetchall()
        assert not left, f"prepared transactions are left: {left}"
        newest = connection.execute("SELECT extract(epoch FROM max(stamp))::float8 FROM chaos.audit").fetchone()
        assert newest is not None
    after = max(newest[0], world.server_clock.greatest)
    upto = until(lambda: (cursor := world.sidecar.cursor()) > after and cursor, 300, "a poll of everything")
    prometheus = world.prometheus
    until(lambda: max(prometheus.query(CURSOR).values(), default=0) >= upto, 180, "Prometheus has scraped that poll")
    for _ in range(2):  # what is new is shown as 0 the first time
        last = prometheus.last_scrape()
        until(lambda last=last: prometheus.last_scrape() > last, 180, "one more scrape")  # type: ignore[misc]


def _figures(made: Counter[str], record: Record) -> dict[str, int | str]:
    return {
        **{name: record.happened[name] for name in (*USUAL, UNCERTAIN)},
        "longest transaction": f"{record.longest:.0f} s",
        "kills of the sidecar": made["kill"],
        "crashes of the server": made["crash"],
        "jumps of clocks": made["server clock"] + made["sidecar clock"],
    }
