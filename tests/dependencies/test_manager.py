"""Who runs: none delays another, a reload keeps what did not change, and everything that shows it says the same."""

from __future__ import annotations

import asyncio
import threading

import msgspec
import pytest
from dependencies.conftest import HOST, QUICK, Watching, watching
from support import faulty_servers
from support.parts import part
from support.serving import World, serving
from support.status import visit

from exporter.config.model import (
    AnyDependency,
    Auth,
    Config,
    Dsn,
    Duration,
    HttpDependency,
    PostgresStore,
    RedisDependency,
    TcpDependency,
    Web,
)
from exporter.connections.resolve import Resolver
from exporter.dependencies import (
    COLLECTOR,
    CONSUMED,
    HITS,
    MISSES,
    OPERATIONS,
    PRODUCED,
    DependencyState,
    sights,
)
from exporter.dependencies.link import Dialer
from exporter.metrics import dependencies as metrics
from exporter.metrics.family import View
from exporter.snapshot import Part


def tcp(port: int, **changes: object) -> TcpDependency:
    values = {**QUICK, "name": "port", "kind": "tcp", "host": HOST, "port": port}
    return TcpDependency(**{**values, **changes})  # type: ignore[arg-type]


async def test_one_that_hangs_delays_no_other() -> None:
    with faulty_servers.swallows_packets() as hole, faulty_servers.swallows_everything() as mute:
        redis = RedisDependency(name="mute", kind="redis", url=f"redis://{HOST}:{mute}", timeout=Duration(0.5))
        hung = [tcp(hole, name=f"hole {i}", timeout=Duration(60)) for i in range(50)]
        async with watching(redis, *hung, tcp(mute)) as watched:
            assert (await watched.again("port", 5)).result == "ok"
            assert {watched.state(config.name).result for config in hung} == {None}
            state = await watched.checked("mute")
            assert (state.result, state.message) == ("timeout", "no answer within 0.5 s")
            assert state.response is not None
            assert state.response >= 0.5


async def test_lookups_that_hang_hold_up_nobody() -> None:
    """Each hangs in a thread of its own: the pool, which reads files with passwords, stays free."""
    released = threading.Event()

    def lookup(host: str) -> tuple[str, ...]:
        released.wait(120)
        return (HOST,)

    pages = [
        HttpDependency(name=f"page {i}", kind="http", url=f"http://host-{i}.test/", timeout=Duration(0.3))
        for i in range(40)
    ]
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0)
    try:
        async with (
            server,
            watching(*pages, tcp(server.sockets[0].getsockname()[1]), resolver=Resolver(lookup)) as watched,
        ):
            for page in pages:
                assert (await watched.checked(page.name)).result == "timeout"
            assert (await watched.again("port", 3)).result == "ok"
            async with asyncio.timeout(30):
                assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        released.set()


async def test_a_name_with_several_addresses_is_reached_by_the_one_that_answers() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    resolver = Resolver(lambda _: ("127.9.9.9", HOST))  # nobody listens at the first
    async with server, Dialer(resolver, 5).connected("both.test", port) as link:
        assert link.writer.get_extra_info("peername") == (HOST, port)


async def test_a_reload_keeps_what_did_not_change() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, watching(tcp(port), tcp(port, name="goes"), tcp(port, name="changes")) as watched:
        for name in ("port", "goes", "changes"):
            await watched.checked(name)
        tasks = {task.get_name(): task for task in asyncio.all_tasks()}
        new = (tcp(port), tcp(port, name="changes", required=True), tcp(port, name="comes"))
        await watched.dependencies.configure(new)
        assert list(watched.dependencies.states) == ["port", "changes", "comes"]
        assert watched.hub.current.part(COLLECTOR, "goes") is None
        assert watched.state("port").result == "ok"
        assert watched.state("changes").result is None
        assert (await watched.checked("changes")).required
        await watched.checked("comes")
        after = {task.get_name(): task for task in asyncio.all_tasks()}
        assert after["dependency port"] is tasks["dependency port"]
        assert after["dependency changes"] is not tasks["dependency changes"]
        assert "dependency goes" not in after


# -- what is shown of it

UP = DependencyState(
    name="queue",
    kind="redis",
    required=True,
    result="ok",
    response=0.25,
    last_check=1000.0,
    last_success=1000.0,
    counts={(OPERATIONS,): 5, (HITS,): 3, (MISSES,): 1},
)
DOWN = DependencyState(
    name="events",
    kind="kafka",
    required=False,
    result="refused",
    message="no route to kafka-1.internal",
    response=0.5,
    last_check=1000.0,
    counts={(PRODUCED, "orders"): 7, (CONSUMED, "workers", "orders"): 4},
)
NEW = DependencyState(name="mail", kind="smtp", required=False)


def shown(
    state: DependencyState, *, stale: bool = False, failed: bool = False
) -> dict[str, dict[tuple[str, ...], object]]:
    found = part(COLLECTOR, state, source=state.name, error="unexpected" if failed else None)
    view = View(state.name, {COLLECTOR: found}, frozenset({COLLECTOR} if stale else ()))
    return {family.name: dict(samples) for family, samples in metrics.collect(view)}


