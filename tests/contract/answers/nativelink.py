"""NativeLink's answers: workers and operations, one by one and in numbers; whether the store answers."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

from contract.answers.asking import Get, Pair, whole
from contract.answers.figures import running
from contract.truth import families
from contract.truth.model import Told


def workers(get: Get, told: Told) -> Pair:
    """Those that nobody writes down are none."""
    busy = Counter(one.worker for one in told.running or ())
    return {worker.id: (whole(worker.seen), busy[worker.id]) for worker in told.workers or ()}, {
        worker["id"]: (worker["last_update_timestamp"], len(worker["running_operations"]))
        for worker in get("/api/v1/workers")
    }


def one_worker(get: Get, told: Told) -> Pair:
    """The same of each alone."""
    busy = Counter(one.worker for one in told.running or ())
    expected = {worker.id: (whole(worker.seen), busy[worker.id]) for worker in told.workers or ()}
    alone = [get(f"/api/v1/workers/{quote(name, safe='')}") for name in expected]
    return expected, {one["id"]: (one["last_update_timestamp"], len(one["running_operations"])) for one in alone}


def one_operation(get: Get, told: Told) -> Pair:
    """One of each stage, as the list has it: what executions are called there no truth tells."""
    listed = {row["stage"]: row for row in get("/api/v1/operations?limit=10000")}
    alone = {stage: get(f"/api/v1/operations/{quote(row['operation_id'], safe='')}") for stage, row in listed.items()}
    stages = {"Executing": told.running, "Completed": told.runs}
    assert {stage for stage, rows in stages.items() if rows} <= alone.keys()
    return listed, alone


def operations(get: Get, told: Told) -> Pair:
    expected = Counter((job.id, "Queued", None) for job in told.jobs if job.ready(told.now))
    expected += Counter((job.id, "Queued", None) for job in told.listed if job.ready(told.now))
    expected += Counter((one.job, "Executing", whole(one.began)) for one in told.running or ())
    expected += Counter((run.job, "Completed", None) for run in told.runs or ())
    shown = get("/api/v1/operations?limit=10000")
    return expected, Counter(
        (o["client_operation_id"], o["stage"], o["load_timestamp"] if o["stage"] == "Executing" else None)
        for o in shown
    )


def _operations(told: Told) -> dict[str, int | None]:
    ready = sum(int(n) for (_, state), n in families.queue_jobs(told).items() if state == "ready")  # type: ignore[arg-type]
    numbers = {"queued": ready, "executing": running(told), "completed": None if told.runs is None else len(told.runs)}
    return {"total": sum(n for n in numbers.values() if n is not None), **numbers}


def _states(told: Told) -> dict[str, int | None]:
    states = Counter(worker.state(told.now) for worker in told.workers or ())
    numbers = {"total": len(told.workers or ()), **{name: states[name] for name in ("active", "paused", "draining")}}
    return dict.fromkeys(numbers) if told.workers is None else {**numbers}


def scheduler_metrics(get: Get, told: Told) -> Pair:
    shown = get("/api/v1/scheduler/metrics")
    return {"workers": _states(told), "operations": _operations(told)}, {
        name: shown[name] for name in ("workers", "operations")
    }


def scheduler_status(get: Get, told: Told) -> Pair:
    shown = get("/api/v1/scheduler/status")
    both = {"workers": _states(told), "operations": _operations(told)}
    expected = {f"{name}_{what}": n for what, numbers in both.items() for name, n in numbers.items()}
    return expected, {name: n for name, n in shown.items() if name != "uptime_seconds"}
