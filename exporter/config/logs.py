"""The section about the exporter's own log, and what is in force where it is silent: the environment decides."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from exporter.config.base import Duration, Positive, Section, Text

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "logfmt", "console"]
Environment = Literal["production", "development", "test"]

DAY: Final = 86_400.0


class Logging(Section, frozen=True, kw_only=True):
    """The log: on standard output or, with ``directory``, in files by category and day. None: by environment."""

    level: LogLevel | None = None
    format: LogFormat | None = None
    directory: Text | None = None
    retention: Positive | None = None
    console: bool | None = None
    summary_interval: Duration | None = None


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force. ``retention`` of files and ``summary_interval`` (0: never) in seconds.

    ``console`` tells whether lines go to standard output beside the files.
    """

    level: LogLevel = "info"
    format: LogFormat = "json"
    directory: str | None = None
    retention: float = 90 * DAY
    console: bool = False
    summary_interval: float = 300.0


BY_ENVIRONMENT: Final[dict[Environment, LogSettings]] = {
    "production": LogSettings(),
    "development": LogSettings(level="debug", format="console", retention=DAY, console=True, summary_interval=60.0),
    "test": LogSettings(level="error", format="console", retention=DAY, summary_interval=0.0),
}


def log_settings(logging: Logging, environment: Environment) -> LogSettings:
    """What ``logging`` says, and for the rest what the environment has."""
    said = {name: value for name, value in msgspec.structs.asdict(logging).items() if value is not None}
    return replace(BY_ENVIRONMENT[environment], **said)
