"""What the program is measured against: Debian's prometheus-sql-exporter and prometheus-postgres-exporter."""

from __future__ import annotations

import contextlib
import shutil
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.kept import PEER, Database
from exporter.demo.ports import free_port
from exporter.demo.processes import Child

HOST = "127.0.0.1"
Query = Mapping[str, Any]


@contextlib.contextmanager
def sql_exporter(database: Database, directory: Path, queries: Sequence[Query], *, interval: str) -> Iterator[str]:
    """The address of a sql_exporter that runs these queries every ``interval``, from its start on."""
    dsn = database.dsn(PEER).replace("postgresql://", "postgres://") + "?sslmode=disable"
    job = {"name": "store", "interval": interval, "connections": [dsn]}
    config = directory / "sql_exporter.yml"
    config.write_text(yaml.safe_dump({"jobs": [{**job, "queries": list(queries)}]}))
    with _running("prometheus-sql-exporter", directory, f"-config.file={config}", "-web.listen-address") as url:
        yield url


@contextlib.contextmanager
def postgres_exporter(database: Database, directory: Path, queries: Mapping[str, Query]) -> Iterator[str]:
    """The address of a postgres_exporter that runs these queries and nothing else at every scrape."""
    config = directory / "queries.yaml"
    config.write_text(yaml.safe_dump(dict(queries)))
    options = ["--disable-default-metrics", "--disable-settings-metrics", f"--extend.query-path={config}"]
    environment = {"DATA_SOURCE_NAME": database.dsn(PEER) + "?sslmode=disable"}
    name = "prometheus-postgres-exporter"
    collectors = ["--no-collector.database", "--no-collector.bgwriter"]
    with _running(name, directory, *options, *collectors, "--web.listen-address", environment=environment) as url:
        yield url


@contextlib.contextmanager
def _running(
    program: str, directory: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start ``program``; the last argument is the option for its address."""
    path = shutil.which(program)
    if path is None:
        raise RuntimeError(f"{program} is missing: apt install {program}")
    port = free_port()
    command = [path, *arguments[:-1], f"{arguments[-1]}={HOST}:{port}"]
    child = Child(name=program, command=command, log=directory / f"{program}.log", environment=environment or {})
    child.start()
    url = f"http://{HOST}:{port}/metrics"
    try:
        wait_for(url, b"", 20)
        yield url
    except Exception as error:
        raise RuntimeError(f"{program}: {error}; its log ends:\n{child.last_lines()}") from error
    finally:
        child.stop()


def wait_for(url: str, text: bytes, seconds: float) -> bytes:
    """The page once it has ``text``; RuntimeError after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=seconds) as answer:
            page: bytes = answer.read()
            if text in page:
                return page
        time.sleep(0.1)
    raise RuntimeError(f"{url} has no {text.decode()!r} after {seconds:g} s")
