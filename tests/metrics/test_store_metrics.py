"""A store's parts as metrics: what is shown, what is absent, what the series budget keeps."""

from __future__ import annotations

from typing import Any

import msgspec
from support.parts import figures, statistics

from exporter.domain import (
    OTHER,
    Counts,
    Exactness,
    Executions,
    FailingJob,
    Histogram,
    JobCounts,
    OverdueJob,
    Queues,
    QueueState,
    RecurringJob,
    Running,
    RunningByType,
    Schedules,
    StoreSettings,
    Worker,
    Workers,
)
from exporter.metrics import executions, jobs, reported, running
from exporter.metrics.budget import folded
from exporter.metrics.family import View
from exporter.reported import Period, period_part
from exporter.snapshot import Part

NOW = 1_000_000.0
Samples = dict[str, dict[tuple[str, ...], Any]]


def view(stale: tuple[str, ...] = (), **values: Any) -> View:
    def part(name: str, value: Any) -> Part:
        return Part(
            collector=name, source="main", value=value, success=True, collected_at=NOW, collected_mono=1.0,
            duration=0.0, interval=15.0, staleness=300.0,
        )  # fmt: skip

    return View("main", {name: part(name, value) for name, value in values.items()}, frozenset(stale))


def samples(module: Any, seen: View) -> Samples:
    return {family.name: {labels[1:]: value for labels, value in rows} for family, rows in module.collect(seen) if rows}


def queue(ready: int = 0, scheduled: int = 0, running: int = 0, oldest: float | None = None) -> QueueState:
    return QueueState(ready=ready, scheduled=scheduled, running=running, oldest_ready=oldest)


def queues(states: dict[str, QueueState], **more: Any) -> Queues:
    values: dict[str, Any] = {"by_status": {}, "overdue": (), "overdue_count": 0} | more
    return Queues(queues=states, **values)


COUNTS = Counts(
    executions={"mail": (5, 2, 0, 1)},
    retries={"mail": 3},
    durations={"mail": Histogram((1,) * 13, 9.5)},
    failing=(
        FailingJob(job_id="7", job_name="billing-eu", task_type="bill", streak=4, last_failure=1.0),
        FailingJob(job_id="8", job_name="mail", task_type="mail", streak=1, last_failure=2.0),
    ),
    newest=NOW - 1,
    late=1,
    duplicate=9,
)
EXECUTIONS = Executions(
    counts=COUNTS, exactness=Exactness(reasons=("standby",)), caught_up=True, cursor_time=NOW, oldest_open=None
)


def test_counters_outlive_staleness_and_gauges_do_not() -> None:
    fresh = samples(executions, view(executions=EXECUTIONS))
    stale = samples(executions, view(("executions",), executions=EXECUTIONS))
    assert fresh["scheduling_executions_total"][("mail", "failed")] == 2
    assert fresh["scheduling_exporter_counting_exact"][()] == 0.0
    assert "scheduling_exporter_oldest_open_transaction_timestamp_seconds" not in fresh
    assert stale["scheduling_executions_total"] == fresh["scheduling_executions_total"]
    assert stale["scheduling_execution_duration_seconds"] == fresh["scheduling_execution_duration_seconds"]
    assert {"scheduling_last_execution_timestamp_seconds", "scheduling_exporter_counting_exact"} <= fresh.keys()
    assert not {"scheduling_last_execution_timestamp_seconds", "scheduling_exporter_counting_exact"} & stale.keys()


def test_live_jobs_come_from_the_poll_and_finished_ones_from_the_full_count() -> None:
    counted = JobCounts(by_status={("COMPLETED", "ONE_TIME"): 90, ("QUEUED", "ONE_TIME"): 4})
    polled = queues({}, by_status={("QUEUED", "ONE_TIME"): 6})
    found = samples(jobs, view(jobs=counted, queues=polled))["scheduling_jobs"]
    assert (found["COMPLETED", "ONE_TIME"], found["QUEUED", "ONE_TIME"]) == (90, 6)
    assert found["FAILED", "RECURRING"] == 0  # known in advance: there from the start
    assert ("COMPLETED", "ONE_TIME") not in samples(jobs, view(queues=polled))["scheduling_jobs"]  # unknown, not 0
    assert samples(jobs, view(("jobs", "queues"), jobs=counted, queues=polled)) == {}


def test_queues_share_the_budget_and_the_rest_adds_up() -> None:
    states = {f"q{i}": queue(ready=i, running=1, oldest=NOW - i if i else None) for i in range(10)}
    settings = StoreSettings(series_per_metric=9)
    found = samples(jobs, view(queues=queues(states), settings=settings))
    assert found["scheduling_queue_jobs"].keys() == {
        (name, state) for name in ("q9", "q8", OTHER) for state in ("ready", "scheduled", "running")
    }
    assert found["scheduling_queue_jobs"][OTHER, "ready"] == sum(range(8))
    assert found["scheduling_queue_oldest_ready_timestamp_seconds"][OTHER,] == NOW - 7


def test_a_label_that_is_called_other_is_kept() -> None:
    assert sum(folded({"a": 5, OTHER: 9, "b": 1, "c": 2}, 2, float, int.__add__).values()) == 17
    assert folded({"a": 50, OTHER: 9, "b": 1, "c": 2}, 2, float, int.__add__) == {"a": 50, OTHER: 12}


def test_failing_jobs_say_whether_they_are_critical() -> None:
    settings = StoreSettings(series_per_metric=500, critical_jobs=("billing-*",))
    found = samples(jobs, view(executions=EXECUTIONS, settings=settings))["scheduling_job_consecutive_failures"]
    assert found == {("7", "billing-eu", "bill", "true"): 4, ("8", "mail", "mail", "false"): 1}


