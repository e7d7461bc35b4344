"""Schedules and queues: what runs next, what is overdue, what last succeeded when, what is due and waits."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, age, least, most, select, threshold, total

JOB = ("store", "job_id", "job_name", "task_type")
NEXT = "scheduling_job_next_run_timestamp_seconds"
SUCCESS = "scheduling_job_last_success_timestamp_seconds"
OVERDUE = "scheduling_job_overdue_seconds"
READY = "scheduling_queue_oldest_ready_timestamp_seconds"


def summary() -> list[Any]:
    """Numbers."""
    return [
        p.number(
            "Overdue jobs",
            "Jobs past their next run by more than the grace and not started.",
            "short",
            Query(total(select("scheduling_jobs_overdue")), "overdue"),
            steps=p.NONE_IS_GOOD,
            size=(4, 4),
            runbooks=["SchedulingRunMissed"],
        ),
        p.number(
            "Longest overdue",
            "By how much the job that is most overdue is past its next run.",
            "s",
            Query(most(select(OVERDUE)), "overdue"),
            steps=p.NONE_IS_GOOD,
            empty="on time",
            size=(4, 4),
            runbooks=["SchedulingRunMissed"],
        ),
        p.number(
            "Recurring jobs",
            "Jobs that the store keeps as recurring.",
            "short",
            Query(total(select("scheduling_jobs", 'type="RECURRING"')), "recurring"),
            size=(4, 4),
        ),
        p.number(
            "Next run in",
            "Until the recurring job that is next runs.",
            "s",
            Query(f"min({select(NEXT)} - time() > 0)", "next"),
            empty="unknown",
            size=(4, 4),
        ),
        p.number(
            "Oldest success",
            "Time since the recurring job that has not succeeded for longest last did.",
            "s",
            Query(f"max({age(select(SUCCESS))})", "ago"),
            size=(4, 4),
            decimals=0,
        ),
        p.number(
            "Jobs due and waiting",
            "Jobs that are due and not started, in all queues.",
            "short",
            Query(total(select("scheduling_queue_jobs", 'state="ready"')), "ready"),
            size=(4, 4),
        ),
    ]


def schedules() -> list[Any]:
    """Each recurring job."""
    return [
        p.listing(
            "Recurring jobs, and jobs that fail again and again",
            "When each job runs next and last succeeded, by how much it is overdue, and how often it "
            "failed in a row where "
            "that is more than once. A click on the name opens its log.",
            [
                p.Column("job_name", "Job", links=p.job_links()),
                p.Column("job_id", "Id"),
                p.Column("task_type", "Task type"),
                p.Column("store", "Store", width=100),
                p.Column("Value #A", "Last success ago", unit="s", decimals=0),
                p.Column("Value #B", "Next run in", unit="s", decimals=0),
                p.Column("Value #C", "Overdue", unit="s", decimals=0, steps=((None, p.BAD),)),
                p.Column("Value #D", "Failed in a row", unit="short", steps=((None, p.WARN), (3, p.BAD))),
            ],
            Query(least(age(select(SUCCESS)), *JOB)).table("A"),
            Query(least(f"{select(NEXT)} - time()", *JOB)).table("B"),
            Query(most(select(OVERDUE), *JOB)).table("C"),
            Query(f"{most(select('scheduling_job_consecutive_failures'), *JOB)} > 1").table("D"),
            sort="Last success ago",
            size=(24, 10),
            runbooks=["SchedulingRunMissed", "SchedulingJobNeverSucceeded"],
        ),
        p.graph(
            "Overdue jobs over time",
            "Jobs past their next run by more than the grace, by store.",
            "short",
            Query(most(select("scheduling_jobs_overdue"), "store"), "{{store}}"),
            decimals=0,
            runbooks=["SchedulingRunMissed"],
        ),
        p.graph(
            "Time since the last success",
            "By recurring job: a saw that no longer falls is a job that no longer succeeds.",
            "s",
            Query(least(age(select(SUCCESS)), "store", "job_name"), "{{job_name}}"),
            legend="right",
            runbooks=["SchedulingJobNeverSucceeded"],
        ),
    ]


def queues() -> list[Any]:
    """What is due."""
    return [
        p.graph(
            "Oldest job that waits",
            "For how long each queue's oldest job has been due and not started, and the threshold queue_wait_seconds.",
            "s",
            Query(most(age(select(READY)), "store", "queue"), "{{queue}}"),
            threshold("queue_wait_seconds"),
            legend="right",
            runbooks=["SchedulingQueueLatencyHigh"],
        ),
        p.graph(
            "Waiting jobs by queue",
            "Jobs that are due and not started, by queue.",
            "short",
            Query(total(select("scheduling_queue_jobs", 'state="ready"'), "queue"), "{{queue}}"),
            stack=True,
            legend="right",
            decimals=0,
            runbooks=["SchedulingQueueGrowing"],
        ),
        p.graph(
            "Jobs by state in the queues",
            "Unfinished jobs: ready (due), scheduled (not yet due), running.",
            "short",
            Query(total(select("scheduling_queue_jobs"), "state"), "{{state}}"),
            stack=True,
            colours={"ready": p.WARN, "scheduled": p.CALM, "running": p.GOOD},
            decimals=0,
        ),
        p.graph(
            "Time since the last execution",
            "Since an execution last ended, by store, and the threshold no_execution_seconds (it "
            "holds while work is due).",
            "s",
            Query(most(age(select("scheduling_last_execution_timestamp_seconds")), "store"), "{{store}}"),
            threshold("no_execution_seconds"),
            runbooks=["SchedulingNoExecutions"],
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="jobs",
        title="Scheduler schedules and queues",
        description="What runs next, what is overdue, what last succeeded when; what is due and waits.",
        rows=[("Summary", summary()), ("Schedules", schedules()), ("Queues", queues())],
        task_type=True,
    )
