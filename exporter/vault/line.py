"""One line to Vault: requests in threads, so many at once, counted, and none while Vault is away but the probe's.

Belongs here: sending, and finding out that Vault is away or back. Does not: tokens (``session``), HTTP (``transport``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from exporter import tracing
from exporter.config.model import Vault
from exporter.threads import in_thread
from exporter.vault.circuit import Circuit
from exporter.vault.failure import VaultError, unexpected
from exporter.vault.state import Operation, Requests

if TYPE_CHECKING:
    from exporter.vault.transport import Transport

log = structlog.get_logger(component="vault")

#: Seconds after which Vault is asked how it is, if nothing else was.
HEARTBEAT: Final = 15.0
#: How many timeouts a request may take in all: connecting and answering have one each, and a redirect.
_LIMIT: Final = 3

#: Takes an answer that came when it had been given up.
Late = Callable[[dict[str, Any]], None]


class Line:
    """Vault at the address of ``config``. ``on_back`` is called when it answers again."""

    def __init__(self, config: Vault, requests: Requests, on_back: Callable[[], None]) -> None:
        self.circuit = Circuit()
        self.answered_at: float | None = None
        self._config = config
        self._requests = requests
        self._on_back = on_back
        self._transport: Transport | None = None
        self._slots = asyncio.Semaphore(config.max_concurrent_requests)

    def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            self._transport.close()

    async def send(
        self,
        operation: Operation,
        call: Callable[[Any], Any],
        token: str,
        *,
        whatever: bool = False,
        seconds: float | None = None,
        late: Late | None = None,
    ) -> dict[str, Any]:
        """What Vault answers to ``call`` (of hvac's client) with ``token``. Raises VaultError.

        ``whatever`` asks a Vault that is known to be away too, ``seconds`` is another timeout than the configured one.
        """
        async with self._slots:
            if not whatever:
                self.circuit.check()  # those who waited for a slot fail at once too
            with tracing.span(f"vault {operation}", "vault", "client", attributes=self._about(operation)) as span:
                try:
                    answer = await self._call(call, token, seconds, late)
                except VaultError as error:
                    self._failed(operation, error)
                    span.set("vault.result", error.kind)
                    raise
                except Exception as fault:  # the boundary to hvac: nobody may be left waiting
                    failure = unexpected(fault)
                    self._failed(operation, failure)
                    span.set("vault.result", failure.kind)
                    raise failure from None
                span.set("vault.result", "success")
        self._requests.count(operation, "success")
        self._answered(asked=True)
        return answer

    def _about(self, operation: Operation) -> dict[str, tracing.Value]:
        """What a trace tells of a request: never a path or a token."""
        return {"vault.operation": operation, "url.full": self._config.address}

    async def _call(
        self, call: Callable[[Any], Any], token: str, seconds: float | None, late: Late | None
    ) -> dict[str, Any]:
        """Ask in a thread. What bounds an answer there does not bound looking up a name, or headers that trickle."""
        transport = await self._ready()
        asking = asyncio.create_task(in_thread(lambda: transport.call(call, token, seconds=seconds), "vault"))
        limit = _LIMIT * (seconds or self._config.timeout)
        done, _ = await asyncio.wait({asking}, timeout=limit)
        if done:
            return asking.result()
        asking.add_done_callback(lambda task: _pass_on(task, late))
        raise VaultError("timeout", f"Vault at {self._config.address} did not answer in time")

    def _failed(self, operation: Operation, error: VaultError) -> None:
        self._requests.count(operation, error.kind)
        if not error.away:
            self._answered(asked=True)
        elif self.circuit.failed(error):
            log.warning("Vault is away", result=error.kind, error=str(error))

    def _answered(self, *, asked: bool) -> None:
        self.answered_at = time.monotonic()
        if self.circuit.answered(asked=asked):
            log.info("Vault is back", category="errors")
            self._on_back()

    async def _ready(self) -> Transport:
        if self._transport is None:
            # hvac takes a moment to load, and only those who have Vault shall pay for it.
            self._transport = await in_thread(lambda: _load(self._config), "vault")
        return self._transport

    async def watch(self) -> None:
        """Probe a Vault that is away; ask how it is where nothing else was asked for a while."""
        tracing.detach()
        while True:
            if self.circuit.error is not None:
                await asyncio.sleep(self.circuit.pause())
            else:
                idle = time.monotonic() - (self.answered_at if self.answered_at is not None else time.monotonic())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.1, HEARTBEAT - idle)):
                        await self.circuit.opened.wait()
                        continue
                if self.answered_at is None or time.monotonic() - self.answered_at < HEARTBEAT:
                    continue
            await self._probe()

    async def _probe(self) -> None:
        try:
            transport = await self._ready()
            with tracing.span("vault health", "vault", "client", attributes=self._about("health")):
                await in_thread(transport.health, "vault")
        except VaultError as error:
            self._failed("health", error)
        except Exception as fault:  # the boundary to hvac: the watch goes on
            self._failed("health", unexpected(fault))
        else:
            self._requests.count("health", "success")
            self._answered(asked=False)


def _pass_on(task: asyncio.Task[dict[str, Any]], late: Late | None) -> None:
    """Give an answer that nobody waits for to who wants it all the same."""
    if not task.cancelled() and task.exception() is None and late is not None:
        late(task.result())


def _load(config: Vault) -> Transport:
    from exporter.vault.transport import Transport  # noqa: PLC0415 - see its docstring

    return Transport(config)
