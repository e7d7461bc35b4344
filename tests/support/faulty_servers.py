"""Servers that do nothing right, and the real ones that the wheel's PostgreSQL cannot stand in for: TLS, PgBouncer."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from support import ports

LOCALHOST = "127.0.0.1"


@contextlib.contextmanager
def swallows_everything() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server((LOCALHOST, 0), backlog=512) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def swallows_packets() -> Iterator[int]:
    """The port of a server that does not even answer a SYN: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOCALHOST, 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((LOCALHOST, port))
        time.sleep(0.05)
        yield port


@contextlib.contextmanager
def hangs_up() -> Iterator[int]:
    """The port of a server that takes connections and ends them at the first byte."""
    with socket.create_server((LOCALHOST, 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def unprivileged() -> dict[str, Any]:
    """Keywords for subprocess: the servers refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def give(path: Path) -> None:
    """Make ``path`` and all below it the property of those who will run the servers."""
    for each in (path, *path.rglob("*")):
        if who := unprivileged():
            os.chown(each, who["user"], who["group"])


@dataclass(frozen=True)
class Server:
    """A server that was started as a process of its own."""

    port: int
    log: Path


@contextlib.contextmanager
def debian_postgres(directory: Path, files: Mapping[str, bytes], settings: Mapping[str, str]) -> Iterator[Server]:
    """Debian's PostgreSQL, which can do TLS, with ``files`` in its data directory; user postgres, password secret."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))
    data, log = directory / "data", directory / "log"
    password = directory / "password"
    password.write_text("secret")
    give(directory)
    common: dict[str, Any] = {"cwd": directory, "stdin": subprocess.DEVNULL, **unprivileged()}
    with log.open("wb") as out:
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-N", "-A", "scram-sha-256", f"--pwfile={password}"],
            check=True,
            stdout=out,
            stderr=out,
            **common,
        )
        for name, content in files.items():
            (data / name).write_bytes(content)
            (data / name).chmod(0o600)
        port = ports.free_port()
        everything = {"listen_addresses": LOCALHOST, "unix_socket_directories": "", "fsync": "off", **settings}
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in everything.items())
        give(data)
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-p", str(port)], stdout=out, stderr=out, **common
        )
        try:
            _wait(port, server, log, "postgres", "postgres", "secret")
            yield Server(port, log)
        finally:
            server.send_signal(3)
            server.wait(30)


@contextlib.contextmanager
def pgbouncer(
    directory: Path, upstream: int, dbname: str, user: str, password: str, **settings: str
) -> Iterator[Server]:
    """PgBouncer in transaction mode in front of the server on port ``upstream``."""
    log, ini, users = directory / "log", directory / "pgbouncer.ini", directory / "users.txt"
    port = ports.free_port()
    users.write_text(f'"{user}" "{password}"\n')
    options = {
        "listen_addr": LOCALHOST,
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": str(users),
        "pool_mode": "transaction",
        "logfile": str(log),
        **settings,
    }
    ini.write_text(
        f"[databases]\n{dbname} = host={LOCALHOST} port={upstream}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in options.items())
    )
    give(directory)
    server = subprocess.Popen(
        [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", "-q", ini],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **unprivileged(),
    )
    try:
        _wait(port, server, log, dbname, user, password)
        yield Server(port, log)
    finally:
        server.terminate()
        server.wait(30)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path, dbname: str, user: str, password: str) -> None:
    """Wait for a login."""
    for _ in range(600):
        try:
            psycopg.connect(
                host=LOCALHOST, port=port, dbname=dbname, user=user, password=password, connect_timeout=5
            ).close()
        except psycopg.OperationalError:
            if server.poll() is not None:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(log.read_text())
