"""A real page, a real port, a real database: what is up, and what kind of trouble each is in."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator

import trustme
from aiohttp import web
from dependencies.conftest import HOST, QUICK, watching
from support.ports import free_port
from support.postgres import Database

from exporter.config.model import HttpDependency, PostgresDependency, TcpDependency
from exporter.config.secrets import Secret

TOKEN = "sentinel-of-http"


@contextlib.asynccontextmanager
async def page(tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server whose paths are the statuses that they answer with; /private wants the token or alice."""

    async def answer(request: web.Request) -> web.Response:
        known = (f"Bearer {TOKEN}", "Basic " + base64.b64encode(f"alice:{TOKEN}".encode()).decode())
        if request.path == "/private":
            return web.Response(status=200 if request.headers.get("Authorization") in known else 401)
        if request.path == "/mute":
            await asyncio.sleep(60)
        return web.Response(status=int(request.path.strip("/")), headers={"Location": "/200"})

    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://{HOST}:{port}"
    finally:
        await runner.cleanup()


def http(url: str, **changes: object) -> HttpDependency:
    return HttpDependency(**{**QUICK, "name": "api", "kind": "http", "url": url, **changes})  # type: ignore[arg-type]


def tcp(port: int, **changes: object) -> TcpDependency:
    values = {**QUICK, "name": "port", "kind": "tcp", "host": HOST, "port": port}
    return TcpDependency(**{**values, **changes})  # type: ignore[arg-type]


async def test_http_statuses_and_logins() -> None:
    async with page() as url:
        good = (
            http(f"{url}/204"),
            http(f"{url}/302", name="redirect", statuses=(302,)),
            http(f"{url}/200", name="head", method="HEAD"),
            http(f"{url}/private", name="token", token=Secret(TOKEN)),
            http(f"{url}/private", name="basic", username="alice", password=Secret(TOKEN)),
        )
        bad = {
            "error": (http(f"{url}/503", name="error"), "answer"),
            "other": (http(f"{url}/200", name="other", statuses=(201,)), "answer"),
            "denied": (http(f"{url}/private", name="denied", token=Secret("sentinel-wrong")), "auth"),
            "mute": (http(f"{url}/mute", name="mute", timeout=0.3), "timeout"),
            "away": (http(f"http://{HOST}:{free_port()}/", name="away"), "refused"),
            "name": (http("http://nowhere.invalid/", name="name"), "dns"),
        }
        async with watching(*good, *(config for config, _ in bad.values())) as watched:
            for config in good:
                state = await watched.checked(config.name)
                assert (state.result, state.message) == ("ok", None), config.name
            for name, (_, result) in bad.items():
                state = await watched.checked(name)
                assert (state.result, "sentinel" in str(state)) == (result, False), state
            assert watched.state("error").message == "expected status 200 to 299; got 503"


async def test_http_and_tcp_over_tls(authority: trustme.CA, ca_file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    async with page(context) as url:
        port = int(url.rpartition(":")[2])
        async with watching(
            http(f"{url}/200", ca_file=ca_file),
            http(f"{url}/200", name="untrusted"),
            tcp(port, tls=True, ca_file=ca_file),
            tcp(port, name="untrusted port", tls=True),
            tcp(port, name="plain"),
        ) as watched:
            expected = {"api": "ok", "untrusted": "tls", "port": "ok", "untrusted port": "tls", "plain": "ok"}
            assert {name: (await watched.checked(name)).result for name in expected} == expected


async def test_what_speaks_something_else_is_told_as_that() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read(1)
        writer.close()

    async with page() as url, await asyncio.start_server(greet, HOST, 0) as mail:
        port = mail.sockets[0].getsockname()[1]
        over_tls = http(url.replace("http", "https") + "/200")
        async with watching(over_tls, http(f"http://{HOST}:{port}/", name="mail")) as watched:
            state = await watched.checked("api")
            assert (state.result, "TLS failed: " in str(state.message)) == ("tls", True)
            assert "speaks no HTTP" in str((await watched.checked("mail")).message)


async def test_tcp_failures() -> None:
    async with watching(tcp(free_port()), tcp(1, name="name", host="nowhere.invalid")) as watched:
        state = await watched.checked("port")
        assert (state.result, state.message) == ("refused", "the connection was refused")
        assert (await watched.checked("name")).result == "dns"


async def test_postgres_is_checked_as_a_target_is(database: Database) -> None:
    def config(**changes: object) -> PostgresDependency:
        values = {
            **QUICK,
            "name": "archive",
            "kind": "postgres",
            "host": HOST,
            "port": database.server.port,
            "database": database.name,
            "user": "postgres",
            "password": Secret("sentinel-of-postgres"),
            "sslmode": "disable",
        }
        return PostgresDependency(**{**values, **changes})  # type: ignore[arg-type]

    name = f"dep_{database.name}"
    with database.connect() as admin:
        admin.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'sentinel-of-postgres'")
    try:
        async with watching(
            config(user=name),
            config(user=name, name="wrong", password=Secret("sentinel-wrong")),
            config(user=name, name="missing", database="nowhere"),
            config(user=name, name="away", port=free_port()),
        ) as watched:
            found = {name: (await watched.checked(name)).result for name in ("archive", "wrong", "missing", "away")}
            assert found == {"archive": "ok", "wrong": "auth", "missing": "other", "away": "refused"}
            assert "sentinel" not in str(watched.dependencies.states)
            with database.connect() as admin:
                # The connection is kept; one at most.
                await watched.again("archive", 3)
                query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
                assert admin.execute(query, (name,)).fetchone() == (1,)
    finally:
        with database.connect() as admin:
            admin.execute(f'DROP ROLE "{name}"')
