"""What each stage of the Dockerfile runs, run in a directory of its own: what is in the image, and that it serves.

Docker's engine is not needed, and is not tried: the paths of the image are put below the test's directory.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.polling import until
from support.ports import free_port
from support.sidecar import Sidecar, request, target

from exporter.demo.processes import Child

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def instructions(stage: str, kind: str) -> list[str]:
    """The arguments of a stage's instructions of this kind."""
    found: list[str] = re.findall(rf"^{kind} +(.*)$", STAGES[stage], re.MULTILINE)
    return [" ".join(text.split()) for text in found]


class Image:
    """The image's file system as far as the stages make it, below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / "opt" / "venv"
        self.source = root / "src"

    def place(self, text: str) -> str:
        """``text`` with the image's absolute paths below ``root``."""
        return re.sub(r"(?<![\w.])/(opt|src|etc|var|usr/share)/", rf"{self.root}/\1/", text)

    def run(self, stage: str, **environment: str) -> None:
        """Run what a stage runs."""
        for command in instructions(stage, "RUN"):
            done = subprocess.run(
                ["/bin/sh", "-ec", self.place(command)], cwd=self.source, capture_output=True, text=True, check=False,
                env={**os.environ, **environment},
            )  # fmt: skip
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"

    def copy(self, stage: str) -> None:
        """Copy what a stage copies from the checkout."""
        for arguments in instructions(stage, "COPY"):
            if arguments.startswith("--from"):
                continue
            *sources, target = shlex.split(arguments)
            for found in (path for source in sources for path in ROOT.glob(source)):
                place = Path(self.place(target)) if target.startswith("/") else self.source / target
                place = place / found.name if target.endswith("/") else place
                ignored = shutil.ignore_patterns("__pycache__")
                if found.is_dir():
                    shutil.copytree(found, place, ignore=ignored)
                else:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(found, place)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Stages build and build-demo; what packed and runtime add to build is the same but for the scheduler."""
    made = Image(tmp_path_factory.mktemp("image"))
    made.source.mkdir()
    made.copy("build")
    made.run("build", EXTRAS="redis,sentry,tracing")
    made.run("build-demo")
    made.copy("runtime")
    assert instructions("packed", "RUN")[0] in " ".join(instructions("build-demo", "RUN"))
    return made


def test_the_stages_follow_each_other() -> None:
    assert set(STAGES) == {"build", "build-demo", "packed", "base", "demo", "runtime"}
    assert list(STAGES)[-1] == "runtime", "what docker build makes without --target"
    assert instructions("base", "USER") == ["65532:65532"]
    assert not re.search(r"^USER (root|0)", TEXT, re.MULTILINE)


def test_no_build_tool_and_no_copy_of_the_source_is_left(image: Image) -> None:
    programs = {path.name for path in (image.venv / "bin").iterdir()}
    assert {"scheduler-exporter", "python"} <= programs
    assert not {name for name in programs if name.startswith(("pip", "gcc", "cc"))}
    found = subprocess.run(
        [image.venv / "bin/python", "-c", "import exporter, sys; print(exporter.__file__)"],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    assert str(image.venv) in found.stdout


def test_profiles_templates_rules_and_dashboards_are_inside(image: Image) -> None:
    site = next(image.venv.glob("lib/python3.*/site-packages/exporter"))
    shipped = {path.relative_to(ROOT / "exporter") for path in (ROOT / "exporter").rglob("*")
               if path.suffix in {".sql", ".yaml", ".json", ".j2", ".css", ".js", ".tmpl", ".html"}}  # fmt: skip
    assert shipped
    missing = sorted(str(path) for path in shipped if not (site / path).exists())
    assert missing == []
    share = image.venv / "share/scheduler-exporter"
    copied = "--from=packed /opt/venv/share/scheduler-exporter /usr/share/scheduler-exporter"
    assert copied in instructions("runtime", "COPY")
    assert list(share.glob("rules/alerts/*.yaml")) and (share / "dashboards/overview.json").exists()


def test_all_modules_are_compiled_as_they_will_be_run(image: Image) -> None:
    level = re.search(r"PYTHONOPTIMIZE=(\d)", " ".join(instructions("base", "ENV")))
    assert level is not None
    site = next(image.venv.glob("lib/python3.*/site-packages"))
    modules = [*site.glob("exporter/**/*.py"), *site.glob("aiohttp/*.py")]
    assert len(modules) > 200
    compiled = {path: Path(importlib.util.cache_from_source(str(path), optimization=level[1])) for path in modules}
    assert [path for path, cache in compiled.items() if not cache.exists()] == []
    assert f"python -{int(level[1]) * 'O'} -m compileall" in " ".join(instructions("base", "RUN")), "Python's own"


@pytest.fixture
def served(image: Image, tmp_path: Path) -> Iterator[tuple[int, Child]]:
    """The exporter of the image with the image's environment."""
    environment = dict(re.findall(r"(\S+?)=(\S+)", " ".join(instructions("base", "ENV"))))
    port = free_port()
    environment["SCHEDULER_EXPORTER_WEB_LISTEN_ADDRESS"] = f"127.0.0.1:{port}"
    environment = {name: image.place(value) for name, value in environment.items() if name != "PATH"}
    config = Path(image.place("/etc/scheduler-exporter/config.yaml"))
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"connections: {{targets: [{{name: none, host: 127.0.0.1, port: {free_port()}}}]}}\n")
    Path(image.place("/var/lib/scheduler-exporter")).mkdir(parents=True, exist_ok=True)
    entry = json.loads(instructions("runtime", "ENTRYPOINT")[0]) + json.loads(instructions("runtime", "CMD")[-1])
    child = Child(name="image", command=[str(image.venv / "bin" / entry[0]), *entry[1:]],
                  log=tmp_path / "log", environment=environment)  # fmt: skip
    child.start()
    try:
        yield port, child
    finally:
        child.stop()


def answers(port: int) -> bool:
    """Whether somebody serves there."""
    try:
        return request(port, "/-/healthy").status == 200
    except OSError:
        return False


def test_it_serves_and_its_health_check_tells_that(image: Image, served: tuple[int, Child]) -> None:
    port, child = served
    until(lambda: answers(port), 90, "the image's exporter answers")
    check = re.search(r"CMD (\[\"python\", \"-c\".*?\])$", STAGES["runtime"], re.MULTILINE)
    assert check is not None
    program, *arguments = [part.replace("9795", str(port)) for part in json.loads(check[1])]
    command = [str(image.venv / "bin" / program), *arguments]
    assert subprocess.run(command, check=False).returncode == 0
    child.stop()
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_its_api_is_described_as_everywhere(served: tuple[int, Child], tmp_path: Path) -> None:
    """Though its Python has no docstrings, from which a part of the text comes."""
    port, _ = served
    until(lambda: answers(port), 90, "the image's exporter answers")
    elsewhere = Sidecar(tmp_path / "elsewhere", {"connections": {"targets": [target("none", 1)]}})
    elsewhere.start()
    try:
        image, other = (request(at, "/openapi.json").json for at in (port, elsewhere.port))
    finally:
        elsewhere.stop()
    assert all(schema["description"] for schema in other["components"]["schemas"].values())
    assert image == other
