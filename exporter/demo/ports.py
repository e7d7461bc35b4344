"""TCP ports of this machine: is one free, and which one to take instead."""

from __future__ import annotations

import contextlib
import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now. Somebody else may take it before it is used: callers that can, retry."""
    with _socket(host) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(host: str, port: int) -> bool:
    """Whether ``port`` can be listened on."""
    with _socket(host) as probe:
        # As servers do: a connection of the last run in TIME_WAIT does not make the port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((host, port))
            probe.listen(1)  # two sockets may be bound to a port with SO_REUSEADDR, one may listen
            return True
    return False


def free_or_other(host: str, port: int) -> int:
    """``port`` itself when it is free, any free one otherwise (or when it is 0)."""
    return port if port and is_free(host, port) else free_port(host)


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
