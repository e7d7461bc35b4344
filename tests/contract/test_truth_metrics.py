"""Every family about a scheduler after its known work, against what the scheduler's own tables say of it."""

from __future__ import annotations

import psycopg
import pytest
from support.polling import until
from support.sidecar import Sidecar

from contract.conftest import Observed
from contract.truth import TRUTHS
from contract.truth.asking import Database
from contract.truth.comparing import differences
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
SECONDS = 20.0


@pytest.fixture(scope="module")
def compared() -> dict[str, dict[str, list[str]]]:
    """The differences found by scheduler and family: each is waited for once."""
    return {}


def compare(name: str, dsn: str, sidecar: Sidecar) -> dict[str, list[str]]:
    """Until nothing differs; what still does in the end."""
    found: dict[str, list[str]] = {}

    def agree() -> bool:
        with psycopg.connect(dsn) as connection:
            told = TRUTHS[name](Database(connection))
        found.update(differences(sidecar.metrics(), name, told))
        return not any(found.values())

    try:
        until(agree, SECONDS, every=0.5)
    except AssertionError:
        assert found
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", TRUTHS)
def test_a_family_is_what_the_tables_say(
    name: str,
    family: str,
    schedulers: dict[str, Observed],
    sidecar: Sidecar,
    compared: dict[str, dict[str, list[str]]],
) -> None:
    if name not in compared:
        compared[name] = compare(name, schedulers[name].driven.dsn, sidecar)
    assert not compared[name][family], "\n".join(compared[name][family])


def test_no_family_is_forgotten() -> None:
    there = {f.name for module in (jobs, executions, running) for f in vars(module).values() if isinstance(f, Family)}
    assert there - ITS_OWN == FAMILIES.keys() - {"scheduling_store_up"} - (FAMILIES.keys() & ITS_OWN)
