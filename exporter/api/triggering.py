"""``POST .../tasks/{id}/execute`` and ``POST .../jobs/trigger``: have a job run now, also while it runs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.actions import Outcome
from exporter.api import reviewer
from exporter.api.acting import FAILS, KEY_HEADER, NO_NULL, acting, asker
from exporter.api.asking import StoreAsked, store_asked
from exporter.api.examples import example
from exporter.api.scheduler_monitoring import FAMILY
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Call, Endpoint
from exporter.httpd.params import Text
from exporter.httpd.problems import json_response
from exporter.httpd.roles import Role

_DESCRIPTION = (
    "Off unless `actions.enabled`. With an Idempotency-Key it is done once: the same key is answered as before. 409:"
    " the key stands for something else, or nobody can tell what became of it; or the store has something against it."
    " 502: the store, Redis or the scheduler refuses. 503: it is away, or nobody can tell whether it was done."
)


class TaskAsked(StoreAsked, frozen=True):
    """``task_id`` in the path."""

    task_id: Annotated[Text, Meta(min_length=1, description="The job's id", examples=["17"])] = ""


class Executed(msgspec.Struct):
    """``execution_id`` is null where the store gives none before the job starts."""

    message: str
    execution_id: int | str | None


class JobToTrigger(msgspec.Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """Which job."""

    job_id: Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NULL)] | int | float


class Triggered(msgspec.Struct, rename="camel"):
    """``executionId`` is null where the store gives none before the job starts."""

    message: str
    execution_id: int | str | None


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths; the reviewer's one under all of its addresses."""

    async def trigger(call: Call[Any, Any], job_id: str) -> Outcome:
        store = store_asked(call.params.store, context.config())
        return await context.actions.trigger(asker(call), store, job_id)

    async def execute(call: Call[TaskAsked, None]) -> web.StreamResponse:
        outcome = await trigger(call, call.params.task_id)
        return _answer(Executed("Task executed successfully", outcome.execution_id), outcome, 200)

    async def by_id(call: Call[StoreAsked, JobToTrigger]) -> web.StreamResponse:
        # 42.0 is a whole number in JSON as much as 42 is.
        wanted = call.body.job_id
        job_id = str(int(wanted) if isinstance(wanted, float) and wanted.is_integer() else wanted)
        outcome = await trigger(call, job_id)
        return _answer(Triggered("Job triggered", outcome.execution_id), outcome, 202)

    return [
        *reviewer.everywhere(
            [
                Endpoint(
                    family=reviewer.FAMILY,
                    path=f"{reviewer.PREFIX}/tasks/{{task_id}}/execute",
                    method="POST",
                    role=Role.ADMIN,
                    handler=acting(context, "trigger", execute),
                    params=TaskAsked,
                    summary="Have a job run now, also while it runs",
                    description=_DESCRIPTION,
                    answers={200: Answer(kind=Executed, example=example("task_executed"))},
                    fails=FAILS,
                    reads_headers=KEY_HEADER,
                )
            ]
        ),
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/jobs/trigger",
            method="POST",
            role=Role.ADMIN,
            handler=acting(context, "trigger", by_id),
            params=StoreAsked,
            body=JobToTrigger,
            body_example=lambda: {"jobId": "42"},
            summary="Have a job run now, also while it runs",
            description=_DESCRIPTION,
            answers={202: Answer(kind=Triggered, example=example("job_triggered"))},
            fails=FAILS,
            reads_headers=KEY_HEADER,
        ),
    ]


def _answer(body: msgspec.Struct, outcome: Outcome, status: int) -> web.Response:
    return json_response(body, status, {"Idempotent-Replayed": "true"} if outcome.again else None)
