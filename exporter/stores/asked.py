"""What requests may ask of a store, whatever it is: what the answers of ``api`` lean on.

Belongs here: the protocols, and what a store answers that knows nothing of a question. Does not: asking.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from typing import Protocol

from exporter.errors import NotTold
from exporter.stores.found import Job, JobTotals, LoggedExecution, Operation
from exporter.stores.pages import Wanted
from exporter.stores.reads import LogFilter, LogPage


class StorePages(Protocol):
    """Pages of history and of jobs; ``patience``: seconds for which a single answer may turn them.

    ``whole``: whether they go back as far as the store does.
    """

    patience: float
    whole: bool

    def executions(self, wanted: Wanted) -> AsyncGenerator[list[LoggedExecution], None]:
        """Finished executions, newest first, some at a time."""

    def jobs(self) -> AsyncGenerator[list[Job], None]:
        """Jobs in the order of their ids, some at a time."""


class StoreReads(Protocol):
    """One store's answers to requests. Each may raise StoreError: StoreUnavailable, or StoreTooSlow."""

    async def has(self, entity: str) -> bool:
        """Whether the store has ``operations``, ``jobs``, ... of its own."""

    async def job(self, job_id: str) -> Job | None:
        """The job of this id, None when there is none, or the store lists no jobs."""

    async def jobs(self, ids: Collection[str]) -> dict[str, Job]:
        """The jobs among these ids that there are."""

    async def log(self, job_id: str, wanted: LogFilter, limit: int, offset: int) -> tuple[Job | None, LogPage | None]:
        """A job and a page of its executions, newest first. (None, None): nothing is known of such a job."""

    async def totals(self, job_id: str) -> tuple[Job | None, LoggedExecution | None, JobTotals | None]:
        """A job, its newest execution, and all of them added up. Nones: nothing is known of such a job."""

    async def results(self, ids: Collection[str]) -> dict[tuple[str, int | None], str]:
        """Results by execution id and attempt, of those executions that have one."""

    async def due(self) -> tuple[Job, ...]:
        """Jobs that are due and have not started."""

    async def operations(
        self, limit: int, *, operation_id: str | None = None, stage: str | None = None, worker_id: str | None = None
    ) -> tuple[Operation, ...]:
        """Operations, newest first, of one id, stage, worker if they are given."""

    async def pages(self) -> StorePages:
        """Pages of history and of jobs, for answers that are longer than one. Raises NotTold where there are none."""

    async def integral(self, entity: str, column: str) -> bool | None:
        """Whether a column of ids holds whole numbers; None where the store does not have it."""


class KnowsNothing:
    """Answers of a store that has nothing of what is asked for. What a store has, it answers itself."""

    async def has(self, entity: str) -> bool:  # noqa: ARG002
        """Nothing."""
        return False

    async def job(self, job_id: str) -> Job | None:  # noqa: ARG002
        """There is none."""
        return None

    async def jobs(self, ids: Collection[str]) -> dict[str, Job]:  # noqa: ARG002
        """There are none."""
        return {}

    async def log(
        self, job_id: str, wanted: LogFilter, limit: int, offset: int  # noqa: ARG002
    ) -> tuple[Job | None, LogPage | None]:  # fmt: skip
        """Nothing is known of such a job."""
        return None, None

    async def totals(
        self, job_id: str  # noqa: ARG002
    ) -> tuple[Job | None, LoggedExecution | None, JobTotals | None]:  # fmt: skip
        """Nothing is known of such a job."""
        return None, None, None

    async def results(self, ids: Collection[str]) -> dict[tuple[str, int | None], str]:  # noqa: ARG002
        """None has any."""
        return {}

    async def due(self) -> tuple[Job, ...]:
        """None is."""
        return ()

    async def operations(
        self,
        limit: int,  # noqa: ARG002
        *,
        operation_id: str | None = None,  # noqa: ARG002
        stage: str | None = None,  # noqa: ARG002
        worker_id: str | None = None,  # noqa: ARG002
    ) -> tuple[Operation, ...]:
        """There are none."""
        return ()

    async def pages(self) -> StorePages:
        """Raises NotTold."""
        raise NotTold("the store lists neither executions nor jobs")

    async def integral(self, entity: str, column: str) -> bool | None:  # noqa: ARG002
        """There is no such column."""
        return None
