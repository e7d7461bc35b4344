"""A real Redis on a free port, without persistence."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.demo.processes import Child
from support.polling import until
from support.ports import free_port
from support.sidecar import HOST


@dataclass
class RedisServer:
    """``command`` asks it something over a connection of its own."""

    port: int
    child: Child
    password: str | None = None

    @property
    def url(self) -> str:
        """Its address, database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start it, and return once it answers."""
        self.child.start()
        until(lambda: self.command("PING") == b"+PONG", 60, "Redis answers")

    def stop(self) -> None:
        """End it; what it held is gone."""
        self.child.stop()

    def command(self, *words: str) -> bytes:
        """The raw answer to a command, without its last line break: tests need no client's own ideas of it."""
        login = [("AUTH", self.password)] if self.password else []
        with socket.create_connection((HOST, self.port), timeout=30) as connection:
            answer = b""
            for parts in (*login, words):
                sent = "".join(f"${len(part.encode())}\r\n{part}\r\n" for part in parts)
                connection.sendall(f"*{len(parts)}\r\n{sent}".encode())
                answer = connection.recv(65536)
            return answer.removesuffix(b"\r\n")

    def messages(self, key: str) -> list[str]:
        """What is on a list, from the left."""
        lines = self.command("LRANGE", key, "0", "-1").decode().split("\r\n")
        return lines[2::2]


@contextlib.contextmanager
def redis_server(directory: Path, *, password: str | None = None, options: Sequence[str] = ()) -> Iterator[RedisServer]:
    """A server for as long as the block lasts."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    login = ["--requirepass", password] if password else []
    command = ["redis-server", "--port", str(port), "--bind", HOST, "--save", "", *login, *options]
    server = RedisServer(
        port, Child(name="redis", command=command, log=directory / "redis.log", directory=directory), password
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()
