"""What reviewers of dashboards look for, asked of every dashboard and panel."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.dashboards import BOARDS, PANELS, ROOT, UNITS, VARIABLES, Panel
from support.rules import NAMES, RULES

NEEDED = {"datasource", "job", "instance", "store", "task_type"}
KNOWN_TYPES = {"timeseries", "stat", "bargauge", "heatmap", "state-timeline", "table"}


@pytest.mark.parametrize("name", BOARDS)
def test_the_frame(name: str) -> None:
    board = BOARDS[name]
    assert board["uid"] == f"scheduling-{name}"
    assert board["editable"] is False
    assert board["title"]
    assert board["description"]
    assert board["tags"] == ["scheduler-exporter"]
    assert [link["type"] for link in board["links"]] == ["dashboards", "link"]
    assert board["links"][0]["includeVars"]
    assert board["links"][0]["keepTime"]
    assert {"Restarts", "Critical alerts"} <= {found["name"] for found in board["annotations"]["list"]}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    titles = [panel["title"] for panel in board["panels"] if panel["type"] != "row"]
    assert len(set(titles)) == len(titles), "two panels of one title"


def test_uids_and_titles_are_unique() -> None:
    for key in ("uid", "title"):
        assert len({board[key] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_it_has_the_variables_and_uses_those_that_it_shows(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables.keys() >= NEEDED
    assert variables["datasource"]["query"] == "prometheus"
    text = str(board["panels"])
    for variable in variables.values():
        used = re.search(rf"\$\{{?{variable['name']}\b", text + str(board["links"])) is not None
        # Hidden ones carry a choice from one dashboard to the next.
        assert used or variable.get("hide") == 2, f"{variable['name']} is shown and changes nothing"


@pytest.mark.parametrize(("name", "variable"), [v for v in VARIABLES if v[1]["type"] == "query"])
def test_variables_that_ask(name: str, variable: dict[str, Any]) -> None:
    assert variable["multi"]
    assert variable["includeAll"]
    assert variable["refresh"] == 2, "on a change of the time range"
    assert variable["current"]["value"] == ["$__all"]
    # A task type or a store may be missing from a series; a job or an instance may not.
    assert variable["allValue"] == (".+" if variable["name"] in ("job", "instance") else ".*")
    assert variable["label"]
    assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_panels_say_what_they_show(panel: Panel) -> None:
    body = panel.json
    assert body["type"] in KNOWN_TYPES
    assert body["title"]
    assert len(body["description"]) > 10
    assert body["description"].endswith(".")
    assert body["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert body["targets"]
    assert len({target["refId"] for target in body["targets"]}) == len(body["targets"])
    assert all(target["datasource"] == body["datasource"] for target in body["targets"])


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_units_are_known(panel: Panel) -> None:
    config = panel.json["fieldConfig"]
    given = [config["defaults"].get("unit")]
    given += [
        prop["value"] for override in config["overrides"] for prop in override["properties"] if prop["id"] == "unit"
    ]
    assert None not in given, "every panel has a unit"
    assert set(given) <= UNITS


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    below = max(y for _, y in taken) + 1
    holes = 24 * below - len(taken)
    assert holes <= 24 * below * 0.04, f"{holes} cells of {24 * below} are empty"


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_overrides_match_something(panel: Panel) -> None:
    legends = " ".join(target.get("legendFormat", "") for target in panel.json["targets"])
    columns = {
        name for t in panel.json.get("transformations", ()) for name in t["options"].get("renameByName", {}).values()
    }
    refs = {target["refId"] for target in panel.json["targets"]}
    for override in panel.json["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byFrameRefID":
            assert matcher["options"] in refs
        elif panel.json["type"] == "table":
            assert matcher["options"] in columns
        else:
            assert "{{" in legends or matcher["options"] in legends


def test_links_to_runbooks_lead_to_one() -> None:
    linked = set(re.findall(r"\$\{runbooks\}/(\w+)\.md", str(BOARDS)))
    assert linked <= set(NAMES)
    assert all((RULES / "runbooks" / f"{alert}.md").is_file() for alert in linked)
    elsewhere = {"SchedulingNotificationsFailing"}  # Alertmanager's own metrics: none of these dashboards
    assert set(NAMES) - linked <= elsewhere, "an alert whose runbook no panel links to"


def test_rows_of_jobs_lead_to_the_job_and_its_log() -> None:
    of_jobs = [panel for panel in PANELS if "job_id" in str(panel.json.get("transformations"))]
    assert len(of_jobs) >= 3
    for panel in of_jobs:
        links = str(panel.json["fieldConfig"])
        assert "${exporter}/jobs/${__data.fields.job_id:percentencode}?store=" in links
        assert "${exporter}/api/jobs/${__data.fields.job_id:percentencode}/logs?store=" in links


def test_addresses_of_the_exporter_that_links_lead_to_are_served() -> None:
    table = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## Endpoints")[2]
    served = set(re.findall(r"^\| `(/[^`]*)`[^|]*\| GET", table, re.MULTILINE))  # tests/docs holds it to the code
    for path in re.findall(r"\$\{exporter\}(/[^'?]*)", str(BOARDS)):
        assert re.sub(r"\$\{[^}]*\}", "{id}", path) in served, path


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_what_there_may_be_a_thousand_of_is_drawn_of_some(panel: Panel) -> None:
    if panel.json["type"] == "table":
        return  # a table scrolls
    for target in panel.json["targets"]:
        if re.search(r"\{\{(connection|worker)\}\}", target.get("legendFormat", "")):
            assert "topk(" in target["expr"], f"{panel}: a line for each of a thousand"


@pytest.mark.parametrize("panel", [p for p in PANELS if p.json["type"] in ("stat", "bargauge")], ids=str)
def test_a_number_is_of_now(panel: Panel) -> None:
    # The last value of a time range may be hours old: what is unknown, or over, has none any more.
    assert all(target["instant"] and not target["range"] for target in panel.json["targets"])
