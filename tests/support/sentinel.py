"""A mark is put wherever a secret can be put; then it is looked for wherever anybody can look."""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil

from support.sidecar import Response, Sidecar, arguments_of

#: Is searched for. Every secret of such a test contains it, whatever is around it and however it is encoded.
MARK = "Sentinel9zK"
#: The same for secrets that are numbers.
DIGITS = 918273645546372819

PATHS = (
    "/",
    "/metrics",
    "/config",
    "/health",
    "/health/ready",
    "/health/live",
    "/-/healthy",
    "/-/ready",
    "/openapi.json",
    "/sd",
    "/probe?target=ours",
    "/api/system/health",
    "/api/system/stats",
    "/api/v1/monitoring/connections/status",
    "/api/scheduler-monitoring/status",
    "/nothing",
)
ACCEPTED = ("text/plain", "text/html", "application/json", "application/openmetrics-text;version=1.0.0")


@dataclass
class Seen:
    """Everything that anybody could see: by where it was, so that a failure names the place."""

    texts: dict[str, str] = field(default_factory=dict)

    def answer(self, where: str, response: Response) -> None:
        """An answer over HTTP, headers included."""
        self.texts[where] = f"{response.headers}\n{response.body.decode(errors='replace')}"

    def pages(self, sidecar: Sidecar, **headers: str) -> None:
        """Every page, in every form."""
        for path in PATHS:
            for accept in ACCEPTED:
                self.answer(f"GET {path} as {accept}", sidecar.get(path, headers={"Accept": accept, **headers}))

    def process(self, sidecar: Sidecar) -> None:
        """Its command line and its children's, its log, and the files of its state."""
        process = psutil.Process(sidecar.process.pid)
        for each in (process, *process.children(recursive=True)):
            self.texts[f"arguments of {each.pid}"] = " ".join(arguments_of(each.pid))
        self.log(sidecar)

    def log(self, sidecar: Sidecar) -> None:
        """The log, and the files of its state."""
        self.texts["log"] = sidecar.log
        for file in (sidecar.directory / "state").glob("*"):
            self.texts[f"state file {file.name}"] = file.read_bytes().decode(errors="replace")

    def assert_clean(self, *secrets: str) -> None:
        """None of it holds a secret: not the marks, not ``secrets``."""
        for where, text in self.texts.items():
            for secret in (MARK, str(DIGITS), *secrets):
                assert secret not in text, f"{where}: ...{text[max(0, text.index(secret) - 200) :][:400]}..."
