"""Is the scheduler running, what failed, what is stuck, what was missed: one look, then a link to the details."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, age, firing, hourly, increase, mean, most, select, share, threshold, total

EXECUTIONS = "scheduling_executions_total"
NOT_CANCELLED = 'status!="cancelled"'


def now() -> list[Any]:
    """The row that tells within five seconds whether anything is wrong."""
    return [
        p.number(
            "Stores",
            "Whether each store answered when it was last asked. DOWN also when the answer is too old.",
            "none",
            Query(f"min by (store) ({select('scheduling_store_up')})", "{{store}}"),
            mapping=p.UP,
            runbooks=["SchedulingStoreDown"],
        ),
        p.number(
            "Critical",
            "Alerts of severity critical that fire now. The table below says which.",
            "short",
            Query("count(" + firing('severity="critical"') + ") or vector(0)", "critical"),
            steps=p.NONE_IS_GOOD,
        ),
        p.number(
            "Overdue",
            "Jobs past their next run by more than the grace and not started.",
            "short",
            Query(total(select("scheduling_jobs_overdue")), "overdue"),
            steps=p.NONE_IS_GOOD,
            runbooks=["SchedulingRunMissed"],
        ),
        p.number(
            "Stuck",
            "Executions that run for longer than stuck_after allows their task type.",
            "short",
            Query(total(select("scheduling_executions_stuck")), "stuck"),
            steps=p.NONE_IS_GOOD,
            runbooks=["SchedulingExecutionsStuck"],
        ),
        p.number(
            "Running",
            "Jobs that run now.",
            "short",
            Query(total(select("scheduling_jobs", 'status="RUNNING"')), "running"),
        ),
        p.number(
            "Scheduled",
            "Jobs that wait for their time.",
            "short",
            Query(total(select("scheduling_jobs", 'status="SCHEDULED"')), "scheduled"),
        ),
        p.number(
            "Failed",
            "Jobs whose last state is failed, as the store keeps them.",
            "short",
            Query(total(select("scheduling_jobs", 'status="FAILED"')), "failed"),
            steps=((None, p.GOOD), (1, p.WARN)),
        ),
        p.number(
            "Workers",
            "Workers that take work, of all that the store knows.",
            "short",
            Query(total(select("scheduling_workers", 'state="active"')), "active"),
            steps=((None, p.BAD), (1, p.GOOD)),
            runbooks=["SchedulingNoWorkers", "SchedulingWorkerLost"],
        ),
    ]


def alerts() -> Any:
    """What fires, worst first: what is wrong is what wakes somebody."""
    by = ("alertname", "store", "task_type", "connection", "name", "job_name")
    ranks = (('severity="critical"', 3), ('severity="warning"', 2), ('severity="info"', 1))
    ranked = "\n  or\n".join(f"{rank} * {most(firing(severity), *by)}" for severity, rank in ranks)
    runbook = {"title": "Runbook", "url": "${runbooks}/${__data.fields.alertname}.md", "targetBlank": True}
    return p.listing(
        "Alerts that fire",
        "Alerts of the shipped rules that fire now. A click on the name opens its runbook.",
        [
            p.Column(
                "Value",
                "Severity",
                width=120,
                mapping={"3": ("critical", p.BAD), "2": ("warning", p.WARN), "1": ("info", p.CALM)},
            ),
            p.Column("alertname", "Alert", width=280, links=(runbook,)),
            p.Column("store", "Store"),
            p.Column("task_type", "Task type"),
            p.Column("connection", "Connection"),
            p.Column("name", "Dependency"),
            p.Column("job_name", "Job"),
        ],
        Query(ranked).table("A"),
        sort="Severity",
        size=(24, 7),
    )


def day() -> list[Any]:
    """What the last 24 hours were like."""
    ended = total(increase(EXECUTIONS, NOT_CANCELLED, over="24h"))
    good = total(increase(EXECUTIONS, 'status="success"', over="24h"))
    return [
        p.number(
            "Executions, 24 h",
            "Executions that ended within 24 hours, cancelled ones apart; each attempt once.",
            "locale",
            Query(ended, "executions"),
            decimals=0,
            size=(4, 4),
        ),
        p.number(
            "Success, 24 h",
            "Share that succeeded of what ended within 24 hours. Red below 80%, the default of success_ratio_24h.",
            "percentunit",
            Query(share(good, ended), "success"),
            steps=((None, p.BAD), (0.8, p.WARN), (0.95, p.GOOD)),
            decimals=1,
            size=(4, 4),
            runbooks=["SchedulingSuccessRatioLow"],
        ),
        p.number(
            "Mean duration, 24 h",
            "From start to end, of what ended within 24 hours.",
            "s",
            Query(mean("scheduling_execution_duration_seconds", over="24h"), "mean"),
            decimals=2,
            size=(4, 4),
        ),
        p.number(
            "Retries, 24 h",
            "Executions within 24 hours that were a second or later attempt.",
            "locale",
            Query(total(increase("scheduling_execution_retries_total", over="24h")), "retries"),
            decimals=0,
            size=(4, 4),
        ),
        p.number(
            "Last execution",
            "Time since an execution last ended, in the store where that is longest ago.",
            "s",
            Query(f"max({age(select('scheduling_last_execution_timestamp_seconds'))})", "ago"),
            steps=((None, p.GOOD), (300, p.WARN), (1800, p.BAD)),
            decimals=0,
            size=(4, 4),
            runbooks=["SchedulingNoExecutions"],
        ),
        p.number(
            "Waiting longest",
            "Since when the oldest job has been due and not started.",
            "s",
            Query(f"max({age(select('scheduling_queue_oldest_ready_timestamp_seconds'))})", "waits"),
            steps=((None, p.GOOD), (300, p.WARN), (900, p.BAD)),
            decimals=0,
            empty="nothing waits",
            size=(4, 4),
            runbooks=["SchedulingQueueLatencyHigh"],
        ),
    ]


def trend() -> list[Any]:
    """The CHRONOS picture: jobs by status, success ratio, hours."""
    success = share(
        total(increase(EXECUTIONS, 'status="success"', over="1h"), "store"),
        total(increase(EXECUTIONS, NOT_CANCELLED, over="1h"), "store"),
    )
    return [
        p.hours(
            "Hourly trend",
            "Executions that ended within each hour, by outcome; the last bar is the hour that is not over yet.",
            Query(hourly(EXECUTIONS, "status"), "{{status}}"),
            stack=True,
            colours=p.OUTCOMES,
            size=(16, 9),
        ),
        p.bars(
            "Jobs by status",
            "All jobs that the store keeps, by their state. Finished ones as of the last full count.",
            "short",
            Query(f"sort_desc({total(select('scheduling_jobs'), 'status')})", "{{status}}").instant(),
            colours={"FAILED": p.BAD, "COMPLETED": p.GOOD, "CANCELLED": p.QUIET, "QUEUED": p.WARN},
            size=(8, 9),
        ),
        p.graph(
            "Success ratio, last hour",
            "Share that succeeded of what ended within the hour before, by store, and the threshold success_ratio_24h.",
            "percentunit",
            Query(success, "{{store}}"),
            threshold("success_ratio_24h"),
            top=1,
            runbooks=["SchedulingSuccessRatioLow"],
        ),
        p.graph(
            "Executions by task type",
            "Executions that end in a second, by task type.",
            "ops",
            Query(total(f"rate({select(EXECUTIONS)}[$__rate_interval])", "task_type"), "{{task_type}}"),
            stack=True,
            legend="right",
        ),
    ]


def worst() -> list[Any]:
    """Tables to click in: workers, jobs that fail."""
    worker = ("store", "worker")
    finished = total(increase("scheduling_worker_executions_total", NOT_CANCELLED, over="24h"), *worker)
    succeeded = total(increase("scheduling_worker_executions_total", 'status="success"', over="24h"), *worker)
    return [
        p.listing(
            "Worker activity",
            "Each worker: what it runs now, what it finished within 24 hours and how much of that succeeded, and its "
            "last heartbeat. Red without a heartbeat for two minutes, the default of worker_lost_after.",
            [
                p.Column("worker", "Worker", width=130),
                p.Column("store", "Store", width=75),
                p.Column("Value #A", "Ended, 24 h", unit="locale", decimals=0, width=145),
                p.Column(
                    "Value #B",
                    "Success",
                    width=115,
                    unit="percentunit",
                    decimals=1,
                    steps=((None, p.BAD), (0.8, p.WARN), (0.95, p.GOOD)),
                ),
                p.Column("Value #C", "Running", unit="short", width=120),
                p.Column(
                    "Value #D",
                    "Seen ago",
                    width=125,
                    unit="s",
                    decimals=0,
                    steps=((None, p.GOOD), (30, p.WARN), (120, p.BAD)),
                ),
            ],
            Query(finished).table("A"),
            Query(share(succeeded, finished)).table("B"),
            Query(total(select("scheduling_worker_running"), *worker)).table("C"),
            Query(f"min by (store, worker) ({age(select('scheduling_worker_last_seen_timestamp_seconds'))})").table(
                "D"
            ),
            sort="Ended, 24 h",
            size=(13, 9),
            runbooks=["SchedulingWorkerLost", "SchedulingNoWorkers"],
        ),
        p.listing(
            "Jobs that fail",
            "Jobs whose latest executions failed, with how many in a row. A click on the name opens the log.",
            [
                p.Column("job_name", "Job", links=p.job_links()),
                p.Column("job_id", "Id", width=120),
                p.Column("task_type", "Task type", width=130),
                p.Column("store", "Store", width=90),
                p.Column("Value", "In a row", unit="short", width=110, steps=((None, p.WARN), (3, p.BAD))),
            ],
            Query(
                "topk(50, "
                + most(select("scheduling_job_consecutive_failures"), "store", "job_id", "job_name", "task_type")
                + ")"
            ).table("A"),
            sort="In a row",
            size=(11, 9),
            runbooks=["SchedulingJobFailingRepeatedly", "SchedulingCriticalJobFailed"],
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="overview",
        title="Scheduler overview",
        description="Whether the scheduler runs, what failed, what is stuck and what was missed; begin here.",
        rows=[("Now", [*now(), alerts()]), ("The last 24 hours", day()), ("Trend", trend()), ("Look into", worst())],
        since="now-24h",
        task_type=True,
    )
