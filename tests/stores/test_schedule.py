"""Next runs from cron text and a time zone, across daylight-saving changes."""

from __future__ import annotations

from datetime import datetime

import pytest

from exporter.stores.answers import recurring
from exporter.stores.schedule import ScheduleError, next_run


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("*/5 * * * *", None, "2026-01-01T00:01:00+00:00", "2026-01-01T00:05:00+00:00"),
        ("0 9 * * MON-FRI", "Europe/Berlin", "2026-01-02T10:00:00+00:00", "2026-01-05T08:00:00+00:00"),
        ("30 0 9 * * *", None, "2026-01-01T10:00:00+00:00", "2026-01-02T09:00:30+00:00"),  # six fields: seconds first
        ("@daily", "Asia/Tokyo", "2026-01-01T00:00:00+00:00", "2026-01-01T15:00:00+00:00"),
        # 02:30 does not exist on 29 March in Berlin: the run falls right after the change, at 03:00 (01:00 UTC).
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+00:00", "2026-03-29T01:00:00+00:00"),
        # 02:30 comes twice on 25 October: the run falls on the first, once.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+00:00", "2026-10-25T00:30:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"),
        # Every hour means every hour of real time, also in the hour that comes twice.
        ("0 * * * *", "Europe/Berlin", "2026-10-25T00:00:00+00:00", "2026-10-25T01:00:00+00:00"),
        ("0 9 * * *", "America/New_York", "2026-03-07T15:00:00+00:00", "2026-03-08T13:00:00+00:00"),
    ],
)
def test_the_next_run(cron: str, zone: str | None, after: str, expected: str) -> None:
    assert next_run(cron, zone, at(after)) == at(expected)


def test_a_run_that_never_comes() -> None:
    with pytest.raises(ScheduleError, match="day-of-month"):
        next_run("0 0 31 2 *", None, 0.0)


@pytest.mark.parametrize(("cron", "zone"), [("61 * * * *", None), ("* * *", None), ("0 0 * * *", "Mars/Olympus")])
def test_what_cannot_be_read_is_named(cron: str, zone: str | None) -> None:
    with pytest.raises(ScheduleError, match=zone or cron.replace("*", r"\*")):
        next_run(cron, zone, 0.0)


def test_a_missed_run_stays_in_the_past_until_the_job_starts() -> None:
    row = ("7", "nightly", "report", "SCHEDULED", "0 2 * * *", "Europe/Berlin", None, None, at("2026-01-01T00:00:00Z"))
    started = at("2026-06-01T00:00:10Z")  # the run of 1 June, 02:00 in Berlin
    late = at("2026-06-02T00:30:00Z")  # half an hour after the next one was due
    job, fault = recurring(
        row, now=late, grace=60, known_since=started, last_started=started, last_success=None, runs_now=False
    )
    assert fault is None
    assert job.next_run == job.overdue_since == at("2026-06-02T00:00:00Z")
    job, _ = recurring(
        row, now=late, grace=60, known_since=started, last_started=late, last_success=None, runs_now=False
    )
    assert (job.next_run, job.overdue_since) == (at("2026-06-03T00:00:00Z"), None)


def test_a_schedule_that_cannot_be_read_leaves_the_next_run_unknown() -> None:
    row = ("7", "nightly", "report", "SCHEDULED", "every night", None, None, None, None)
    job, fault = recurring(
        row, now=100.0, grace=60, known_since=0.0, last_started=None, last_success=None, runs_now=False
    )
    assert (job.next_run, job.overdue_since) == (None, None)
    assert fault is not None
    assert "every night" in fault
