"""What the paths of the CHRONOS family share: where they are, and the envelope of their errors."""

from __future__ import annotations

from typing import Final

from exporter.httpd.endpoint import Family
from exporter.httpd.problems import Refusal


class Failure(Refusal, kw_only=True):
    """An error in this family."""

    success: bool = False


FAMILY: Final = Family(
    name="system, jobs, logs",
    description="Jobs, executions and workers: camelCase, milliseconds, shares as text",
    envelope=Failure,
    prefixes=("/api/system/", "/api/jobs/", "/api/logs/"),
)
