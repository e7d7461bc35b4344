"""Rules and dashboards are written as they are; what another version left is told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.sidecar import run_command

from exporter import shipped
from exporter.errors import ExporterError

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", shipped.SHIPPED)
def test_they_are_written_into_a_directory_that_was_not_there(name: str, tmp_path: Path) -> None:
    place = tmp_path / "new" / name
    done = run_command(name, f"--output={place}", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    written = {path for path in place.rglob("*") if path.is_file()}
    assert done.stdout == f"{place}: {len(written)} files written\n"
    assert place / shipped.SHIPPED[name][0] in written
    for path in written:
        assert path.read_bytes() == (ROOT / name / path.relative_to(place)).read_bytes()


def test_every_rule_and_runbook_is_among_them_and_no_test() -> None:
    rules = ROOT / "rules"
    wanted = {path for folder in ("alerts", "recording", "runbooks") for path in (rules / folder).iterdir()}
    wanted |= {rules / "README.md", rules / "prometheus.yml"}
    assert {rules / file for file in shipped.files("rules", rules)} == wanted


def test_a_newer_version_replaces_its_files_and_names_what_the_older_left(tmp_path: Path) -> None:
    shipped.write("rules", tmp_path)
    (tmp_path / "alerts" / "renamed.yaml").write_text("groups: []\n")
    (tmp_path / "alerts" / "stores.yaml").write_text("groups: []\n")
    (tmp_path / "local.yml").write_text("{}")
    done = run_command("rules", f"--output={tmp_path}")
    assert done.returncode == 0
    left = tmp_path / "alerts" / "renamed.yaml"
    assert done.stderr == f"remark: {left} is not of this version: remove it unless it is yours\n"
    assert (tmp_path / "alerts" / "stores.yaml").read_bytes() == (ROOT / "rules/alerts/stores.yaml").read_bytes()
    assert (tmp_path / "local.yml").read_text() == "{}"


def test_in_the_checkout_they_are_where_they_should_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    shutil.copytree(ROOT / "dashboards", tmp_path / "dashboards")
    monkeypatch.setattr(shipped, "_CHECKOUT", tmp_path)
    before = os.stat(tmp_path / "dashboards" / "overview.json")
    shipped.write("dashboards", tmp_path / "dashboards")
    assert os.stat(tmp_path / "dashboards" / "overview.json").st_mtime_ns == before.st_mtime_ns


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_command("dashboards", f"--output={tmp_path / 'file'}")
    assert done.returncode == 1
    assert done.stderr == f"scheduler-exporter: cannot write {tmp_path / 'file'}: File exists\n"


def test_a_package_without_them_says_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(shipped.metadata, "files", lambda name: None)
    with pytest.raises(ExporterError, match="the repository has them in rules/"):
        shipped.write("rules", tmp_path / "rules")
