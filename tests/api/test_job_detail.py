"""A job's latest executions looked at: failures in a row."""

from __future__ import annotations

from exporter.api.job_detail import streak_of
from exporter.stores.found import LoggedExecution


def execution(status: str, began: float | None, ended: float | None) -> LoggedExecution:
    return LoggedExecution(
        id="1", job_id="j", job_name=None, task_type="k", queue=None, status=status, attempt=0, scheduled_at=None,
        started_at=began, completed_at=ended, worker_id=None, error_message=None, error_code=None, result=None,
    )  # fmt: skip


def test_what_began_first_and_ended_last_is_the_latest() -> None:
    assert streak_of([execution("FAILED", 20.0, 30.0), execution("SUCCESS", 10.0, 40.0)]) == 0
    assert streak_of([execution("SUCCESS", 20.0, 30.0), execution("FAILED", 10.0, 40.0)]) == 1


def test_what_failed_before_it_began_is_as_old_as_its_end() -> None:
    """Airflow's tasks that no worker began have no start."""
    assert streak_of([execution("FAILED", None, 10.0), execution("SUCCESS", 20.0, 30.0)]) == 0
    assert streak_of([execution("FAILED", None, 40.0), execution("SUCCESS", 20.0, 30.0)]) == 1


def test_without_ends_the_order_is_that_of_the_log() -> None:
    assert streak_of([execution("FAILED", None, None), execution("SUCCESS", 20.0, 30.0)]) == 1
