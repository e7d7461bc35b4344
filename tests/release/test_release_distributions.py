"""The sdist and the wheel of ``make dist``: all that is read at run time is inside, and the wheel is enough."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from support.checkout import copy_of_the_checkout, source_files
from support.polling import until
from support.ports import free_port
from support.sidecar import request

from exporter.demo.processes import Child
from exporter.shipped import SHIPPED, files

ROOT = Path(__file__).parents[2]
#: Where files that other programs load are, below an environment.
SHARE = "data/share/scheduler-exporter/"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that has to succeed, where nothing of the checkout is found by itself."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env={**kept, **environment})
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@dataclass(frozen=True)
class Built:
    """Paths of what was built, and the names of the files in each."""

    sdist: Path
    wheel: Path
    output: str

    def in_sdist(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}

    def in_wheel(self) -> set[str]:
        return set(zipfile.ZipFile(self.wheel).namelist())

    def metadata(self) -> Metadata:
        """The wheel's, checked by the rules that package indexes go by."""
        archive = zipfile.ZipFile(self.wheel)
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Metadata.from_email(archive.read(name), validate=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, from a copy of the source: the sdist, and the wheel from the sdist."""
    place = tmp_path_factory.mktemp("dist")
    copy_of_the_checkout(place / "source")
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", place / "out", "source", cwd=place)
    (sdist,), (wheel,) = (place / "out").glob("*.tar.gz"), (place / "out").glob("*.whl")
    return Built(sdist=sdist, wheel=wheel, output=done.stdout + done.stderr)


def test_they_are_named_by_the_version_and_built_without_a_warning(built: Built) -> None:
    assert built.sdist.name == f"scheduler_exporter-{PROJECT['version']}.tar.gz"
    assert built.wheel.name == f"scheduler_exporter-{PROJECT['version']}-py3-none-any.whl"
    assert "Deprecat" not in built.output


def test_the_metadata_are_valid_and_say_what_the_project_says(built: Built) -> None:
    metadata = built.metadata()
    assert str(metadata.version) == PROJECT["version"]
    assert metadata.license_expression == PROJECT["license"] == "Apache-2.0"
    assert metadata.license_files == ["LICENSE"]
    assert str(metadata.requires_python) == PROJECT["requires-python"]
    assert metadata.description == (ROOT / "README.md").read_text()
    assert metadata.description_content_type == "text/markdown"
    assert set(metadata.provides_extra or []) == set(PROJECT["optional-dependencies"])
    assert set(PROJECT["dependencies"]) <= {str(requirement) for requirement in metadata.requires_dist or []}


def test_every_file_of_the_package_is_in_both(built: Built) -> None:
    files = source_files("exporter")
    data = {name for name in files if not name.endswith(".py")}
    assert {Path(name).suffix for name in data} >= {".sql", ".yaml", ".j2", ".css", ".js", ".json"}
    assert sorted(files - built.in_wheel()) == []
    assert sorted(files - built.in_sdist()) == []


def test_the_wheel_has_nothing_else(built: Built) -> None:
    name = f"scheduler_exporter-{PROJECT['version']}"
    others = {file for file in built.in_wheel() if not file.startswith(("exporter/", f"{name}.data/{SHARE}"))}
    assert {Path(file).parts[0] for file in others} == {f"{name}.dist-info"}
    assert any(file.endswith("/licenses/LICENSE") for file in others)


def test_rules_and_dashboards_are_in_the_wheel_as_the_command_writes_them(built: Built) -> None:
    inside = {name.partition(SHARE)[2] for name in built.in_wheel() if SHARE in name}
    assert inside == {f"{name}/{file}" for name in SHIPPED for file in files(name, ROOT / name)}
    assert {"rules/alerts/executions.yaml", "rules/runbooks/SchedulingStoreDown.md"} < inside


def test_the_sdist_has_what_a_user_loads_beside_it_and_no_tests(built: Built) -> None:
    inside = built.in_sdist()
    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "constraints.txt", "config.example.yaml", "pyproject.toml"}
    wanted |= {name for name in source_files("docs", "rules") if name.endswith(".md")}
    wanted |= {name for name in source_files("rules") if name.endswith((".yaml", ".yml"))}
    wanted |= {name for name in source_files("dashboards") if name.endswith(".json")}
    assert sorted(wanted - inside) == []
    assert sorted(name for name in inside if name.startswith(("tests/", "tools/", "benchmarks/", "helm/"))) == []


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and its dependencies as they are in the present one."""
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    run(sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "--quiet", "--no-deps",
        "--no-index", "--disable-pip-version-check", built.wheel, cwd=place)  # fmt: skip
    site = next(place.glob("lib/python3.*/site-packages"))
    # A folder named in a .pth file is searched; the .pth files in it, such as that of the checkout, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return place / "bin"


def test_the_command_tells_its_version_and_checks_the_example(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import exporter; print(exporter.__file__)", cwd=tmp_path).stdout
    assert where.startswith(str(installed.parent))
    told = run(installed / "scheduler-exporter", "--version", cwd=tmp_path)
    assert PROJECT["version"] in told.stdout
    example = shutil.copy(ROOT / "config.example.yaml", tmp_path / "config.yaml")
    run(installed / "scheduler-exporter", "serve", f"--config.file={example}", "--config.check", cwd=tmp_path)


#: Loads each by the way the program finds it.
RESOURCES = """
import json
from exporter.packs import load as packs
from exporter.pages import template
from exporter.stores import profile
pages = template._environment()
print(json.dumps({
    "pages": sorted(pages.get_template(name).name for name in pages.list_templates() if name.endswith(".j2")),
    "profiles": sorted(profile.shipped()),
    "packs": sorted(packs.shipped()),
}))
"""


def test_templates_profiles_and_packs_are_loaded_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    loaded = json.loads(run(installed / "python", "-c", RESOURCES, cwd=tmp_path).stdout)
    pages = ROOT / "exporter" / "pages" / "templates"
    assert loaded == {
        "pages": sorted(path.name for path in pages.glob("*.j2")),
        "profiles": sorted(path.stem for path in (ROOT / "exporter/stores/profiles").glob("*.yaml")),
        "packs": sorted(path.stem for path in (ROOT / "exporter/packs/files").glob("*.yaml")),
    }
    assert all(loaded.values())


def test_commands_that_need_files_of_the_package_find_them(installed: Path, tmp_path: Path) -> None:
    command = installed / "scheduler-exporter"
    assert "CREATE TABLE" in run(command, "schema", cwd=tmp_path).stdout
    config = tmp_path / "config.yaml"
    config.write_text("connections: {targets: [{name: none, host: 127.0.0.1}]}\n")
    run(command, "alertmanager-config", f"--config.file={config}", f"--output={tmp_path / 'out'}", cwd=tmp_path)
    assert {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()} >= {".yml", ".tmpl"}
    for name in SHIPPED:
        run(command, name, cwd=tmp_path)
        written = {file: (tmp_path / name / file).read_bytes() for file in files(name, tmp_path / name)}
        assert written == {file: (ROOT / name / file).read_bytes() for file in files(name, ROOT / name)}


@pytest.fixture
def port(installed: Path, tmp_path: Path) -> Iterator[int]:
    """The wheel's exporter, serving."""
    chosen = free_port()
    config = tmp_path / "config.yaml"
    config.write_text(f"connections: {{targets: [{{name: none, host: 127.0.0.1, port: {free_port()}}}]}}\n")
    child = Child(
        name="wheel", log=tmp_path / "log", directory=tmp_path,
        command=[installed / "scheduler-exporter", "serve", f"--config.file={config}",
                 f"--web.listen-address=127.0.0.1:{chosen}"],
    )  # fmt: skip
    child.start()
    try:
        yield chosen
    finally:
        child.stop()


def test_it_serves_pages_examples_and_metrics(port: int) -> None:
    def answers() -> bool:
        try:
            return request(port, "/-/healthy").status == 200
        except OSError:
            return False

    until(answers, 120, "the wheel's exporter answers")
    pages = {path: request(port, path) for path in ("/", "/docs", "/openapi.json", "/metrics")}
    assert {path: page.status for path, page in pages.items()} == dict.fromkeys(pages, 200)
    assert json.loads(pages["/openapi.json"].body)["info"]["version"] == PROJECT["version"]
