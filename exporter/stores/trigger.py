"""Triggers a job by a statement of its store: the one thing here that writes, in a transaction of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import psycopg

from exporter.config.model import PostgresStore
from exporter.errors import (
    ActionConflict,
    ActionRefused,
    ActionUnavailable,
    ExporterError,
    NotFound,
    OutcomeUnknown,
    StoreError,
    StoreTooSlow,
    StoreUnavailable,
)
from exporter.stores.queries import Wrapped
from exporter.stores.reads import Reads
from exporter.stores.second_connection import SecondConnection
from exporter.stores.session import Row, Transaction

#: An execution's id as the store gave it: a number where it is one; None where it gave none.
ExecutionId = int | str | None

#: The store says that the id is none of the column's type: there is no such job.
_NO_ID: Final = ("22P02", "22003", "22007", "22008")
_GRANT: Final = "grant the store's role what the trigger's statement does (docs/actions.md)"
_REFUSALS: Final = {
    "42501": f"the role may not: {_GRANT}",
    "25006": "the server takes no writes: is it a standby? Point the dsn at the primary",
}
#: Classes of errors that tell of the store's own rules: a lock that a job has, a check.
_RULES: Final = "23"
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
#: Seconds beyond the statement's timeout after which a trigger is given up.
PATIENCE: Final = 2.0


async def run_statement(
    begin: Callable[[], AbstractAsyncContextManager[Transaction]], statement: str, job_id: str, *, seconds: float
) -> ExecutionId:
    """Run ``statement`` for ``job_id`` in the transaction that ``begin`` gives; the execution's id, if there is one.

    Committed when this returns. NotFound when it found no job; other ActionErrors when nothing was written;
    OutcomeUnknown when the connection broke while it was committed.
    """
    committing = False
    try:
        async with asyncio.timeout(seconds), begin() as transaction:
            count, row = await transaction.run("trigger", statement, job_id)
            if count == 0:
                raise NotFound(f"job {job_id}: not found")
            committing = True
    except (StoreUnavailable, StoreTooSlow, TimeoutError) as e:
        if committing:
            raise OutcomeUnknown("the store broke off while the trigger was being committed") from e
        raise ActionUnavailable(f"the store did not answer: {str(e) or 'it is busy'}") from e
    except StoreError as e:
        raise _translated(e, job_id) from e
    return execution_id(row)


def execution_id(row: Row | None) -> ExecutionId:
    """The first column of what the statement gave."""
    value = row[0] if row else None
    return value if value is None or (isinstance(value, int) and not isinstance(value, bool)) else str(value)


def _translated(error: StoreError, job_id: str) -> ExporterError:
    cause = error.__cause__
    state = (cause.sqlstate if isinstance(cause, psycopg.Error) else None) or ""
    if state in _NO_ID:
        return NotFound(f"job {job_id}: not found ({error})")
    if state in _REFUSALS:
        return ActionRefused(f"{error}: {_REFUSALS[state]}")
    if state.startswith(_RULES):
        return ActionConflict(f"the store does not take it: {error}")
    if state == "55P03":
        return ActionUnavailable(str(error))
    return ActionRefused(str(error))


class JobTrigger:
    """How a store's jobs are triggered, as far as that is the store's affair: ``exporter.triggers`` asks this."""

    def __init__(
        self, config: PostgresStore, second: SecondConnection, reads: Reads, profile: Callable[[], Awaitable[Wrapped]]
    ) -> None:
        self.config = config
        self._second = second
        self._reads = reads
        self._profile = profile

    async def has_statement(self) -> bool:
        """Whether the profile, or the configuration, has a statement that triggers a job. StoreErrors."""
        return (await self._profile()).profile.trigger is not None

    async def trigger(self, job_id: str) -> ExecutionId:
        """Run that statement; the execution's id. ActionErrors, OutcomeUnknown; StoreErrors: nothing was written."""
        wrapped = await self._profile()
        statement = wrapped.profile.trigger
        if statement is None:
            raise ActionConflict(
                f"store {self.config.name}: nothing says how a job is triggered; set stores[].trigger, or trigger in"
                " its profile (docs/actions.md)"
            )
        timeout = self.config.timeout
        return await run_statement(
            lambda: self._second.request(timeout, writing=True), statement, job_id, seconds=timeout + PATIENCE
        )

    async def known(self, job_id: str) -> bool | None:
        """Whether there is such a job; None where the profile lists none. StoreErrors."""
        wrapped = await self._profile()
        if not (wrapped.has("jobs") or wrapped.has("job_by_id")):
            return None
        return await self._reads.job(job_id) is not None

    async def number(self, job_id: str) -> int | str:
        """The job's id in the store's own type: a number where it is one."""
        numbers = await self._reads.integral("jobs", "id") or await self._reads.integral("executions", "job_id")
        return int(job_id) if numbers and _NUMBER.fullmatch(job_id) else job_id