def test_a_critical_job_is_shown_however_many_others_fail_more_often() -> None:
    others = [
        FailingJob(job_id=f"o{n}", job_name="mail", task_type="mail", streak=9, last_failure=NOW) for n in range(600)
    ]
    critical = FailingJob(job_id="7", job_name="billing-eu", task_type="bill", streak=1, last_failure=NOW - 60)
    known = msgspec.structs.replace(EXECUTIONS, counts=msgspec.structs.replace(COUNTS, failing=(*others, critical)))
    settings = StoreSettings(series_per_metric=500, critical_jobs=("billing-*",))
    found = samples(jobs, view(executions=known, settings=settings))["scheduling_job_consecutive_failures"]
    assert found["7", "billing-eu", "bill", "true"] == 1
    assert len(found) == 500


def test_what_is_overdue_is_counted_and_named() -> None:
    late = OverdueJob(job_id="1", job_name="", task_type="mail", due=NOW - 90)
    nightly = RecurringJob(
        job_id="n", name="nightly", task_type="report", status="SCHEDULED", schedule=None, time_zone=None,
        next_run=NOW - 300, last_success=None, overdue_since=NOW - 300,
    )  # fmt: skip
    seen = view(queues=queues({}, overdue=(late,), overdue_count=12), schedules=Schedules(jobs=(nightly,)))
    found = samples(jobs, seen)
    assert found["scheduling_jobs_overdue"][()] == 13
    assert found["scheduling_job_overdue_seconds"] == {("n", "nightly", "report"): 300.0, ("1", "", "mail"): 90.0}
    assert found["scheduling_job_next_run_timestamp_seconds"] == {("n", "nightly", "report"): NOW - 300}
    assert "scheduling_job_last_success_timestamp_seconds" not in found  # unknown is absent


def test_orphans_are_absent_where_workers_are_not_known() -> None:
    by_type = {"mail": RunningByType(running=2, stuck=1, orphaned=None, oldest_start=NOW - 50)}
    found = samples(running, view(running=Running(by_task_type=by_type, by_worker={}, oldest=())))
    assert found["scheduling_executions_stuck"] == {("mail",): 1}
    assert "scheduling_executions_orphaned" not in found
    assert "scheduling_worker_running" not in found


def test_task_types_beyond_the_budget_add_up_unless_one_of_them_is_unknown() -> None:
    kinds = {
        "mail": RunningByType(running=9, stuck=0, orphaned=0, oldest_start=NOW - 1),
        "bill": RunningByType(running=2, stuck=1, orphaned=2, oldest_start=NOW - 50),
        "sync": RunningByType(running=1, stuck=3, orphaned=4, oldest_start=None),
    }

    def found() -> Samples:
        told = Running(by_task_type=kinds, by_worker={}, oldest=())
        return samples(running, view(running=told, settings=StoreSettings(series_per_metric=2)))

    assert found()["scheduling_executions_stuck"] == {("mail",): 0, (OTHER,): 4}
    assert found()["scheduling_executions_orphaned"] == {("mail",): 0, (OTHER,): 6}
    assert found()["scheduling_execution_oldest_running_timestamp_seconds"] == {("mail",): NOW - 1, (OTHER,): NOW - 50}
    kinds["sync"] = msgspec.structs.replace(kinds["sync"], stuck=None, orphaned=None)
    assert found()["scheduling_executions_stuck"] == {("mail",): 0}
    assert found()["scheduling_executions_orphaned"] == {("mail",): 0}


def test_executions_without_a_task_type_stand_beside_the_whole_only_as_part_of_it() -> None:
    """The label of the whole is empty, as theirs would be: a series must not come twice."""
    told = statistics(
        figures(5, 1, 0),
        {"": figures(2, 1, 0), "mail": figures(3, 0, 0)},
        start=NOW - 3600,
        end=NOW,
        covered_since=None,
    )
    rows = [row for family, rows in reported.collect(view(**{period_part("1h"): Period(statistics=told)}))
            if family is reported.EXECUTIONS for row in rows]  # fmt: skip
    assert rows == [(("main", "1h", ""), 6), (("main", "1h", "mail"), 3)]


def test_workers_by_state_idle_ones_included() -> None:
    def worker(name: str, state: str) -> Worker:
        return Worker(
            id=name, host=None, last_seen=NOW, connected_at=None, state=state, is_paused=None, is_draining=None,
            can_accept_work=None, actions_completed=None,
        )  # fmt: skip

    seen = view(
        workers=Workers(workers=(worker("a", "active"), worker("b", "lost"))),
        running=Running(by_task_type={}, by_worker={"a": 3}, oldest=()),
    )
    found = samples(running, seen)
    assert found["scheduling_workers"] == {("active",): 1, ("paused",): 0, ("draining",): 0, ("lost",): 1}
    assert found["scheduling_worker_running"] == {("a",): 3, ("b",): 0}
    nothing = samples(
        running, view(workers=seen.parts["workers"].value, running=Running(by_task_type={}, by_worker={}, oldest=()))
    )
    assert nothing["scheduling_worker_running"] == {("a",): 0, ("b",): 0}


def test_who_runs_what_is_told_where_executions_alone_name_workers() -> None:
    found = samples(running, view(running=Running(by_task_type={}, by_worker={"a": 3}, oldest=())))
    assert found["scheduling_worker_running"] == {("a",): 3}
