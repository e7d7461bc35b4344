"""From ``web.listen_address`` to bound sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Final

from exporter.config.addresses import parse_listen_address
from exporter.errors import ConfigError

_BACKLOG: Final = 128
#: What binding says where an address family is compiled in and switched off.
_NO_FAMILY: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def open_sockets(addresses: Sequence[str], key: str = "web.listen_address") -> list[socket.socket]:
    """Listening sockets for all of ``addresses``, or none and a ConfigError: the ``key``, and the one refused."""
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket] = []
        for address in addresses:
            try:
                for sock in await _open(address):
                    opened.append(stack.enter_context(sock))
            except (OSError, ValueError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
                raise ConfigError([f"{key}: cannot listen on {address}: {reason}"]) from exc
        stack.pop_all()
        return opened


async def _open(address: str) -> list[socket.socket]:
    host, port = parse_listen_address(address)
    if host in ("", "::"):  # as Go, whose exporters people know: both take IPv4 too
        return [_all_interfaces(port)]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket] = []
        failure = OSError("the name has no address")
        for family, _, _, _, target in dict.fromkeys(found):
            # With port 0 the second address of a name takes the port that the first was given.
            chosen = opened[0].getsockname()[1] if opened and port == 0 else port
            try:
                sock = socket.create_server((str(target[0]), chosen, *target[2:]), family=family, backlog=_BACKLOG)
            except OSError as exc:
                failure = exc
                if exc.errno not in _NO_FAMILY:  # localhost may have an IPv6 address where there is no IPv6
                    raise
            else:
                opened.append(stack.enter_context(sock))
        if not opened:
            raise failure
        stack.pop_all()
        return opened


def _all_interfaces(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        except OSError as exc:
            if exc.errno not in _NO_FAMILY:
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


def format_address(sock: socket.socket) -> str:
    """``127.0.0.1:9795`` or ``[::1]:9795``."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
