"""Every YAML example in the documents is one that its reader takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from support.charts import chart, render

from exporter.config.load import load_section, load_text
from exporter.config.model import Config, Dsn, PostgresStore, Profile
from exporter.config.web import parse_web_config
from exporter.metrics.names import ours
from exporter.packs.load import load_packs
from exporter.stores.profile import fill, shipped
from exporter.stores.queries import COLUMNS, CURSOR_TYPES, REQUIRED

if TYPE_CHECKING:
    from docs.conftest import Documents

KINDS = tuple(
    f"yaml {kind}" for kind in ("config", "profile", "web", "prometheus", "alertmanager", "pack", "grafana", "values")
)
ROW = re.compile(r"^\| `(\w+)`( \*)? \| (text|time|integer|boolean|JSON) \|", re.MULTILINE)


def test_every_yaml_block_says_what_it_is(documents: Documents) -> None:
    blocks = [block for block in documents.blocks() if block.info.split(" ")[0] in ("yaml", "yml")]
    assert blocks
    for block in blocks:
        assert block.info in KINDS, f"{block}: mark it as one of {', '.join(KINDS)}"


def test_configurations_load(documents: Documents, tmp_path: Path) -> None:
    blocks = documents.blocks("yaml config")
    assert len(blocks) >= 3
    for block in blocks:
        for name in re.findall(r"\$\{file:([^}]+)\}", block.text):
            tmp_path.joinpath(name).write_text(f"from {name}\n")
        environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block.text), "from the environment")
        load_text(block.text, filename=str(block), environ=environ, base_dir=tmp_path)


def test_profiles_load_and_their_parameters_fill_in(documents: Documents, tmp_path: Path) -> None:
    blocks = documents.blocks("yaml profile")
    assert blocks
    for block in blocks:
        profile = load_section(block.text, Profile, filename=str(block), environ={}, base_dir=tmp_path)
        assert '"public".run_log' in (fill(profile, {}).executions or "")


def test_the_chart_takes_its_values(documents: Documents) -> None:
    blocks = documents.blocks("yaml values")
    assert blocks
    for block in blocks:
        values = yaml.safe_load(block.text)
        chart().validate_schema(values)
        kinds = {each["kind"] for each in render(values)}
        assert "StatefulSet" in kinds
        assert ("AlertmanagerConfig" in kinds) is ("alertmanagerConfig" in values)


def test_packs_load(documents: Documents, tmp_path: Path) -> None:
    blocks = documents.blocks("yaml pack")
    assert len(blocks) >= 2
    for number, block in enumerate(blocks):
        file = tmp_path / f"pack-{number}.yaml"
        file.write_text(block.text)
        config = Config(stores=(PostgresStore(name="main", dsn=Dsn("")),), packs=(str(file),))
        assert list(load_packs(config, tmp_path, ours()).queries("main"))


def test_web_configurations_load(documents: Documents, tmp_path: Path) -> None:
    blocks = documents.blocks("yaml web")
    assert blocks
    for block in blocks:
        config = parse_web_config(block.text, tmp_path / "web.yaml")
        assert config.tls is not None
        assert config.basic_auth_users
        assert config.warnings == ()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_its_configuration(documents: Documents, tmp_path: Path) -> None:
    blocks = documents.blocks("yaml prometheus")
    assert blocks
    for block in blocks:
        file = tmp_path / "prometheus.yml"
        file.write_text(block.text)
        done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
        assert "instance:" in block.text  # the advice that stands beside it


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
def test_alertmanager_takes_its_configuration(documents: Documents, tmp_path: Path) -> None:
    blocks = documents.blocks("yaml alertmanager")
    assert blocks
    for block in blocks:
        file = tmp_path / "alertmanager.yml"
        file.write_text(block.text)
        done = subprocess.run(["amtool", "check-config", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"


def columns_in(text: str) -> dict[str, tuple[str, bool]]:
    """column -> (type, required) of a section's table."""
    return {name: (kind, bool(star)) for name, star, kind in ROW.findall(text)}


def test_the_columns_of_every_entity_are_documented(documents: Documents) -> None:
    text = documents.texts["docs/profiles.md"]
    sections = dict(re.findall(r"^### ([\w, ]+)\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL))
    by_entity = {entity: body for title, body in sections.items() for entity in title.split(", ")}
    assert by_entity.keys() == COLUMNS.keys()
    for entity, columns in COLUMNS.items():
        types = {name: {"brief": "text", "json": "JSON"}.get(kind, kind) for name, kind in columns.items()}
        expected = {name: (kind, name in REQUIRED[entity]) for name, kind in types.items()}
        assert columns_in(by_entity[entity]) == expected, entity


def test_cursor_kinds_and_shipped_profiles_are_documented(documents: Documents) -> None:
    text = documents.texts["docs/profiles.md"]
    for name in (*CURSOR_TYPES, *shipped()):
        assert f"| `{name}` |" in text, name
    for name in shipped():
        assert f"| `{name}` |" in documents.texts["README.md"], name
