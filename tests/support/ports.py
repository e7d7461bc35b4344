"""Free TCP ports, for the servers that tests start."""

from __future__ import annotations

import itertools
import os
from typing import Final

from exporter.demo.ports import free_or_other, is_free

__all__ = ["free_or_other", "free_port", "is_free"]

#: Below those that the kernel gives to who asks for any port: nobody takes one between its choice and its use.
PORTS: Final = range(10_000, 32_768)
#: Each process, which may be one of several workers, begins somewhere else.
_ports = itertools.islice(itertools.cycle(PORTS), os.getpid() * 1009 % len(PORTS), None)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, another one each time."""
    return next(port for port in _ports if is_free(host, port))
