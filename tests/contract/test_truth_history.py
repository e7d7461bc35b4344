"""A sidecar that comes when the work is done: what it has read of history, against what the tables say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.polling import until
from support.sidecar import Sidecar

from contract.answers import ANSWERS, agree
from contract.conftest import Observed, watched
from contract.contracts import LIVE

#: What is made of history: the rest is asked of the store, or is of the moment.
FAMILIES = (
    "system/stats", "system/stats of each period", "system/workers", "jobs/{id}", "logs/recent",
    "v1/scheduler/metrics", "scheduler-monitoring/metrics", "scheduler-monitoring/jobs", "scheduler-monitoring/errors",
    "scheduler-monitoring/dashboard",
)  # fmt: skip


@pytest.fixture(scope="module")
def late(schedulers: dict[str, Observed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    stores = [{"dsn": one.driven.dsn, **one.driven.store} for one in schedulers.values()]
    with watched(tmp_path_factory.mktemp("late"), *stores) as sidecar:
        has_read_history(sidecar)
        yield sidecar


def has_read_history(sidecar: Sidecar) -> None:
    """Wait until it has, that of all its stores."""

    def read() -> bool:
        known = sidecar.get("/api/scheduler-monitoring/status").json["stores"]
        return all(store["backfill"] is not None and store["backfill"]["complete"] for store in known)

    until(read, 180, "the history of all of them", every=0.2)


@pytest.mark.parametrize("name", [contract.name for contract in LIVE])
def test_what_was_before_is_what_the_tables_say(name: str, schedulers: dict[str, Observed], late: Sidecar) -> None:
    for family in FAMILIES:
        agree(name, family, schedulers[name].driven.dsn, late)


def test_each_family_is_one() -> None:
    assert set(FAMILIES) <= ANSWERS.keys()
