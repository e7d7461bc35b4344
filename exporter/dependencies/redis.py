"""Redis, by its protocol: PING, and what INFO counts. A client library would be an import for every user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from exporter.config.model import RedisDependency
from exporter.dependencies.link import Dialer, Link, trust
from exporter.dependencies.login import Guard
from exporter.dependencies.results import HITS, MISSES, OPERATIONS, CheckFailed, Count, Tally
from exporter.vault.references import Secrets

_PORT: Final = 6379
#: Bytes of an answer, at most.
_LARGEST: Final = 1024 * 1024
#: Errors of a login that was refused, or that is missing.
_REFUSED: Final = ("WRONGPASS", "NOAUTH", "ERR invalid password")
_COUNTED: Final = {
    "total_commands_processed": OPERATIONS,
    "keyspace_hits": HITS,
    "keyspace_misses": MISSES,
}


class RedisCheck:
    """Checks one server. It is down while it loads its data, and where it refuses PING."""

    def __init__(self, config: RedisDependency, secrets: Secrets, dialer: Dialer) -> None:
        self._config = config
        self._dialer = dialer
        self._guard = Guard(config, secrets)
        self._tally = Tally()
        self._run_id: str | None = None

    async def check(self) -> Mapping[Count, int]:
        """What has been counted. Raises CheckFailed, CredentialsError, OSError."""
        await self._guard.login(self._visit)
        return self._tally.totals

    async def close(self) -> None:
        """Nothing is kept."""

    async def _visit(self, user: str | None, password: str | None) -> None:
        url = urlsplit(self._config.url)
        tls = trust(self._config.ca_file) if url.scheme == "rediss" else None
        async with self._dialer.connected(url.hostname or "", url.port or _PORT, tls) as link:
            if password is not None:
                await _ask(link, "AUTH", *filter(None, (user, password)))
            if number := url.path.strip("/"):
                await _ask(link, "SELECT", number)
            if await _ask(link, "PING") != "PONG":
                raise CheckFailed("answer", "what answers is no Redis")
            self._count({**await _info(link, "server"), **await _info(link, "stats")})

    def _count(self, told: Mapping[str, str]) -> None:
        """A server that was started anew has another run_id, whatever its counters have reached since."""
        run_id = told.get("run_id")
        anew = self._run_id is not None and run_id is not None and run_id != self._run_id
        self._run_id = run_id or self._run_id
        for name, count in _COUNTED.items():
            if told.get(name, "").isdecimal():
                self._tally.seen((count,), int(told[name]), anew=anew)


async def _info(link: Link, section: str) -> dict[str, str]:
    """A section of INFO; nothing where the user may not ask for it."""
    try:
        text = await _ask(link, "INFO", section)
    except CheckFailed as error:
        if str(error).startswith("NOPERM"):
            return {}
        raise
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


async def _ask(link: Link, *words: str) -> str:
    """The answer to a command. Raises CheckFailed for an error, and for what is no answer of Redis."""
    sent = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in map(str.encode, words))
    await link.say(b"*%d\r\n%b" % (len(words), sent))
    line = (await link.line()).decode("utf-8", "replace")
    kind, rest = line[:1], line[1:]
    if kind == "-":
        raise CheckFailed("auth" if rest.startswith(_REFUSED) else "answer", rest)
    if kind == "+":
        return rest
    if kind != "$" or not rest.isdecimal() or int(rest) > _LARGEST:
        raise CheckFailed("answer", "what answers is no Redis")
    return (await link.reader.readexactly(int(rest) + 2))[:-2].decode("utf-8", "replace")
