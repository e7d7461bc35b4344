"""The demo's directory: temporary unless given, locked while in use, removed at the end, or by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import IO, Final

from exporter.errors import ExporterError

PREFIX: Final = "scheduler-exporter-demo-"
MARKER: Final = ".scheduler-exporter-demo"
"""The file that tells a demo's directory from any other; its lock tells one in use from one left behind."""


@contextlib.contextmanager
def workspace(given: Path | None) -> Iterator[Path]:
    """``given``, which is kept, or a temporary directory, which is not."""
    directory = _use(given) if given is not None else _make()
    with _lock(directory) as locked:
        if not locked:
            raise ExporterError(f"{directory}: another demo is running in this directory")
        try:
            yield directory
        finally:
            if given is None:
                shutil.rmtree(directory, ignore_errors=True)


def render(template: str, target: Path, values: Mapping[str, str | int]) -> Path:
    """Write a template of this package with its ``$NAMES`` replaced; ``${file:...}`` stays as it is."""
    text = Path(__file__).with_name(template).read_text()
    target.write_text(Template(text).safe_substitute(values))
    return target


def secret(file: Path) -> str:
    """The one in ``file``, made up on first use, readable by its owner alone."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(12))
    return file.read_text()


def _make() -> Path:
    _sweep()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    _open_for_postgres(directory)
    return directory


def _use(given: Path) -> Path:
    directory = given.expanduser().resolve()
    if not directory.exists():
        directory.mkdir(parents=True)
        _open_for_postgres(directory)
    elif any(directory.iterdir()) and not (directory / MARKER).exists():
        raise ExporterError(f"{directory} is not empty and was not made by a demo: choose another directory")
    return directory


def _open_for_postgres(directory: Path) -> None:
    """As root PostgreSQL runs as nobody, who must pass to the data; secrets have modes of their own."""
    directory.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _sweep() -> None:
    """Remove what a demo that was killed (SIGKILL, power) could not remove itself."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            marked = (directory / MARKER).exists() and not directory.is_symlink()
            if marked and directory.stat().st_uid == os.geteuid():
                with _lock(directory) as locked:
                    if locked:
                        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[IO[str] | None]:
    """Hold the directory's lock; None while another process does. It ends with us, however we end."""
    with (directory / MARKER).open("a") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield marker
