"""The web configuration in force, read again when a file changes: users, headers and certificates rotate."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import msgspec
import structlog

from exporter.config.web import WebConfig, load_web_config
from exporter.errors import ConfigError
from exporter.httpd.tls import server_context

log = structlog.get_logger(component="http")

Fingerprint = tuple[tuple[int, int, int] | None, ...]


class Loaded(msgspec.Struct, frozen=True):
    """A web configuration and the context made from it (None: plain HTTP)."""

    config: WebConfig
    context: ssl.SSLContext | None
    files: tuple[str, ...]
    fingerprint: Fingerprint


def _files(path: str, config: WebConfig) -> tuple[str, ...]:
    tls = config.tls
    named = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()
    return (path, *(name for name in named if name))


def _fingerprint(files: tuple[str, ...]) -> Fingerprint:
    found: list[tuple[int, int, int] | None] = []
    for name in files:
        try:
            stat = Path(name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def _load(path: str) -> Loaded:
    """Read everything; ConfigError. Fingerprints come first: a change meanwhile is seen the next time."""
    own = _fingerprint((path,))
    config = load_web_config(path)
    files = _files(path, config)
    fingerprint = own + _fingerprint(files[1:])
    context = server_context(config.tls) if config.tls else None
    return Loaded(config, context, files, fingerprint)


class WebConfigWatch:
    """Holds the last good web configuration.

    What would open the door - the last user or TLS itself gone, which is also how a half-written file looks -
    is not taken over without a restart.
    """

    def __init__(self, path: str | None, loaded: Loaded) -> None:
        self._path = path
        self._loaded = loaded
        self._complaint: str | None = None

    @classmethod
    async def open(cls, path: str | None) -> WebConfigWatch:
        """Read ``path`` for the first time; ConfigError when it cannot be used. None: plain HTTP for all."""
        if path is None:
            return cls(None, Loaded(WebConfig(), None, (), ()))
        loaded = await asyncio.to_thread(_load, path)
        for warning in loaded.config.warnings:
            log.warning("web configuration may not be what was meant", detail=warning)
        return cls(path, loaded)

    @property
    def config(self) -> WebConfig:
        """The configuration in force."""
        return self._loaded.config

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context for new connections."""
        return self._loaded.context

    async def poll(self) -> bool:
        """Look for changes; True when something new is in force. A failure is logged once, never raised."""
        if self._path is None or (
            self._complaint is None and _fingerprint(self._loaded.files) == self._loaded.fingerprint
        ):
            return False
        try:
            loaded = await asyncio.to_thread(_load, self._path)
            self._keep_closed(loaded.config)
        except ConfigError as exc:
            if str(exc) != self._complaint:
                log.error("web configuration refused; the last good one stays in force", problems=exc.problems)
            self._complaint = str(exc)
            return False
        self._loaded, self._complaint = loaded, None
        log.info("web configuration read again")
        return True

    def _keep_closed(self, config: WebConfig) -> None:
        if (config.tls is None) != (self.config.tls is None):
            raise ConfigError([f"{self._path}: tls_server_config: turning TLS on or off needs a restart"])
        if self.config.basic_auth_users and not config.basic_auth_users:
            raise ConfigError([f"{self._path}: basic_auth_users: removing the last user needs a restart"])
