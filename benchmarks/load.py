"""Load from a process of its own: a steady rate of requests whatever the answers, or wrk's as many as possible.

    python -m benchmarks.load http://127.0.0.1:9795/metrics --rate 500 --seconds 10 [--connections 4]

Prints JSON. Open loop: each request has its moment. What waits for a free connection waits on the server's account;
how late this client itself was is told apart (``lateness``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from benchmarks.report import percentile

GZIP = "Accept-Encoding: gzip"


class _Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time, answers with a Content-Length."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send; the future has the status once the whole answer is there."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if found and length is not None and len(body) >= int(length[1]) and self._answer is not None:
            self._received = b""
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server hung up"))


class _Load:
    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{GZIP}\r\n\r\n".encode()
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._connections = connections
        self._idle: asyncio.Queue[_Connection] = asyncio.Queue()
        self.latency: list[float] = []
        self.lateness: list[float] = []
        self.errors = 0
        self._ended = False

    def _end(self) -> None:
        self._ended = True

    async def run(self, rate: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        for _ in range(self._connections):
            self._idle.put_nowait((await loop.create_connection(_Connection, *self._address))[1])
        began = loop.time() + 0.05
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                if self._ended:
                    break
                self.lateness.append(loop.time() - due)
                group.create_task(self._ask())

    async def _ask(self) -> None:
        started = time.perf_counter()
        connection = await self._idle.get()
        try:
            status = await connection.ask(self._request)
        except OSError:
            self.errors += 1
            loop = asyncio.get_running_loop()
            connection = (await loop.create_connection(_Connection, *self._address))[1]
        else:
            self.errors += status != 200
            self.latency.append(time.perf_counter() - started)
        self._idle.put_nowait(connection)


def steady(url: str, *, rate: float, seconds: float, connections: int = 4) -> subprocess.Popen[str]:
    """Start the load; :func:`result` waits for its end, which SIGTERM brings before its time."""
    command = [sys.executable, "-m", "benchmarks.load", url, f"--rate={rate}", f"--seconds={seconds}"]
    return subprocess.Popen([*command, f"--connections={connections}"], stdout=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str]) -> dict[str, float]:
    """Milliseconds: p50, p99, max, lateness (p99 of the client's own); and requests, errors."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load ended with status {process.returncode}")
    found: dict[str, float] = json.loads(output)
    if found["errors"] or not found["requests"]:
        raise RuntimeError(f"the load met errors: {found}")
    return found


def wrk(url: str, *, seconds: int, connections: int = 4) -> tuple[float, float]:
    """Requests each second and p99 (ms) at full load, by wrk with one thread."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", GZIP, url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec: +([\d.]+)", output)
    slow = re.search(r" 99% +([\d.]+)(us|ms|s)", output)
    if rate is None or slow is None or "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"wrk met errors:\n{output}")
    return float(rate[1]), float(slow[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[slow[2]]


def main() -> None:
    """Put a load on an address and print what it met."""
    parser = argparse.ArgumentParser(description="A steady rate of GET requests with gzip.")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=4)
    arguments = parser.parse_args()
    load = _Load(arguments.url, arguments.connections)
    asyncio.run(load.run(arguments.rate, arguments.seconds))
    latency = [1000 * seconds for seconds in load.latency] or [0.0]
    found = {"p50": percentile(latency, 0.5), "p99": percentile(latency, 0.99), "max": max(latency)}
    found |= {"lateness": 1000 * percentile(load.lateness, 0.99)}
    print(json.dumps({**found, "requests": len(load.latency), "errors": load.errors}))


if __name__ == "__main__":
    main()
