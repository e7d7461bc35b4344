"""Every JSON family about a live scheduler after its known work, against what the scheduler's own tables say of it."""

from __future__ import annotations

import re

import pytest
from support.sidecar import Sidecar

from contract.answers import ANSWERS, OTHERWISE, agree
from contract.conftest import Find
from contract.contracts import AIRFLOW, AT_WORK

#: Paths about a store that tell nothing of its tables: alerts are Alertmanager's, a page is made of a job's JSON.
ELSEWHERE = {"/api/scheduler-monitoring/alerts", "/jobs/{id}"}


@pytest.mark.parametrize("family", ANSWERS)
@pytest.mark.parametrize("name", [contract.name for contract in AT_WORK if contract is not AIRFLOW])
def test_an_answer_is_what_the_tables_say(name: str, family: str, at_work: Find) -> None:
    agree(name, family, *at_work(name))


def test_no_path_is_forgotten(sidecar: Sidecar) -> None:
    """Those about one store. What is below /monitoring is below /api/v1/monitoring, too."""
    paths = sidecar.get("/openapi.json").json["paths"]
    about = {
        re.sub(r"\{\w+\}", "{id}", re.sub("^/monitoring", "/api/v1/monitoring", path))
        for path, methods in paths.items()
        if "store" in {parameter["name"] for parameter in methods.get("get", {}).get("parameters", ())}
    }
    compared = {f"/api/{family.split(' ')[0]}" for family in ANSWERS}
    assert about - ELSEWHERE <= compared


def test_nothing_else_is_expected_of_what_is_not_there() -> None:
    assert {family for _, family in OTHERWISE} <= ANSWERS.keys()
    assert {name for name, _ in OTHERWISE} <= {contract.name for contract in AT_WORK}