def test_metrics() -> None:
    queue, events = ("queue", "redis"), ("events", "kafka")
    assert shown(UP) == {
        "scheduling_dependency_up": {queue: 1.0},
        "scheduling_dependency_response_seconds": {queue: 0.25},
        "scheduling_dependency_last_success_timestamp_seconds": {queue: 1000.0},
        "scheduling_redis_operations_total": {("queue",): 5},
        "scheduling_redis_keyspace_hits_total": {("queue",): 3},
        "scheduling_redis_keyspace_misses_total": {("queue",): 1},
    }
    assert shown(DOWN) == {
        "scheduling_dependency_up": {events: 0.0},
        "scheduling_dependency_response_seconds": {events: 0.5},
        "scheduling_kafka_messages_produced_total": {("events", "orders"): 7},
        "scheduling_kafka_messages_consumed_total": {("events", "workers", "orders"): 4},
    }
    assert shown(NEW) == {}
    assert shown(UP, failed=True)["scheduling_dependency_up"] == {queue: 0.0}
    stale = shown(UP, stale=True)
    assert stale["scheduling_dependency_up"] == {queue: 0.0}
    assert not [name for name in stale if name.endswith("_seconds")]
    assert stale["scheduling_redis_operations_total"] == {("queue",): 5}


def world(*states: DependencyState, **options: object) -> World:
    configs: tuple[AnyDependency, ...] = tuple(tcp(1, name=state.name) for state in states)
    store = PostgresStore(name="queue", dsn=Dsn("postgresql://x"))  # a store may have a dependency's name
    web, auth = Web(listen_address=("127.0.0.1:0",)), Auth(anonymous_read=True)
    world = World(config=Config(environment="production", web=web, auth=auth, stores=(store,), dependencies=configs))
    world.hub.publish(*(part(COLLECTOR, state, source=state.name, **options) for state in states))  # type: ignore[arg-type]
    return world


async def test_health_lists_them() -> None:
    async with serving(world(UP, DOWN, NEW)) as (_, client):
        system = await (await client.get("/api/system/health")).json()
        monitoring = await (await client.get("/api/scheduler-monitoring/health")).json()
    assert system["components"]["dependencies"] == {
        "queue": {"status": "healthy", "kind": "redis", "latency": 250},
        "events": {"status": "unhealthy", "kind": "kafka", "latency": 500},
        "mail": {"status": "unknown", "kind": "smtp", "latency": None},
    }
    assert system["status"] == "degraded"  # the store has not been asked yet
    found = {c["name"]: c for c in monitoring["components"]}
    assert found["dependency:queue"] == {
        "name": "dependency:queue",
        "status": "healthy",
        "latencyMs": 250,
        "lastCheckedAt": "1970-01-01T00:16:40.000Z",
        "detail": None,
    }
    # For viewers without the error's text, which has an address in it.
    assert found["dependency:events"]["detail"] == "refused"
    assert found["dependency:mail"]["status"] == "unknown"
    assert found["store:queue"]["status"] == "unknown"


async def test_what_is_too_old_is_unknown() -> None:
    aged = world(UP, age=1000.0)
    assert [sight.up for sight in sights(aged.hub.current, aged.config.dependencies)] == [False]  # type: ignore[union-attr]
    async with serving(aged) as (_, client):
        system = await (await client.get("/api/system/health")).json()
    assert system["components"]["dependencies"]["queue"]["status"] == "unknown"


async def test_without_dependencies_the_answer_is_as_specified() -> None:
    async with serving(world()) as (_, client):
        system = await (await client.get("/api/system/health")).json()
    assert list(system["components"]) == ["database", "scheduler", "system", "process"]


async def test_the_page_shows_them_and_their_errors_texts_to_admins() -> None:
    shown = world(UP, DOWN, NEW)
    shown.config = msgspec.structs.replace(shown.config or Config(), auth=Auth(anonymous_read=True))
    page = await visit(shown)
    told = page.text("dependencies")
    assert "events kafka" in told.replace(" required", "") and "refused" in told and "not checked yet" in told
    assert told.index("events") < told.index("queue"), "what is down comes first"
    assert "kafka-1.internal" not in page.html
    shown.config = msgspec.structs.replace(shown.config, auth=Auth(), environment="development")
    assert "kafka-1.internal" in (await visit(shown)).text("dependencies"), "nothing configured in development: admin"
    assert "Dependencies" not in (await visit(World())).text()


async def test_an_unexpected_error_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("exporter.dependencies.redis.RedisCheck.check", broken)
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    redis = RedisDependency(name="broken", kind="redis", url=f"redis://{HOST}:{port}", interval=Duration(0.1))
    async with server:
        watched: Watching
        with pytest.raises(AssertionError, match="broken"):
            async with watching(redis, tcp(port)) as watched:
                await watched.again("port", 3)
                found: Part | None = watched.hub.current.part(COLLECTOR, "broken")
                assert found is not None
                assert (found.success, found.error) == (False, "unexpected ZeroDivisionError")
