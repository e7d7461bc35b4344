"""Command-line flags, their environment mirrors, and what they change in a configuration."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from exporter import __version__
from exporter.config.addresses import parse_listen_address
from exporter.config.follow import Answers
from exporter.config.load import load_file
from exporter.config.model import Config, LogFormat, LogLevel
from exporter.config.problems import BROKEN
from exporter.errors import ConfigError

PREFIX: Final = "SCHEDULER_EXPORTER_"
#: What ``serve`` says of itself and of its flags.
SERVE: Final = (
    "Run the exporter. A flag wins over its environment variable, and that over the configuration file. A flag without"
    " a value, such as --collector.jobs, is turned off by --no-: --no-collector.jobs."
)
COLLECTORS: Final = (
    "executions",
    "running",
    "queues",
    "schedules",
    "jobs",
    "workers",
    "operations",
    "connections",
    "dependencies",
    "packs",
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the flags say; None and () leave the configuration as it is."""

    config_file: Path
    listen_address: tuple[str, ...] = ()
    telemetry_path: str | None = None
    web_config_file: str | None = None
    enable_lifecycle: bool | None = None
    log_level: LogLevel | None = None
    log_format: LogFormat | None = None
    state_path: str | None = None
    shard: int = 0
    total_shards: int = 1
    disabled: frozenset[str] = frozenset()

    def load(self, answers: Answers | None) -> Config:
        """Read the configuration file and put the flags over it; ``answers`` and errors as of ``load_file``."""
        config = load_file(self.config_file, answers=answers)
        replace = msgspec.structs.replace
        web = {
            "listen_address": self.listen_address or None,
            "telemetry_path": self.telemetry_path,
            "config_file": self.web_config_file or self._beside(config.web.config_file),
            "enable_lifecycle": self.enable_lifecycle,
        }
        logging = {"level": self.log_level, "format": self.log_format}
        return replace(
            config,
            web=replace(config.web, **_given(web)),
            logging=replace(config.logging, **_given(logging)),
            state=replace(config.state, **_given({"path": self.state_path})),
        )

    def _beside(self, name: str | None) -> str | None:
        """A file that the configuration names is looked for beside the configuration."""
        return name if name is None or name is BROKEN else str(self.config_file.parent / name)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def add_serve_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
    """The flags of ``serve``. Each default comes from the environment: ``--log.level`` from {PREFIX}LOG_LEVEL."""
    add = _Adder(parser, environ)
    add("--config.file", help="configuration file (default: config.yaml)", default="config.yaml", metavar="FILE")
    parser.add_argument("--config.check", dest="config_check", action="store_true", help="check the file and exit")
    add(
        "--web.listen-address",
        help="where to listen; may be repeated",
        action="append",
        split=True,
        metavar="HOST:PORT",
    )
    add("--web.telemetry-path", help="path of the metrics", metavar="PATH")
    add("--web.config.file", help="exporter-toolkit web configuration: TLS, client certificates, users", metavar="FILE")
    add("--web.enable-lifecycle", help="allow POST /-/reload", switch=True)
    add("--log.level", help="what is less severe is not logged", choices=("debug", "info", "warning", "error"))
    add("--log.format", help="the form of each line", choices=("json", "logfmt", "console"))
    add("--state.path", help='directory of the state file, or ":memory:"', metavar="DIR")
    add("--shard", help="which share of the targets this process checks, from 0", kind=int, default="0", metavar="N")
    add("--total-shards", help="into how many shares the targets are divided", kind=int, default="1", metavar="N")
    for name in COLLECTORS:
        add(f"--collector.{name}", help=f"run the collector {name} (default: on)", switch=True)
    parser.add_argument("--version", action="version", version=f"scheduler-exporter {__version__}")
    parser.set_defaults(from_environment=add.from_environment)


class _Adder:
    """Adds a flag whose default is its environment mirror."""

    def __init__(self, parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
        self._parser = parser
        self._environ = environ
        self.from_environment: dict[str, tuple[str, ...]] = {}

    def __call__(
        self,
        flag: str,
        *,
        help: str,
        default: str | None = None,
        switch: bool = False,
        split: bool = False,
        kind: Callable[[str], Any] = str,
        choices: tuple[str, ...] | None = None,
        action: str = "store",
        metavar: str | None = None,
    ) -> None:
        name = flag.removeprefix("--")
        variable = PREFIX + name.replace(".", "_").replace("-", "_").upper()
        text = self._environ.get(variable)
        dest = name.replace(".", "_").replace("-", "_")
        described = f"{help} (environment: {variable})"
        if switch:
            value = None if text is None else _boolean(text, variable)
            group = self._parser.add_mutually_exclusive_group()
            group.add_argument(flag, dest=dest, action="store_true", default=value, help=described)
            group.add_argument(f"--no-{name}", dest=dest, action="store_false", default=value, help=argparse.SUPPRESS)
            return
        given: Any = text if text is not None else default
        if text is not None and choices is not None and text not in choices:
            raise ConfigError([f"{variable}: expected {', '.join(choices)}; got {text!r}"])
        if split:
            # argparse would add flags to a default list; a flag replaces its variable.
            self.from_environment[dest] = tuple(i.strip() for i in (text or "").split(",") if i.strip())
            given = None
        extra: dict[str, Any] = {"type": kind, "choices": choices} if action == "store" else {}
        self._parser.add_argument(
            flag, dest=dest, action=action, default=given, help=described, metavar=metavar, **extra
        )


def _boolean(text: str, variable: str) -> bool:
    value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.strip().lower())
    if value is None:
        raise ConfigError([f"{variable}: expected true or false; got {text!r}"])
    return value


def options_from(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Options:
    """The options of ``serve``. Raises ConfigError with every flag that is wrong."""
    problems = []
    listen, origin = tuple(args.web_listen_address or ()), "--web.listen-address"
    if not listen:
        listen, origin = args.from_environment["web_listen_address"], f"{PREFIX}WEB_LISTEN_ADDRESS"
    port = environ.get("PROMETHEUS_PORT")
    if port and not listen:
        listen, origin = (f":{port}",), "PROMETHEUS_PORT"
    for address in listen:
        try:
            parse_listen_address(address)
        except ValueError as e:
            by_port = origin == "PROMETHEUS_PORT"
            wanted, given = ("expected a port from 0 to 65535", port) if by_port else (e, address)
            problems.append(f"{origin}: {wanted}; got {given!r}")
    if not 0 <= args.shard < args.total_shards:
        problems.append(f"--shard: expected 0 to --total-shards - 1 ({args.total_shards - 1}); got {args.shard}")
    level = args.log_level or environ.get("LOG_LEVEL", "").lower() or None
    level = {"warn": "warning"}.get(level or "", level)
    if level not in (None, "debug", "info", "warning", "error"):
        problems.append(f"LOG_LEVEL: expected debug, info, warn or error; got {level!r}")
    if problems:
        raise ConfigError(problems)
    return Options(
        config_file=Path(args.config_file),
        listen_address=listen,
        telemetry_path=args.web_telemetry_path,
        web_config_file=args.web_config_file,
        enable_lifecycle=args.web_enable_lifecycle,
        log_level=cast("LogLevel | None", level),
        log_format=args.log_format,
        state_path=args.state_path,
        shard=args.shard,
        total_shards=args.total_shards,
        disabled=frozenset(name for name in COLLECTORS if getattr(args, f"collector_{name}") is False),
    )
