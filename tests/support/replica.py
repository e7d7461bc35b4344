"""A primary and its streaming replica."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from exporter.demo.binaries import find_binaries
from exporter.demo.postgres import PostgresServer
from support import ports
from support.faulty_servers import LOCALHOST, give, unprivileged
from support.polling import until
from support.postgres import running_server


@contextlib.contextmanager
def running_replica(directory: Path) -> Iterator[tuple[PostgresServer, int]]:
    """A primary of its own, and the port of its replica, which takes connections."""
    with running_server() as primary:
        binaries = find_binaries(None, directory)
        give(directory)
        common: dict[str, Any] = {"cwd": directory, "stdin": subprocess.DEVNULL, **unprivileged()}
        source = primary.dsn("replication").replace("/replication", "/postgres")
        subprocess.run(
            [binaries / "pg_basebackup", "-d", source, "-D", directory / "data", "-R", "-c", "fast", "-X", "stream"],
            check=True,
            **common,
        )
        port = ports.free_port()
        with (directory / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", directory / "data", "-p", str(port)], stdout=log, stderr=log, **common
            )
        try:
            until(lambda: _answers(port, primary.password), 90)
            yield primary, port
        finally:
            server.send_signal(3)
            server.wait(30)


def _answers(port: int, password: str) -> bool:
    try:
        psycopg.connect(
            host=LOCALHOST, port=port, dbname="postgres", user="postgres", password=password, connect_timeout=5
        ).close()
    except psycopg.OperationalError:
        return False
    return True
