"""Error messages that say the same of different things are one group; groups are bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from exporter.ledger import error_groups
from exporter.ledger.batch import Failure
from exporter.ledger.error_groups import GROUPS_KEPT, ErrorGroups, fingerprint
from exporter.ledger.schema import connect, prepare

NOW = 1_790_000_000.0


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = prepare(connect(":memory:"), "memory")
    yield db
    db.close()


def failure(message: str, at: float = NOW, task_type: str = "t", code: str | None = None) -> Failure:
    return Failure(at, message, code, task_type, "7", str(at))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("timeout after 30 s", "timeout after 31.5 s"),
        ("no host 10.0.0.1:5432", "no host 10.0.0.27:5433"),
        ("user 'ann' is unknown", "user 'bob' is unknown"),
        ("job 3f2504e0-4f89-11d3-9a0c-0305e82c3301 gone", "job 9d0a51c8-0c6f-4f5b-8c89-6d1d4b6b9f10 gone"),
        ("mail to a.b@example.com bounced", "mail to c@example.org bounced"),
        ("GET https://a.example/x?y=1 failed", "GET https://b.example/ failed"),
        ("object at 0x7fa3ab", "object at 0x11"),
        ("two\nlines", "two   lines"),
    ],
)
def test_messages_that_differ_in_what_they_name_are_one(one: str, other: str) -> None:
    assert fingerprint(one, None) == fingerprint(other, None)


def test_messages_that_say_something_else_are_not(db: sqlite3.Connection) -> None:
    texts = ["connection refused", "connection reset", "timeout after 30 s", "faded beef"]
    assert len({fingerprint(text, None)[0] for text in texts}) == len(texts)
    assert fingerprint("x", "A")[0] != fingerprint("x", "B")[0]


def test_a_group_keeps_its_first_and_shows_its_last(db: sqlite3.Connection) -> None:
    for at, message, kind in ((NOW, "no 2", "b"), (NOW - 7200, "no 1", "a"), (NOW - 1, "no 3", "b")):
        groups = ErrorGroups()
        groups.add([failure(message, at, kind)])
        groups.write(db, 1)
    (group,) = error_groups.read(db, 1, NOW - 86_400)
    assert (group.message, group.example, group.count) == ("no <n>", "no 2", 3)
    assert (group.first_seen, group.last_seen, group.task_types) == (NOW - 7200, NOW, ("b", "a"))
    assert sum(group.trend.values()) == 3
    (latest,) = error_groups.read(db, 1, NOW - 60)
    assert latest.count == sum(n for hour, n in group.trend.items() if hour >= (NOW - 60) // 3600 * 3600)


def test_groups_are_bounded_also_within_one_slice(db: sqlite3.Connection) -> None:
    words = [f"{chr(97 + i // 676)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}x" for i in range(GROUPS_KEPT + 500)]
    groups = ErrorGroups()
    groups.add([failure(word) for word in words])
    groups.write(db, 1)
    found = error_groups.read(db, 1, 0)
    assert len(found) <= GROUPS_KEPT
    groups = ErrorGroups()
    groups.add([failure("newer " + word, NOW + 60) for word in words])
    groups.write(db, 1)
    assert len(error_groups.read(db, 1, 0)) <= GROUPS_KEPT


def test_old_groups_are_forgotten(db: sqlite3.Connection) -> None:
    groups = ErrorGroups()
    groups.add([failure("old one", NOW - 90_000), failure("new one", NOW)])
    groups.write(db, 1)
    error_groups.prune(db, 1, NOW - 80_000)
    assert [group.message for group in error_groups.read(db, 1, 0)] == ["new one"]
    assert db.execute("SELECT count(*) FROM error_hour").fetchone() == (1,)
