"""A target's hosts and ports as libpq reads them: lists with commas, one port for all or one for each host."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"-?[0-9]{1,9}")
#: PostgreSQL's own port: what an empty entry of a list stands for.
DEFAULT_PORT: Final = 5432


def parse_ports(value: int | str) -> tuple[int, ...]:
    """The ports of ``5432`` or ``5432,5433``. Raises ValueError."""
    entries = [entry.strip() for entry in str(value).split(",")]
    if not all(entry == "" or _NUMBER.fullmatch(entry) for entry in entries):
        raise ValueError("expected a port, or one for each host with commas in between (5432,5433)")
    ports = tuple(int(entry) if entry else DEFAULT_PORT for entry in entries)
    if not all(1 <= port <= 65535 for port in ports):
        raise ValueError("expected ports from 1 to 65535")
    return ports


def check_ports(value: int | str) -> int | str:
    """``value`` if it is a port or a list of them; a list of one is that one. Raises ValueError."""
    ports = parse_ports(value)
    return ports[0] if len(ports) == 1 else value


def parse_hosts(value: str) -> tuple[str, ...]:
    """The hosts of ``db.example`` or ``a.example,b.example``. Raises ValueError: "" would be this machine to libpq."""
    hosts = tuple(entry.strip() for entry in value.split(","))
    if not all(hosts):
        raise ValueError("expected a host, or several with commas in between; one is empty")
    return hosts


def places(host: str, port: int | str) -> tuple[tuple[str, int], ...]:
    """Each host with its port. Raises ValueError, also where their numbers differ and there is more than one port."""
    hosts, ports = parse_hosts(host), parse_ports(port)
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ValueError(f"expected one port, or as many as hosts; got {len(ports)} for {len(hosts)}")
    return tuple(zip(hosts, ports, strict=True))
