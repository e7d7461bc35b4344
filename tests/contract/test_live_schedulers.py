"""Real schedulers at work: what their handlers say they ran is what the exporter counts, and the rest fits to it."""

from __future__ import annotations

import time

import pytest
from support.polling import until
from support.sidecar import Sidecar

from contract.conftest import Observed
from contract.contracts import LIVE
from exporter.stores import recognition

NAMES = [contract.name for contract in LIVE]


@pytest.fixture(params=NAMES)
def seen(request: pytest.FixtureRequest, schedulers: dict[str, Observed]) -> Observed:
    return schedulers[request.param]


def test_every_run_is_counted_once(seen: Observed) -> None:
    """Successes, failures, retries, what recurs: against what the handlers told."""
    assert seen.settled, f"counted {seen.counted()}, truth {seen.truth()}\n{seen.driven.log[-3000:]}"
    counted = seen.counted()
    for key, n in seen.contract.runs.items():
        assert counted[key] >= n
    assert not seen.counter.exactness_reasons()


def test_retries_are_told(seen: Observed) -> None:
    retries = seen.counter.counts.retries
    flaky = next((n for task, n in retries.items() if task.lower().endswith("flaky")), None)
    if seen.contract.name == "celery":
        assert flaky is None  # a row does not say how many attempts it had
    elif seen.contract.name != "graphile":  # what succeeded is gone
        assert flaky == (1 if seen.final else 2)


def test_unfinished_jobs_are_counted_by_status(seen: Observed) -> None:
    assert seen.unfinished() == seen.contract.live


def test_what_a_killed_worker_ran_is_running(seen: Observed) -> None:
    running = seen.parts["running"]
    assert running.by_task_type[seen.contract.long].running == 1
    [job] = [event["job"] for event in seen.driven.events() if event.get("began") == seen.contract.long][:1]
    oldest = next(e for e in running.oldest if e.task_type == seen.contract.long)
    assert job in (oldest.job_id, oldest.id)
    assert oldest.started_at is not None


def test_workers(seen: Observed) -> None:
    workers = seen.parts["workers"]
    if not seen.contract.workers:
        assert workers is None
        return
    by_id = {worker.id: worker for worker in workers.workers}
    oldest = next(e for e in seen.parts["running"].oldest if e.task_type == seen.contract.long)
    assert by_id[oldest.worker_id].state == "active"


def test_what_recurs_is_listed(seen: Observed) -> None:
    listed = seen.parts["schedules"].jobs if seen.parts["schedules"] is not None else ()
    if seen.contract.profile == "oban":
        assert not listed  # cron entries are in the application's code
        return
    assert any(job.task_type.endswith("tick") for job in listed)
    knows_next = {"pgqueuer", "pgboss12", "pgboss10", "celery", "chancy"}
    assert any(job.next_run is not None for job in listed) == (seen.contract.name in knows_next)
    assert not [job for job in listed if job.overdue_since is not None]


def test_all_jobs_are_counted_by_status(seen: Observed) -> None:
    by_status: dict[str, int] = {}
    for (status, kind), n in seen.parts["jobs"].by_status.items():
        if kind == "ONE_TIME":
            by_status[status] = by_status.get(status, 0) + n
    assert by_status["RUNNING"] == 1
    if seen.contract.profile in ("procrastinate", "pg-boss", "oban"):
        assert by_status["CANCELLED"] == 1


def test_errors_are_told(seen: Observed) -> None:
    groups = [group.message for group in seen.counter.errors(3600)]
    if seen.contract.profile == "procrastinate":  # keeps no messages
        assert not groups
        return
    assert any("boom" in message for message in groups), groups


def test_it_is_recognised_with_its_version(
    seen: Observed, recognised: dict[str, tuple[recognition.Recognised, recognition.Schema]]
) -> None:
    found, schema = recognised[seen.contract.name]
    contract = seen.contract
    assert (found.profile.name, found.variant, schema.told) == (contract.profile, contract.variant, contract.version)
    assert schema.doubt is None


def test_a_triggered_job_runs_and_is_counted(seen: Observed) -> None:
    if seen.profile.trigger is None:
        assert seen.triggered is None
        return
    assert seen.triggered is not None
    assert seen.agrees(), f"counted {seen.counted()}, truth {seen.truth()}"


def test_cancelled_jobs_that_never_ran_are_no_executions(seen: Observed) -> None:
    assert not [key for key in seen.counted() if key[1] == "cancelled"]


def test_one_sidecar_tells_all_of_them_at_once(seen: Observed, sidecar: Sidecar) -> None:
    """Its metrics and its JSON are what the handlers told, for each store: none disturbs another."""
    name, expected = seen.contract.name, seen.counted()
    sidecar.settled(time.time(), name)

    def shown() -> dict[tuple[str, str], float]:
        found = sidecar.metrics().series("scheduling_executions_total", store=name)
        labels = {key: dict(key) for key in found}
        return {(labels[key]["task_type"], labels[key]["status"]): n for key, n in found.items() if n}

    until(lambda: shown() == expected, 120, f"{expected} are shown")
    metrics = sidecar.metrics()
    assert metrics.value("scheduling_store_up", store=name) == 1
    assert metrics.value("scheduling_exporter_counting_exact", store=name) == 1
    assert metrics.by("status", "scheduling_executions_total", store=name).keys() == {
        outcome.lower() for outcome in seen.profile.outcomes
    }
    stats = sidecar.get(f"/api/system/stats?period=1h&store={name}").json["data"]["executions"]
    told = {status: n for status in ("success", "failed", "timeout", "cancelled") if (n := stats[status])}
    sums: dict[str, int] = {}
    for (_, status), n in expected.items():
        sums[status] = sums.get(status, 0) + n
    if "SUCCESS" in seen.profile.outcomes:
        assert told == sums
    else:
        assert stats["total"] is stats["success"] is stats["successRate"] is None
    history = sidecar.get(f"/api/scheduler-monitoring/jobs?limit=100&store={name}").json["items"]
    listed: dict[tuple[str, str], int] = {}
    for entry in history:
        key = (entry["taskType"], entry["status"].lower())
        listed[key] = listed.get(key, 0) + 1
    assert {key: n for key, n in listed.items() if "tick" not in key[0].lower()} == {
        key: n for key, n in expected.items() if "tick" not in key[0].lower()
    }
    running = sidecar.get(f"/api/v1/monitoring/tasks/running?store={name}").json
    assert seen.contract.long in str(running)
