"""Whether a target's connection is kept from check to check or opened anew; BENCHMARKS.md has what each costs.

A fresh login over TLS costs several milliseconds of processor time here, and as much at the server, nearly all of it
for the password's hash and the handshake; a kept connection costs memory here, a backend there, and only finds out at
the next login that nobody can log in any more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from exporter.config.model import Connections, Target

#: Seconds between two checks from which on logging in each time costs less than the backends that would idle.
SELDOM: Final = 60.0
#: libpq reads the trusted authorities anew for each connection and holds them as long as it is open, at several times
#: the file's size: 115 kB for one, 950 kB for a system's 145. Beyond so many bytes `auto` opens anew.
LARGE_STORE: Final = 32_768
#: What libpq takes where the configuration names no file.
_DEFAULT_STORE: Final = Path("~/.postgresql/root.crt")


def keep_for(target: Target, config: Connections) -> float | None:
    """For how many seconds at most the target's connection is kept; None: not at all."""
    reuse = target.reuse or config.reuse
    if reuse == "auto":
        reuse = "never" if config.interval >= SELDOM or _has_large_store(target) else "always"
    return float(config.login_interval) if reuse == "always" else None


def _has_large_store(target: Target) -> bool:
    if target.sslmode == "disable":
        return False
    if target.sslrootcert == "system":
        return True
    try:
        path = Path(target.sslrootcert) if target.sslrootcert else _DEFAULT_STORE.expanduser()
        return path.stat().st_size > LARGE_STORE
    except (OSError, RuntimeError, ValueError):  # no such file, no home: the check will tell where it matters
        return False
