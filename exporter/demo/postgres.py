"""A private PostgreSQL server: passwords, TCP on 127.0.0.1, all in one directory, gone with its parent.

The wheel's binaries are run directly. Its Python layer answers on a unix socket only, trusts everybody and
cannot restart a server; see ``binaries`` for what it does to a machine where it runs as root.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from exporter.demo.binaries import find_binaries, reachable, unprivileged_user
from exporter.demo.ports import free_port
from exporter.demo.processes import Child, tied
from exporter.errors import ExporterError

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"

Mode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS: Final[dict[Mode, signal.Signals]] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

DEFAULTS: Final[dict[str, str | int]] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes, a directory's is not
    "fsync": "off",  # the data is thrown away
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}


def make_dsn(port: int, dbname: str, user: str, password: str | None) -> str:
    """A connection URI to a server on 127.0.0.1."""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
    return f"postgresql://{login}@{HOST}:{port}/{quote(dbname, safe='')}"


class PostgresServer:
    """One server: made on the first start, kept over restarts, always on the same port.

    ``directory`` receives the data, the log and, where root needs them, the binaries; ``settings`` go into
    postgresql.conf. ``binaries`` is the directory of another PostgreSQL's initdb
    and postgres, which the user that runs them can reach.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str | int] | None = None,
        binaries: Path | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self.settings = {**DEFAULTS, **(settings or {})}
        self.port = free_port()
        self._any_port = True
        self._binaries = binaries
        self._user = unprivileged_user()
        self._password_file = self.directory / "superuser.password"
        self._child: Child | None = None

    @property
    def password(self) -> str:
        """The superuser's, made with the data directory."""
        return self._password_file.read_text()

    @property
    def running(self) -> bool:
        """Whether the postmaster is alive."""
        return self._child is not None and self._child.running

    @property
    def child(self) -> Child:
        """The postmaster, for a supervisor to answer for."""
        if self._child is None:
            raise RuntimeError("PostgreSQL has not been started")
        return self._child

    def dsn(self, dbname: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A URI. The superuser's password is filled in; those of other roles are the caller's to know."""
        if password is None and user == SUPERUSER:
            password = self.password
        return make_dsn(self.port, dbname, user, password)

    def start(self, timeout: float = 60) -> None:
        """Start the server, making its data first if there is none, and return once it takes sessions."""
        binaries = self._prepare()
        if not (self.data / "PG_VERSION").exists():
            self._initdb(binaries)
        for _ in range(3):
            self._child = self._spawn(binaries)
            if self._wait_ready(timeout):
                return
            self._child.stop()
            if not self._any_port or "Address already in use" not in self._child.last_lines():
                break
            self.port = free_port()  # somebody was quicker to take the one we had found free
        raise ExporterError(f"PostgreSQL did not start; the end of {self.log}:\n{self.child.last_lines()}")

    def stop(self, mode: Mode = "fast", timeout: float = 30) -> None:
        """Stop the server; harmless when it is not running."""
        if self._child is not None:
            self._child.send(STOP_SIGNALS[mode])
            if not self._child.wait(timeout):
                self._child.stop()

    def restart(self, mode: Mode = "immediate") -> None:
        """Stop and start again; ``immediate`` looks like a crash to its clients."""
        self.stop(mode)
        self._any_port = False  # they will look for it where it was
        self.start()

    def _prepare(self) -> Path:
        """Make the directory, and return that of the binaries."""
        if self._user is not None and not reachable(_existing(self.directory.parent)):
            raise ExporterError(
                f"{self.directory}: when you are root PostgreSQL runs as the user nobody, who may not pass"
                " through this path; choose another directory, or be another user"
            )
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._give(self.directory)
        return self._binaries or find_binaries(self._user, self.directory / "pgsql")

    def _give(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, *self._user)

    def _initdb(self, binaries: Path) -> None:
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_hex(16))
        self._give(self._password_file)
        command: list[str | Path] = [binaries / "initdb", "--no-sync", "--no-instructions", "--locale=C"]
        command += ["--encoding=UTF8", "--auth=scram-sha-256", f"--pwfile={self._password_file}"]
        command += [f"--username={SUPERUSER}", f"--pgdata={self.data}"]
        with self.log.open("ab") as log:
            done = subprocess.run(
                tied(command, user=self._user),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
                check=False,
            )
        if done.returncode:
            raise ExporterError(f"initdb failed; see {self.log}:\n{self.log.read_text()[-2000:]}")
        # In the file and not on the command line, which ALTER SYSTEM could not override.
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in self.settings.items())

    def _command(self, binaries: Path) -> list[str | Path]:
        return [binaries / "postgres", "-D", self.data, "-p", str(self.port)]

    def _spawn(self, binaries: Path) -> Child:
        # SIGQUIT, not SIGKILL, when the parent is killed: the server still frees its shared memory then.
        child = Child(
            name="postgres",
            command=self._command(binaries),
            log=self.log,
            directory=self.directory,
            user=self._user,
            stop_signal=signal.SIGINT,
            kill_signal=signal.SIGQUIT,
        )
        child.start()
        return child

    def _wait_ready(self, timeout: float) -> bool:
        """Wait until postmaster.pid says so: cheaper than trying to connect, and it leaves the log clean."""
        pid_file = self.data / "postmaster.pid"
        deadline = time.monotonic() + timeout
        while self.running and time.monotonic() < deadline:
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            # The pid is compared because a file left by a crash may call a server ready that is gone.
            if len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) == self.child.pid:
                return True
            time.sleep(0.02)
        return False


def _existing(path: Path) -> Path:
    """The nearest directory above that exists; those below it will be made reachable."""
    return next(directory for directory in (path, *path.parents) if directory.exists())
