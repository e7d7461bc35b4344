"""The guide's mapping in ten minutes (docs/profiles.md), done as it says, in a real database."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from stores.test_detect import execute
from support.postgres import Database
from support.sidecar import run_command

GUIDE = Path(__file__).parents[2] / "docs" / "profiles.md"


def block(info: str, which: int) -> str:
    """A block of the section."""
    section = GUIDE.read_text().partition("## A mapping in ten minutes")[2].partition("\n## ")[0]
    return re.findall(rf"```{info}\n(.*?)```", section, re.DOTALL)[which]


def check(directory: Path, config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The report of `profile check`, and all that it warns of, in words."""
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    [report] = json.loads(run_command("profile", "check", "--json", directory=directory).stdout)["stores"]
    parts = [report, *report["entities"], *report["statements"]]
    told = [
        f"{p.get('name', '')}: {f['text']} {f['remedy']}" for p in parts for f in p["findings"] if f["level"] != "note"
    ]
    return report, "\n".join(told)


def test_it_works_and_warns_as_it_says(database: Database, tmp_path: Path) -> None:
    execute(
        database,
        block("sql", 0),
        "INSERT INTO task SELECT n, 'work', 'ok', now(), now() FROM generate_series(1, 20000) n",
        "INSERT INTO task_run SELECT n, n, 1, ended - interval '3 s', ended, NULL"
        " FROM (SELECT n, now() AT TIME ZONE 'UTC' AS ended FROM generate_series(1, 20000) n) r",
        "ANALYZE",
    )
    config = yaml.safe_load(block("yaml config", 0))
    config["stores"][0]["dsn"] = database.dsn
    profile = config["stores"][0]["profile"]
    report, told = check(tmp_path, config)
    assert report["ok"]
    assert not told
    parts = re.split(r"-- (\w+)\n", block("sql", 1))
    profile |= dict(zip(parts[1::2], parts[2::2], strict=True))
    assert profile.keys() >= {"running", "jobs"}
    report, told = check(tmp_path, config)
    assert report["ok"]
    assert "queues: every poll reads public.task whole" in told
    assert "in `live_jobs`" in told
    profile["live_jobs"] = profile["jobs"] + " WHERE state IN ('new', 'busy')"
    report, _ = check(tmp_path, config)
    found = [f for statement in report["statements"] for f in statement["findings"]]
    remedies = [remedy for f in found for remedy in f["remedy"] if remedy.startswith("CREATE INDEX")]
    assert remedies
    with database.connect() as db:
        for remedy in dict.fromkeys(remedies):
            db.execute(remedy)  # type: ignore[call-overload]
        db.execute("ANALYZE")
    _, told = check(tmp_path, config)
    assert not told


def test_mistakes_are_told_with_what_to_write_instead(database: Database, tmp_path: Path) -> None:
    """A missing column, a wrong type, a status that means nothing: one after the other, as people make them."""
    execute(database, block("sql", 0), "INSERT INTO task_run SELECT 1, 1, 1, now(), now(), NULL; ANALYZE")
    config = yaml.safe_load(block("yaml config", 0))
    config["stores"][0]["dsn"] = database.dsn
    profile = config["stores"][0]["profile"]
    right = profile["executions"]
    execute(database, "INSERT INTO task VALUES (1, 'work', 'ok', now(), now())")
    for wrong, words in (
        (right.replace("END AS status", "END AS state"), "has no column 'status'"),
        (right.replace("r.failure AS", "r.failed AS"), "column r.failed does not exist"),
        (right.replace("r.try - 1 AS attempt", "r.started AS attempt"), "'attempt' is of type timestamp"),
        (
            right.replace("'SUCCESS'", "'OK'"),
            "status 'OK' means nothing here (known: SUCCESS, FAILED, TIMEOUT, CANCELLED)",
        ),
    ):
        profile["executions"] = wrong
        report, told = check(tmp_path, config)
        assert not report["ok"]
        assert words in told
    profile["executions"] = right
    profile["cursor"] = {"column": "completed_at", "kind": "timestamp"}
    report, told = check(tmp_path, config)
    assert "kind may be: naive_timestamp" in told
