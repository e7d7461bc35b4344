"""What may be done on request: trigger a job, check a connection, silence alerts. Each is audited.

Belongs here: doing an action once, whoever asks how often, and writing down what became of it. Does not: who may ask
(``httpd``), how it is asked for (``api``), how a job is triggered (``triggers``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import structlog

from exporter.domain import AuditEntry, AuditResult
from exporter.errors import (
    ActionConflict,
    ActionError,
    ActionUnavailable,
    ExporterError,
    LedgerError,
    OutcomeUnknown,
    StateUnavailable,
    StoreError,
)
from exporter.ledger.audit import AuditTrail
from exporter.ledger.idempotency import Idempotency, Known
from exporter.outbound import Reveal
from exporter.stores.trigger import ExecutionId, JobTrigger
from exporter.triggers import Order, Recorded, trigger

T = TypeVar("T")

log = structlog.get_logger(component="actions")

#: Seconds for which the end of the process waits for actions that have begun.
LAST_SECONDS: Final = 5.0


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants something done: a token's or a user's name, the address, the request's id, its Idempotency-Key."""

    actor: str
    client: str | None = None
    request_id: str | None = None
    key: str | None = None


class Outcome(NamedTuple):
    """What came of a trigger; ``again``: it had been done before, and was not done again."""

    execution_id: ExecutionId
    again: bool = False


class _Came(msgspec.Struct, frozen=True):
    """How far an action with a key came, as the state file has it."""

    execution_id: ExecutionId


class _Flight(msgspec.Struct, frozen=True):
    asked: str
    task: asyncio.Task[Outcome]


class Actions:
    """Does what is asked. What has begun goes on when nobody waits for it any more; ``close`` waits for that."""

    def __init__(
        self,
        *,
        store: Callable[[str], JobTrigger | None],
        reveal: Reveal,
        audit: AuditTrail,
        keys: Idempotency,
    ) -> None:
        self._store = store
        self._reveal = reveal
        self._audit = audit
        self._keys = keys
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for what has begun, for a moment."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_SECONDS)

    async def trigger(self, asker: Asker, store: str, job_id: str) -> Outcome:
        """Have a job run, also while it runs.

        With a key it is done once: who asks again within a day is told what came of it. ActionErrors: nothing was
        done. OutcomeUnknown: that cannot be told.
        """
        found = self._store(store)
        if found is None:
            raise ActionUnavailable(f"store {store} is not read by this process")
        if asker.key is None:
            order = Order(job_id=job_id, request_id=asker.request_id)
            return await self.audited(asker, "trigger", f"{store}/{job_id}", lambda: self._do(found, order))
        asked = f"trigger {store}/{job_id}"
        at = asker.actor, asker.key
        flight = self._flights.get(at)
        if flight is None:
            work = self.audited(asker, "trigger", f"{store}/{job_id}", lambda: self._once(found, asker, asked, job_id))
            flight = self._flights[at] = _Flight(asked, self._begun(work))
            flight.task.add_done_callback(lambda _: self._flights.pop(at))
        elif flight.asked != asked:
            raise ActionConflict(_ANOTHER)
        return await asyncio.shield(flight.task)

    async def audited(self, asker: Asker, action: str, target: str, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` returns, once its result is in the audit trail: a text is its detail there.

        It goes on when the caller is cancelled.
        """

        async def written() -> T:
            result: AuditResult = "failed"
            detail = None
            try:
                answer = await work()
                result, detail = "success", _detail(answer)
                return answer
            except OutcomeUnknown as e:
                result, detail = "unknown", str(e)
                raise
            except ExporterError as e:
                detail = str(e)
                raise
            except BaseException as e:
                result, detail = "unknown", f"unexpected {type(e).__name__}"
                raise
            finally:
                await self._audit.kept(
                    AuditEntry(
                        at=time.time(),
                        action=action,
                        actor=asker.actor,
                        result=result,
                        target=target,
                        request_id=asker.request_id,
                        client=asker.client,
                        detail=detail,
                    )
                )

        return await asyncio.shield(self._begun(written()))

    def _begun(self, work: Awaitable[T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _once(self, store: JobTrigger, asker: Asker, asked: str, job_id: str) -> Outcome:
        """Trigger under the asker's key: the state file knows of it before anybody else does."""
        assert asker.key is not None  # noqa: S101 - that is why it is called
        actor, key = asker.actor, asker.key
        try:
            known = await self._keys.begin(actor, key, asked)
        except LedgerError as e:
            raise ActionUnavailable(f"the Idempotency-Key cannot be remembered: {e}") from e
        recorded = None
        if known is not None:
            came = _came(known, asked)
            if known.done:
                return Outcome(came.execution_id, again=True)
            recorded = Recorded(execution_id=came.execution_id)

        async def note(so_far: Recorded) -> None:
            nonlocal recorded
            recorded = so_far
            await self._note(actor, key, so_far.execution_id, done=False)

        order = Order(job_id=job_id, key=key, request_id=asker.request_id, recorded=recorded, note=note)
        try:
            outcome = await self._do(store, order)
        except ActionError:
            if recorded is None:
                with contextlib.suppress(StateUnavailable):
                    await self._keys.release(actor, key)
            raise
        await self._note(actor, key, outcome.execution_id, done=True)
        return outcome

    async def _do(self, store: JobTrigger, order: Order) -> Outcome:
        try:
            return Outcome(await trigger(store, order, self._reveal))
        except (StoreError, LedgerError) as e:  # not of the statement that triggers: nothing was written
            raise ActionUnavailable(str(e)) from e

    async def _note(self, actor: str, key: str, execution: ExecutionId, *, done: bool) -> None:
        """What cannot be written down leaves the key claimed: it is not done a second time."""
        try:
            await self._keys.note(actor, key, msgspec.json.encode(_Came(execution)).decode(), done=done)
        except StateUnavailable as e:
            log.warning("an action's outcome cannot be remembered; its key stays taken", reason=str(e))


_ANOTHER: Final = "Idempotency-Key: it stands for another action already; take a new one"
_UNENDED: Final = (
    "Idempotency-Key: an attempt with it did not end, and nobody can tell what became of it: look whether the job was"
    " triggered, then take a new one"
)


def _came(known: Known, asked: str) -> _Came:
    if known.asked != asked:
        raise ActionConflict(_ANOTHER)
    if known.data is None:
        raise ActionConflict(_UNENDED)
    return msgspec.json.decode(known.data, type=_Came)


def _detail(answer: object) -> str | None:
    if isinstance(answer, str):
        return answer
    if not isinstance(answer, Outcome):
        return None
    told = "no execution id" if answer.execution_id is None else f"execution {answer.execution_id}"
    return f"{told}; not done again" if answer.again else told
