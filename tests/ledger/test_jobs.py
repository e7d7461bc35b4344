"""What is remembered of jobs: streaks forwards and backwards, what is over, and that memory has a bound."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from exporter.ledger.finished import STATUS_INDEX
from exporter.ledger.jobs import FAILING_JOBS_KEPT, FAILING_KEPT, Changes, JobBook, JobRow

NOW = 1_000_000.0


class Settled:
    """The jobs that are written down as settled; remembers who was asked for."""

    def __init__(self, *jobs: str) -> None:
        self.jobs = set(jobs)
        self.asked: list[str] = []

    def __call__(self, jobs: Sequence[str]) -> Collection[str]:
        self.asked += jobs
        return self.jobs.intersection(jobs)


def row(job: str, status: str, ended: float, *, first: bool = True, recurring: bool = False) -> JobRow:
    return JobRow(ended, job, STATUS_INDEX[status], first, recurring, None, job, "t")


def apply(book: JobBook, *rows: JobRow, history: bool = False) -> Changes:
    """One slice of these rows, written."""
    changes = Changes()
    book.apply(rows, changes, NOW, history=history)
    book.trim(changes, NOW)
    book.fold(changes)
    return changes


def streaks(book: JobBook) -> dict[str, int]:
    return {job_id: state.streak for job_id, state in book.jobs.items()}


def test_history_makes_a_streak_longer_until_a_success() -> None:
    book = JobBook(Settled())
    book.settling = True
    apply(book, row("a", "FAILED", NOW - 10))
    apply(book, row("a", "FAILED", NOW - 20), row("a", "FAILED", NOW - 30), history=True)
    apply(book, row("a", "SUCCESS", NOW - 40), row("a", "FAILED", NOW - 50), history=True)
    assert streaks(book) == {"a": 3}


def test_older_failures_of_a_job_that_ended_well_are_over() -> None:
    book = JobBook(Settled())
    book.settling = True
    changes = apply(book, row("a", "SUCCESS", NOW - 10, first=False))
    assert changes.settled == {"a"}
    book = JobBook(Settled("a"))
    book.settling = True
    apply(book, row("a", "FAILED", NOW - 20), history=True)
    assert streaks(book) == {}


def test_a_job_that_ended_well_and_fails_again_is_failing_once() -> None:
    settled = Settled("a")
    book = JobBook(settled)
    book.settling = True
    apply(book, row("a", "FAILED", NOW - 5))
    assert streaks(book) == {"a": 1}
    apply(book, row("a", "FAILED", NOW - 50), history=True)
    assert streaks(book) == {"a": 1}, "what failed before it ended well is over"
    assert settled.asked == ["a"], "what is known need not be asked for"


def test_a_cancelled_execution_does_not_settle_a_job() -> None:
    book = JobBook(Settled())
    book.settling = True
    changes = apply(book, row("a", "CANCELLED", NOW - 10, first=False), row("a", "FAILED", NOW - 20), history=True)
    assert not changes.settled
    assert streaks(book) == {"a": 1}


def test_nobody_is_asked_and_nothing_settled_once_history_is_read() -> None:
    settled = Settled("a")
    book = JobBook(settled)
    apply(book, row("a", "FAILED", NOW - 5))
    assert settled.asked == []
    assert not apply(book, row("b", "SUCCESS", NOW - 5, first=False)).settled


def test_a_success_matters_of_jobs_that_failed_and_of_recurring_ones() -> None:
    book = JobBook(Settled())
    book.recurring = frozenset({"daily"})
    apply(book, row("a", "FAILED", NOW - 5))
    assert [book.watches(job) for job in ("a", "daily", "b")] == [True, True, False]


def test_the_latest_failing_jobs_are_kept_and_no_more() -> None:
    book = JobBook(Settled())
    many = 3 * FAILING_JOBS_KEPT
    changes = Changes()
    for start in range(0, many, 500):
        rows = [row(f"job-{n}", "FAILED", NOW - many + n) for n in range(start, start + 500)]
        book.apply(rows, changes, NOW, history=False)
        assert len(changes.states) <= 2 * FAILING_JOBS_KEPT + 500
    book.trim(changes, NOW)
    assert len(changes.states) == FAILING_JOBS_KEPT, "what is not kept is not written first"
    book.fold(changes)
    assert set(book.jobs) == {f"job-{n}" for n in range(many - FAILING_JOBS_KEPT, many)}


def test_jobs_that_leave_the_book_are_removed_from_the_file() -> None:
    book = JobBook(Settled())
    apply(book, *(row(f"old-{n}", "FAILED", NOW - FAILING_KEPT + 100) for n in range(FAILING_JOBS_KEPT)))
    changes = apply(book, *(row(f"new-{n}", "FAILED", NOW) for n in range(10)))
    assert len(book.jobs) == FAILING_JOBS_KEPT
    assert len([state for state in changes.states.values() if state is None]) == 10
    later = NOW + 200
    changes = Changes()
    book.trim(changes, later)
    book.fold(changes)
    assert set(book.jobs) == {f"new-{n}" for n in range(10)}


def test_recurring_jobs_do_not_make_room_for_others() -> None:
    book = JobBook(Settled())
    apply(book, row("nightly", "SUCCESS", NOW - 30 * FAILING_KEPT, recurring=True))
    apply(book, *(row(f"job-{n}", "FAILED", NOW) for n in range(FAILING_JOBS_KEPT + 5)))
    assert "nightly" in book.jobs
    assert len(book.jobs) == FAILING_JOBS_KEPT + 1


def test_failing_jobs_are_told_as_they_are_now_longest_streak_first() -> None:
    book = JobBook(Settled())
    apply(book, row("a", "FAILED", NOW - 30), row("b", "FAILED", NOW - 20), row("b", "TIMEOUT", NOW - 10, first=False))

    def told() -> list[tuple[str, int, float]]:
        return [(job.job_id, job.streak, job.last_failure) for job in book.failing()]

    assert told() == [("b", 2, NOW - 10), ("a", 1, NOW - 30)]
    before = {job.job_id: job for job in book.failing()}
    apply(book, *(row("a", "FAILED", NOW - 9 + i, first=False) for i in range(2)))
    assert told() == [("a", 3, NOW - 8), ("b", 2, NOW - 10)]
    assert {job.job_id: job for job in book.failing()}["b"] is before["b"], "what did not change is no other object"
    apply(book, row("a", "SUCCESS", NOW - 1, first=False))
    assert told() == [("b", 2, NOW - 10)]


def test_the_latest_execution_says_what_a_job_is_called_and_when_it_last_ended_well() -> None:
    book = JobBook(Settled())

    def after(name: str | None, ended: float) -> tuple[str, float | None]:
        job = JobRow(ended, "a", STATUS_INDEX["SUCCESS"], True, True, None, name, "t")
        changes = Changes()
        book.apply([job], changes, NOW, history=False)
        book.fold(changes)
        return book.jobs["a"].name, book.jobs["a"].last_success

    assert after("first", NOW - 50) == ("first", NOW - 50)
    assert after("latest", NOW - 10) == ("latest", NOW - 10)
    assert after("late", NOW - 30) == ("latest", NOW - 10), "a late row is no news"
    assert after(None, NOW - 5) == ("latest", NOW - 5), "a name that is not told does not go away"
    assert after("same", NOW - 5) == ("same", NOW - 5), "of two that ended at once the second is the latest"
