"""Workers and operations: who takes work, who is gone, what each does; operations by stage (NativeLink)."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import MANY, Query, age, first, increase, most, peak, rate, select, share, total, whole

WORKERS = "scheduling_workers"
FINISHED = "scheduling_worker_executions_total"
RUNNING = "scheduling_worker_running"
SEEN = "scheduling_worker_last_seen_timestamp_seconds"
#: Workers whose load can be told apart: it goes up and down with each execution.
FEW = 10
COUNTED, BAD = 'status!="cancelled"', 'status=~"failed|timeout"'
STATES = {"active": p.GOOD, "paused": p.WARN, "draining": p.CALM, "lost": p.BAD}
STAGES = {"queued": p.WARN, "cache_check": p.CALM, "executing": "purple", "completed": p.GOOD}


def state() -> list[Any]:
    """How many there are, and how they are."""
    kinds = [
        ("Active", "active", "Workers that take work.", ((None, p.BAD), (1, p.GOOD)), ["SchedulingNoWorkers"]),
        (
            "Lost",
            "lost",
            "Workers without a heartbeat for worker_lost_after.",
            p.NONE_IS_GOOD,
            ["SchedulingWorkerLost"],
        ),
        ("Paused", "paused", "Workers that somebody paused.", ((None, p.GOOD), (1, p.WARN)), []),
        (
            "Draining",
            "draining",
            "Workers that finish what they have and take no more.",
            ((None, p.GOOD), (1, p.WARN)),
            [],
        ),
    ]
    numbers = [
        p.number(
            title,
            text,
            "short",
            Query(total(select(WORKERS, f'state="{name}"')), name),
            steps=steps,
            runbooks=runbooks,
        )
        for title, name, text, steps, runbooks in kinds
    ]
    running, orphaned = total(select("scheduling_executions_running")), total(select("scheduling_executions_orphaned"))
    return [
        *numbers,
        p.number("Running", "Executions that run now.", "short", Query(running, "running")),
        p.number(
            "Orphaned",
            "Executions marked as running whose worker is lost or unknown. Nothing ends them by itself.",
            "short",
            Query(orphaned, "orphaned"),
            steps=p.NONE_IS_GOOD,
            runbooks=["SchedulingExecutionsOrphaned"],
        ),
        p.number(
            "Load",
            "Running executions that are not orphaned, divided by active workers.",
            "short",
            Query(share(f"({running} - ({orphaned} or vector(0)))", total(select(WORKERS, 'state="active"'))), "each"),
            decimals=1,
        ),
        p.number(
            "Heartbeat",
            "Since the heartbeat of the worker that was silent for longest.",
            "s",
            Query(f"max({age(select(SEEN))})", "ago"),
            decimals=0,
            steps=((None, p.GOOD), (30, p.WARN), (120, p.BAD)),
            runbooks=["SchedulingWorkerLost"],
        ),
    ]


def work() -> list[Any]:
    """What they do."""
    by = ("store", "worker")
    finished = total(increase(FINISHED, COUNTED, over="1h"), *by)
    failed = total(increase(FINISHED, BAD, over="1h"), *by)
    return [
        p.graph(
            "Workers by state",
            "Workers as the store knows them: active, paused, draining, lost.",
            "short",
            Query(total(select(WORKERS), "state"), "{{state}}"),
            stack=True,
            colours=STATES,
            decimals=0,
            runbooks=["SchedulingNoWorkers", "SchedulingWorkerLost"],
        ),
        p.graph(
            "Finished executions by worker",
            f"Executions that end in a second, of the {MANY} workers that ended most.",
            "ops",
            Query(first(total(rate(FINISHED), "worker"), "worker", whole(FINISHED, "worker")), "{{worker}}"),
            stack=True,
            legend="right",
        ),
        p.graph(
            "Failure ratio by worker, last hour",
            f"Share that failed or timed out of what a worker ended within an hour, of the {MANY} whose executions "
            "failed most. One far above the others is ill.",
            "percentunit",
            Query(
                first(
                    share(
                        total(increase(FINISHED, BAD, over="1h"), "worker"),
                        total(increase(FINISHED, COUNTED, over="1h"), "worker"),
                    ),
                    "worker",
                    whole(FINISHED, "worker", BAD),
                ),
                "{{worker}}",
            ),
            top=1,
            legend="right",
        ),
        p.graph(
            "Running by worker",
            f"Executions that run, of the {FEW} workers that ran most at once.",
            "short",
            Query(
                first(total(select(RUNNING), "worker"), "worker", peak(RUNNING, "worker"), most_of=FEW), "{{worker}}"
            ),
            stack=True,
            legend="right",
            decimals=0,
        ),
        p.listing(
            "Workers",
            "Each worker's last heartbeat, what it runs, what it ended within an hour and how much of that failed.",
            [
                p.Column("worker", "Worker"),
                p.Column("store", "Store"),
                p.Column(
                    "Value #A",
                    "Heartbeat ago",
                    unit="s",
                    decimals=0,
                    steps=((None, p.GOOD), (30, p.WARN), (120, p.BAD)),
                ),
                p.Column("Value #B", "Running", unit="short"),
                p.Column("Value #C", "Finished, 1 h", unit="locale", decimals=0),
                p.Column(
                    "Value #D",
                    "Failed",
                    unit="percentunit",
                    decimals=1,
                    steps=((None, p.GOOD), (0.05, p.WARN), (0.2, p.BAD)),
                ),
            ],
            Query(f"min by (store, worker) ({age(select(SEEN))})").table("A"),
            Query(total(select(RUNNING), *by)).table("B"),
            Query(finished).table("C"),
            Query(share(failed, finished)).table("D"),
            sort="Running",
            size=(24, 8),
        ),
    ]


def operations() -> list[Any]:
    """Operations, of stores that have them."""
    return [
        p.graph(
            "Operations by stage",
            "Operations of a remote-execution scheduler (NativeLink): queued, cache_check, "
            "executing, completed. Only stores "
            "whose profile maps operations have them.",
            "short",
            Query(total(select("scheduling_operations"), "stage"), "{{stage}}"),
            stack=True,
            colours=STAGES,
            decimals=0,
            size=(16, 8),
        ),
        p.bars(
            "Operations now",
            "The latest number of operations in each stage.",
            "short",
            Query(total(select("scheduling_operations"), "stage"), "{{stage}}").instant(),
            colours=STAGES,
            size=(8, 8),
        ),
        p.graph(
            "Executing operations for each active worker",
            "Executing operations divided by active workers, by store: how full the workers are.",
            "short",
            Query(
                share(
                    total(select("scheduling_operations", 'stage="executing"'), "store"),
                    total(select(WORKERS, 'state="active"'), "store"),
                ),
                "{{store}}",
            ),
        ),
        p.graph(
            "Queued operations",
            "Operations that wait for a worker, by store.",
            "short",
            Query(most(select("scheduling_operations", 'stage="queued"'), "store"), "{{store}}"),
            decimals=0,
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="workers",
        title="Scheduler workers and operations",
        description="Who takes work and who is gone, what each worker does, and operations by stage (NativeLink).",
        rows=[("Now", state()), ("Work", work()), ("Operations", operations())],
    )
