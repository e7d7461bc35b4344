"""The ways in which a job is triggered: a statement of its store, a message on a Redis list, an HTTP request.

Belongs here: doing it, and how far it came. Does not: who may, and what is not to be done twice (``actions``).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from exporter.config.model import MESSAGE_FIELDS, HttpTrigger, RedisTrigger, SqlTrigger
from exporter.config.urls import JOB_ID
from exporter.errors import (
    ActionRefused,
    ActionUnavailable,
    ExporterError,
    NotFound,
    OutcomeUnknown,
)
from exporter.outbound import Answer, RemoteUnavailable, Reveal, ask
from exporter.stores.trigger import ExecutionId, JobTrigger

if TYPE_CHECKING:
    from redis.asyncio import Redis

_NOT_FOUND: Final = 404
_FIELD: Final = re.compile(r"\{(" + "|".join(MESSAGE_FIELDS) + r")\}")
#: Where an answer of an HTTP trigger may have the execution's id.
_ID_KEYS: Final = ("execution_id", "executionId", "id")


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """How far an earlier attempt came: the store has the execution, whoever runs it does not know of it."""

    execution_id: ExecutionId


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A job to trigger; ``recorded`` says that an attempt of the same ``key`` ended half-way."""

    job_id: str
    key: str | None = None
    request_id: str | None = None
    recorded: Recorded | None = None
    #: Told once the store has the execution, before anybody else is.
    note: Callable[[Recorded], Awaitable[None]] | None = None


async def trigger(store: JobTrigger, order: Order, reveal: Reveal) -> ExecutionId:
    """Have a job run; the id of the execution where somebody gave one. ``reveal`` gives the text of a secret.

    ActionErrors: nothing has been done. OutcomeUnknown: it may have been, or half of it.
    """
    match store.config.trigger:
        case SqlTrigger():
            return await store.trigger(order.job_id)
        case RedisTrigger() as config:
            return await _through_redis(store, config, order, reveal)
        case HttpTrigger() as config:
            return await _through_http(store, config, order, reveal)


# -- Redis


async def _through_redis(store: JobTrigger, config: RedisTrigger, order: Order, reveal: Reveal) -> ExecutionId:
    """The list is reached before anything is written: so a row that nobody is told of needs a fault at that moment."""
    async with _reached(config, reveal) as client:
        recorded = order.recorded
        if recorded is None and await store.has_statement():
            recorded = Recorded(execution_id=await store.trigger(order.job_id))
            if order.note is not None:
                await order.note(recorded)
        elif recorded is None:
            await _must_be_known(store, order.job_id)
        execution = recorded.execution_id if recorded else None
        values = {"job_id": await store.number(order.job_id), "execution_id": execution}
        await _push(client, config, message(config.message, values), recorded)
    return execution


@contextlib.asynccontextmanager
async def _reached(config: RedisTrigger, reveal: Reveal) -> AsyncIterator[Redis]:
    """A client whose server has answered. ActionUnavailable, ActionRefused."""
    # Here, because it costs seven megabytes and nobody else needs it.
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import AuthenticationError, RedisError, ResponseError  # noqa: PLC0415

    try:
        password = await reveal(config.password) if config.password is not None else None
    except ExporterError as e:
        raise ActionUnavailable(f"no password for Redis: {e}") from e
    options: dict[str, Any] = {}
    if config.url.startswith("rediss:") and config.ca_file is not None:
        options["ssl_ca_certs"] = config.ca_file
    client = Redis.from_url(
        config.url,
        username=config.username,
        password=password,
        socket_timeout=config.timeout,
        socket_connect_timeout=config.timeout,
        # A push that is tried again may be a second one.
        retry=Retry(NoBackoff(), 0),
        **options,
    )
    async with contextlib.aclosing(client):
        try:
            async with asyncio.timeout(config.timeout):
                await client.ping()
        except (AuthenticationError, ResponseError) as e:
            raise ActionRefused(f"Redis refuses us: {e}; look at username and password of the trigger") from e
        except (RedisError, OSError, TimeoutError) as e:
            raise ActionUnavailable(f"Redis is away, nothing was done: {str(e) or 'no answer in time'}") from e
        yield client


async def _push(client: Redis, config: RedisTrigger, text: str, recorded: Recorded | None) -> None:
    from redis.exceptions import RedisError, ResponseError  # noqa: PLC0415

    push = client.lpush if config.end == "left" else client.rpush
    try:
        async with asyncio.timeout(config.timeout):
            await push(config.list, text)
    except ResponseError as e:
        reason = f"Redis does not take the message: {e}"
        raise OutcomeUnknown(f"{reason}; {_kept(recorded)}") if recorded else ActionRefused(reason) from e
    except (RedisError, OSError, TimeoutError) as e:
        reason = f"Redis broke off while the message was being sent: {str(e) or 'no answer in time'}"
        raise OutcomeUnknown(f"{reason}; {_kept(recorded)}") from e


def _kept(recorded: Recorded | None) -> str:
    if recorded is None:
        return "look whether the job runs"
    return (
        f"the store has execution {recorded.execution_id}, which may not be on the list: the same Idempotency-Key"
        " sends the message again"
    )


def message(template: str, values: Mapping[str, Any]) -> str:
    """``template`` with each ``{name}`` replaced by the value in JSON."""
    return _FIELD.sub(lambda match: msgspec.json.encode(values[match[1]]).decode(), template)


# -- HTTP


async def _through_http(store: JobTrigger, config: HttpTrigger, order: Order, reveal: Reveal) -> ExecutionId:
    await _must_be_known(store, order.job_id)
    headers = {"Idempotency-Key": order.key, "X-Request-Id": order.request_id}
    body = {"job_id": await store.number(order.job_id), "store": store.config.name}
    try:
        answer = await ask(
            config,
            "POST",
            config.url.replace(JOB_ID, quote(order.job_id, safe="")),
            body=body,
            reveal=reveal,
            headers={name: value for name, value in headers.items() if value is not None},
        )
    except RemoteUnavailable as e:
        if e.sent:
            raise OutcomeUnknown(f"{e}; it may have triggered the job nevertheless") from e
        raise ActionUnavailable(f"the scheduler is away: {e}") from e
    if answer.status == _NOT_FOUND:
        raise NotFound(f"job {order.job_id}: the scheduler knows none")
    if not answer.ok:
        raise ActionRefused(f"the scheduler refuses with status {answer.status}: {answer.text}")
    return _told_id(answer)


def _told_id(answer: Answer) -> ExecutionId:
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        told = msgspec.json.decode(answer.body)
        if isinstance(told, dict):
            found = [told[key] for key in _ID_KEYS if isinstance(told.get(key), int | str)]
            return found[0] if found and not isinstance(found[0], bool) else None
    return None


async def _must_be_known(store: JobTrigger, job_id: str) -> None:
    if await store.known(job_id) is False:
        raise NotFound(f"job {job_id}: not found")
