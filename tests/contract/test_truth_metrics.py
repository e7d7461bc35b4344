"""Every family about a scheduler after its known work, against what the scheduler's own tables say of it."""

from __future__ import annotations

import pytest

from contract.conftest import Find
from contract.contracts import AIRFLOW, AT_WORK
from contract.truth import TRUTHS, compare
from contract.truth.families import FAMILIES
from exporter.metrics import executions, jobs, running
from exporter.metrics.family import Family

#: Families about the exporter's own reading: the tables say nothing of it.
ITS_OWN = {
    f"scheduling_exporter_{name}"
    for name in (
        "late_executions_total", "duplicate_executions_total", "cursor_timestamp_seconds",
        "oldest_open_transaction_timestamp_seconds", "series_dropped", "backfill_ratio",
    )
}  # fmt: skip


Differences = dict[str, list[str]]


@pytest.fixture(scope="module")
def compared() -> dict[str, Differences]:
    """The differences found by scheduler and family: each is waited for once."""
    return {}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [name for name in TRUTHS if name != AIRFLOW.name])
def test_a_family_is_what_the_tables_say(
    name: str, family: str, compared: dict[str, Differences], at_work: Find
) -> None:
    if name not in compared:
        compared[name] = compare(name, *at_work(name))
    assert not compared[name][family], "\n".join(compared[name][family])


def test_no_family_is_forgotten() -> None:
    there = {f.name for module in (jobs, executions, running) for f in vars(module).values() if isinstance(f, Family)}
    assert there - ITS_OWN == FAMILIES.keys() - {"scheduling_store_up"}


def test_no_scheduler_is_forgotten() -> None:
    assert TRUTHS.keys() == {contract.name for contract in AT_WORK}
