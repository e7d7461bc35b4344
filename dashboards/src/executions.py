"""Executions by task type: how many, how many fail, how long they take and wait, what does not end."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import (
    Query,
    age,
    heatmap,
    increase,
    mean,
    most,
    quantile,
    rate,
    select,
    share,
    threshold,
    total,
)

TOTAL = "scheduling_executions_total"
DURATION = "scheduling_execution_duration_seconds"
WAIT = "scheduling_execution_wait_seconds"
BAD = 'status=~"failed|timeout"'
COUNTED = 'status!="cancelled"'
TASK = "{{task_type}}"


def outcomes() -> list[Any]:
    """What ended, and how."""
    return [
        p.graph(
            "Finished executions by task type",
            "Executions that end in a second, by task type; each attempt counts once.",
            "ops",
            Query(total(rate(TOTAL), "task_type"), TASK),
            stack=True,
            legend="right",
            runbooks=["SchedulingNoExecutions", "SchedulingExecutionRateUnusual"],
        ),
        p.graph(
            "Finished executions by outcome",
            "The same by outcome: success, failed, timeout, cancelled.",
            "ops",
            Query(total(rate(TOTAL), "status"), "{{status}}"),
            stack=True,
            colours=p.OUTCOMES,
        ),
        p.graph(
            "Failure ratio, last 15 minutes",
            "Share that failed or timed out of what ended within 15 minutes, by task type, and the "
            "threshold failure_ratio.",
            "percentunit",
            Query(
                share(
                    total(increase(TOTAL, BAD, over="15m"), "task_type"),
                    total(increase(TOTAL, COUNTED, over="15m"), "task_type"),
                ),
                TASK,
            ),
            threshold("failure_ratio", by_task_type=True),
            top=1,
            legend="right",
            runbooks=["SchedulingFailureRatioHigh"],
        ),
        p.graph(
            "Failures within an hour",
            "Executions that failed or timed out within the hour before, by task type, and the "
            "threshold errors_per_hour.",
            "short",
            Query(total(increase(TOTAL, BAD, over="1h"), "task_type"), TASK),
            threshold("errors_per_hour", by_task_type=True),
            legend="right",
            decimals=0,
            runbooks=["SchedulingErrorSpike"],
        ),
        p.graph(
            "Retries",
            "Executions in a second that were a second or later attempt, by task type.",
            "ops",
            Query(total(rate("scheduling_execution_retries_total"), "task_type"), TASK),
            legend="right",
        ),
        p.graph(
            "Success ratio, 24 hours",
            "Share that succeeded of what ended within 24 hours, by task type, and the threshold success_ratio_24h.",
            "percentunit",
            Query(
                share(
                    total(increase(TOTAL, 'status="success"', over="24h"), "task_type"),
                    total(increase(TOTAL, COUNTED, over="24h"), "task_type"),
                ),
                TASK,
            ),
            threshold("success_ratio_24h", by_task_type=True),
            top=1,
            legend="right",
            runbooks=["SchedulingSuccessRatioLow"],
        ),
    ]


def durations() -> list[Any]:
    """How long executions take and wait."""
    return [
        p.spread(
            "Duration",
            "How many executions took how long, from start to end, of the chosen task types.",
            "s",
            heatmap(DURATION),
        ),
        p.spread(
            "Wait",
            "How long executions waited, from when they were due to their start.",
            "s",
            heatmap(WAIT),
            scheme="Oranges",
        ),
        p.graph(
            "Duration, 95th percentile",
            "One execution in twenty takes longer, by task type. Dots are examples with the execution's id.",
            "s",
            Query(quantile(0.95, DURATION, "task_type"), TASK, exemplars=True),
            legend="right",
        ),
        p.graph(
            "Wait, 95th percentile",
            "One execution in twenty starts later than that after it was due, by task type.",
            "s",
            Query(quantile(0.95, WAIT, "task_type"), TASK),
            legend="right",
        ),
        p.graph(
            "Mean duration of an hour",
            "What took place within the hour before, by task type. Dashed: the threshold "
            "duration_seconds. The scale is "
            "logarithmic.",
            "s",
            Query(mean(DURATION, "task_type", over="1h"), TASK),
            threshold("duration_seconds", by_task_type=True),
            logarithmic=True,
            legend="right",
            runbooks=["SchedulingDurationHigh", "SchedulingDurationRegression"],
        ),
        p.graph(
            "Running now",
            "Executions that run, by task type.",
            "short",
            Query(total(select("scheduling_executions_running"), "task_type"), TASK),
            stack=True,
            legend="right",
            decimals=0,
        ),
    ]


def unfinished() -> list[Any]:
    """What does not end, and what fails again and again."""
    return [
        p.graph(
            "Stuck",
            "Executions that run for longer than the store's stuck_after, by task type.",
            "short",
            Query(total(select("scheduling_executions_stuck"), "task_type"), TASK),
            size=(8, 8),
            decimals=0,
            runbooks=["SchedulingExecutionsStuck"],
        ),
        p.graph(
            "Orphaned",
            "Executions marked as running whose worker is lost or unknown, by task type.",
            "short",
            Query(total(select("scheduling_executions_orphaned"), "task_type"), TASK),
            size=(8, 8),
            decimals=0,
            runbooks=["SchedulingExecutionsOrphaned"],
        ),
        p.graph(
            "Oldest running execution",
            "How long the oldest execution of each task type has been running.",
            "s",
            Query(most(age(select("scheduling_execution_oldest_running_timestamp_seconds")), "task_type"), TASK),
            size=(8, 8),
        ),
        p.graph(
            "Most failures in a row",
            "The job of each task type that fails most often in a row, and the threshold consecutive_failures.",
            "short",
            Query(most(select("scheduling_job_consecutive_failures"), "task_type"), TASK),
            threshold("consecutive_failures", by_task_type=True),
            decimals=0,
            legend="right",
            runbooks=["SchedulingJobFailingRepeatedly", "SchedulingCriticalJobFailed"],
        ),
        p.listing(
            "Jobs that fail",
            "The 50 jobs with the most failures in a row. A click on the name opens the job's log.",
            [
                p.Column("job_name", "Job", links=p.job_links()),
                p.Column("job_id", "Id", width=100),
                p.Column("task_type", "Task type", width=120),
                p.Column("critical", "Critical", width=95),
                p.Column("store", "Store", width=80),
                p.Column("Value", "In a row", unit="short", width=110, steps=((None, p.WARN), (3, p.BAD))),
            ],
            Query(
                "topk(50, "
                + most(
                    select("scheduling_job_consecutive_failures"),
                    "store",
                    "job_id",
                    "job_name",
                    "task_type",
                    "critical",
                )
                + ")"
            ).table("A"),
            sort="In a row",
            size=(12, 8),
        ),
    ]


def as_told() -> list[Any]:
    """What schedulers with an API of their own add up, of whose executions nothing else is known."""
    named, whole = ("store", "task_type"), 'task_type=""'
    task, store = "{{store}} {{task_type}}", "{{store}}"
    hour, day = 'period="1h"', 'period="24h"'
    executions, failures = "scheduling_period_executions", "scheduling_period_failures"
    return [
        p.graph(
            "Executions of the latest hour, as told",
            "What ended in the hour before, as the scheduler's API adds it up, by task type.",
            "short",
            Query(total(select(executions, hour, 'task_type!=""'), *named), task),
            stack=True,
            legend="right",
            decimals=0,
        ),
        p.graph(
            "Failure ratio of the latest hour, as told",
            "Share of it that failed or timed out, all task types together.",
            "percentunit",
            Query(
                share(total(select(failures, hour, whole), "store"), total(select(executions, hour, whole), "store")),
                store,
            ),
            top=1,
            legend="right",
        ),
        p.graph(
            "Duration of the latest day, as told",
            "Mean and longest of what ended in the day before, all task types together.",
            "s",
            Query(most(select("scheduling_period_duration_mean_seconds", day, whole), "store"), f"{store} mean"),
            Query(most(select("scheduling_period_duration_max_seconds", day, whole), "store"), f"{store} longest"),
            logarithmic=True,
            legend="right",
        ),
        p.graph(
            "Retries of the latest hour, as told",
            "Of what ended in the hour before, those that were a second or later attempt.",
            "short",
            Query(total(select("scheduling_period_retries", hour, whole), "store"), store),
            legend="right",
            decimals=0,
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="executions",
        title="Scheduler executions",
        description="Finished and running executions by task type: rates, failures, durations, retries, what is stuck.",
        rows=[
            ("Outcomes", outcomes()),
            ("Duration and wait", durations()),
            ("What does not end well", unfinished()),
            ("Told by schedulers over HTTP", as_told()),
        ],
        task_type=True,
    )
