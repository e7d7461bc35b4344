"""A newcomer's shell: commands of the documents, run where nothing of the tests' own environment is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from exporter.demo.processes import Child
from support.exposition import Metrics
from support.polling import until
from support.ports import free_port
from support.sidecar import HOST, clean_environment, request

PATIENCE = 180
#: Python as it was installed, not the tests' environment; nothing of a make that runs the tests.
NEWCOMER = {
    "PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
    **dict.fromkeys(("ARGS", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "PYTHONPATH", "VIRTUAL_ENV"), ""),
}


class Walk:
    """A shell in a directory: what is exported or read in holds for what comes after."""

    def __init__(self, directory: Path, replaced: dict[str, str], activated: str = "") -> None:
        self.directory = directory
        self.port = free_port()
        self._replaced = {**replaced, "127.0.0.1:9795": f"{HOST}:{self.port}"}
        self._before = activated
        self.children: list[Child] = []
        self._environment = clean_environment(
            {**NEWCOMER, "SCHEDULER_EXPORTER_WEB_LISTEN_ADDRESS": f"{HOST}:{self.port}"}
        )

    def here(self, text: str) -> str:
        """A document's text with this machine's addresses."""
        for what, instead in self._replaced.items():
            text = text.replace(what, instead)
        return text

    def write(self, name: str, text: str) -> None:
        """A file that a document tells to write."""
        (self.directory / name).write_text(self.here(text))

    def run(self, line: str, seconds: float = PATIENCE) -> str:
        """A command to its end; what it printed. It has to succeed."""
        if line.startswith(("export ", ". ")):
            self._before += f"{line}; "
            return ""
        done = subprocess.run(
            ["sh", "-c", self._before + self.here(line)], cwd=self.directory, env=self._environment,
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def leave_running(self, line: str, more: str = "") -> Child:
        """A command that does not end."""
        name = line.split(maxsplit=1)[0]
        command = ["sh", "-c", f"{self._before} exec {self.here(line)} {more}"]
        child = Child(
            name=name, command=command, log=self.directory / f"{name}.log", directory=self.directory,
            environment=self._environment,
        )  # fmt: skip
        child.start()
        self.children.append(child)
        return child

    def serve(self, line: str) -> Child:
        """The exporter, once it answers."""
        child = self.leave_running(line)

        def answers() -> bool:
            assert child.running, child.last_lines()
            try:
                return request(self.port, "/metrics").status == 200
            except OSError:
                return False

        until(answers, PATIENCE, "the exporter answers")
        return child

    def metrics(self) -> Metrics:
        return Metrics(request(self.port, "/metrics").text)

    def counted(self) -> dict[tuple[str, str], float]:
        """Executions by task type and status, those that there are."""
        found = self.metrics().series("scheduling_executions_total")
        labels = {key: dict(key) for key in found}
        return {(labels[key]["task_type"], labels[key]["status"]): n for key, n in found.items() if n}

    def end(self) -> None:
        for child in reversed(self.children):
            child.stop()
