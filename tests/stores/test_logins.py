"""A store's logins on real servers: every form of a DSN, errors with their codes, no account locked out."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import trustme
from psycopg import sql
from support import faulty_servers
from support.faulty_servers import LOCALHOST, Server
from support.polling import until
from support.postgres import Database

from exporter.config.model import Dsn, Duration, PostgresStore
from exporter.config.references import FileReference
from exporter.config.secrets import Secret
from exporter.errors import StoreUnavailable
from exporter.instruments import QueryInstruments
from exporter.stores import connecting
from exporter.stores.connecting import LoginRefused, connect
from exporter.stores.credentials import StoreCredentials
from exporter.stores.session import Session

PLAIN = {"host": LOCALHOST, "user": "u", "sslmode": "disable", "gssencmode": "disable"}
PASSWORD = "first p'ss\\wörd@/"
#: No deadline of the machine's: what is tested is what is said, not how soon.
PATIENCE = Duration(60)


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role with ``PASSWORD`` for the database, which it may connect to and no more."""
    name = f"login_{database.name}"
    set_password(database, name, PASSWORD, "CREATE")
    yield name
    with database.connect() as admin:
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def set_password(database: Database, role: str, password: str, verb: str = "ALTER") -> None:
    with database.connect() as admin:
        command = f"{verb} ROLE {{}} LOGIN PASSWORD {{}}"
        admin.execute(sql.SQL(command).format(sql.Identifier(role), sql.Literal(password)))  # type: ignore[arg-type]


def failed_logins(database: Database, role: str) -> int:
    """How often the server has refused the role, from its log."""
    return database.server.log.read_text().count(f'password authentication failed for user "{role}"')


def sessions(config: PostgresStore, number: int = 1) -> list[Session]:
    credentials = StoreCredentials(config)
    return [Session(config.name, credentials, config.timeout, QueryInstruments()) for _ in range(number)]


async def ask(session: Session, question: str = "SELECT current_user") -> str:
    async with session.transaction() as transaction:
        return str((await transaction.fetch("ask", question))[0][0])


def from_file(path: Path) -> Secret:
    return Secret((FileReference(path.name, str(path)),))


async def answer(dsn: str | Dsn, question: str = "SELECT current_user", **keys: object) -> str:
    """What a store of this DSN answers."""
    (session,) = sessions(PostgresStore(name="main", dsn=Dsn(dsn), **{"timeout": PATIENCE, **keys}))  # type: ignore[arg-type]
    try:
        return await ask(session, question)
    finally:
        await session.close()


async def test_a_password_in_a_file_rotates(database: Database, role: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    place = f"host={LOCALHOST} port={database.server.port} dbname={database.name} user={role}"
    store = PostgresStore(name="main", dsn=Dsn(place), password=from_file(file), timeout=PATIENCE)
    both = sessions(store, 2)
    assert [await ask(each) for each in both] == [role, role]
    for number in range(3):
        before = failed_logins(database, role)
        set_password(database, role, f"{PASSWORD} {number}")
        end_sessions(database, role)
        # Both meet the new password while the file still has the old one, again and again.
        for each in both * 3:
            with pytest.raises(StoreUnavailable):
                await ask(each)
        file.write_text(f"{PASSWORD} {number}\n")
        assert [await ask(each) for each in both] == [role, role]
        assert failed_logins(database, role) - before <= 2
    for each in both:
        await each.close()


def end_sessions(database: Database, role: str) -> None:
    with database.connect() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        until(lambda: admin.execute(query, [role]).fetchone() == (0,), 60)


async def test_two_sessions_at_once_are_one_refused_login(database: Database, role: str) -> None:
    dsn = Dsn(database.dsn_as(role, "wrong"))
    both = sessions(PostgresStore(name="main", dsn=dsn, timeout=PATIENCE), 2)
    found = await asyncio.gather(*(ask(each) for each in both), return_exceptions=True)
    assert [type(each) for each in found] == [LoginRefused, LoginRefused]
    assert str(found[0]).endswith("(SQLSTATE 28P01)"), "refused now"
    for each in both * 2:
        with pytest.raises(LoginRefused) as caught:
            await ask(each)
        assert "(SQLSTATE 28P01); refused since " in str(caught.value)
        assert str(caught.value) == str(found[1]), "what goes on is told in the same words"
    assert failed_logins(database, role) == 1


async def test_values_within_a_dsn_need_no_quoting(database: Database, role: str, tmp_path: Path) -> None:
    files = {"user": role, "password": PASSWORD, "port": str(database.server.port)}
    user, password, port = (FileReference(name, str(tmp_path / name)) for name in files)
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    place = f"@{LOCALHOST}:"
    uri = Dsn(("postgresql://", user, ":", password, place, port, f"/{database.name}"))
    assert await answer(uri) == role
    keywords = Dsn((f"host={LOCALHOST} dbname={database.name} user=", user, " password='", password, "' port=", port))
    assert await answer(keywords) == role
    (tmp_path / "dsn").write_text(database.dsn_as(role, PASSWORD))
    whole = FileReference("dsn", str(tmp_path / "dsn"))
    assert await answer(Dsn((whole,))) == role
    assert (
        await answer(Dsn((whole, "?application_name=given")), "SELECT current_setting('application_name')") == "given"
    )
    (tmp_path / "dsn").write_text("no connection string")
    with pytest.raises(StoreUnavailable, match=r"connection string made of \$\{file:dsn\}: expected a PostgreSQL"):
        await answer(Dsn((whole,)))


async def test_several_hosts(database: Database, role: str, free_port: object) -> None:
    port, name = database.server.port, database.name
    login = f"dbname={name} user={role} password='first p\\'ss\\\\wörd@/'"
    assert callable(free_port)
    refused = free_port()
    assert await answer(f"host={LOCALHOST},{LOCALHOST} port={refused},{port} {login}") == role
    assert (
        await answer(f"host=localhost,{LOCALHOST} port={refused},{port} {login} target_session_attrs=read-write")
        == role
    )
    assert await answer(f"host={LOCALHOST} port={port} {login} target_session_attrs=prefer-standby") == role
    with pytest.raises(StoreUnavailable, match=r"session is not read-only|not in hot standby"):
        await answer(f"host={LOCALHOST} port={port} {login} target_session_attrs=standby")
    with faulty_servers.swallows_packets() as hole:
        assert await past(hole, f"host={LOCALHOST},{LOCALHOST} port={hole},{port} {login}") == role
    with pytest.raises(LoginRefused):
        await answer(f"host={LOCALHOST},{LOCALHOST},{LOCALHOST} port={port} dbname={name} user={role} password=wrong")
    assert failed_logins(database, role) == 1


async def past(hole: int, dsn: str) -> str:
    """What the second of two hosts answers, where the first one has taken half of the time."""
    for seconds in (6, 20, 60):
        with contextlib.suppress(StoreUnavailable):  # a machine too busy for so little
            return await answer(dsn, timeout=Duration(seconds))
    raise AssertionError(f"port {hole} takes all of the time")


async def test_a_service_file(database: Database, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "services"
    file.write_text(f"[ours]\nhost={LOCALHOST}\nport={database.server.port}\ndbname={database.name}\nuser={role}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    assert await answer("service=ours", password=Secret(PASSWORD)) == role


@pytest.fixture(scope="module")
def tls_server() -> Iterator[Server]:
    """A PostgreSQL with TLS."""
    certificate = trustme.CA().issue_cert("localhost")
    files = {
        "server.crt": certificate.cert_chain_pems[0].bytes(),
        "server.key": certificate.private_key_pem.bytes(),
    }
    directory = Path(tempfile.mkdtemp(prefix="scheduler-exporter-logins-"))
    try:
        with faulty_servers.debian_postgres(directory, files, {"ssl": "on"}) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("mode", ["prefer", "require", "allow", "disable"])
async def test_a_refused_password_is_sent_once_whatever_the_tls_mode(tls_server: Server, mode: str) -> None:
    before = tls_server.log.read_text().count("password authentication failed")
    with pytest.raises(LoginRefused, match="28P01"):
        await answer(
            f"host=localhost port={tls_server.port} user=postgres password=wrong dbname=postgres sslmode={mode}"
        )
    assert tls_server.log.read_text().count("password authentication failed") - before == 1


async def test_without_codes_the_english_text_tells(tls_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "show_sqlstates", lambda _: None)  # as with a libpq that has no such call
    before = tls_server.log.read_text().count("password authentication failed")
    with pytest.raises(LoginRefused, match=r"authentication failed for user .postgres.$"):
        await answer(f"host=localhost port={tls_server.port} user=postgres password=wrong dbname=postgres")
    assert tls_server.log.read_text().count("password authentication failed") - before == 1
    with pytest.raises(StoreUnavailable) as caught:
        await answer(f"host=localhost port={tls_server.port} user=postgres password=secret dbname=nothing")
    assert type(caught.value) is StoreUnavailable


async def test_a_mode_that_the_server_refuses_is_followed_by_the_next(tls_server: Server) -> None:
    hba = tls_server.log.parent / "data" / "pg_hba.conf"
    rules = hba.read_text()
    place = f"host={LOCALHOST} port={tls_server.port} user=postgres password=secret dbname=postgres"

    def refuses(mode: str) -> bool:
        try:
            psycopg.connect(f"{place} sslmode={mode}").close()
        except psycopg.OperationalError as error:
            return "no pg_hba.conf entry" in str(error)
        return False

    with psycopg.connect(place, autocommit=True) as admin:
        for kind, mode, refused in (("hostnossl", "prefer", "require"), ("hostssl", "allow", "disable")):
            hba.write_text(f"{kind} all all all scram-sha-256\n")
            admin.execute("SELECT pg_reload_conf()")
            until(lambda refused=refused: refuses(refused), 60)  # type: ignore[misc]
            assert await answer(f"{place} sslmode={mode}") == "postgres"
            with pytest.raises(LoginRefused, match="SQLSTATE 28000"):
                await answer(f"{place} sslmode={refused}")
        hba.write_text(rules)
        admin.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def answers_in_german(code: str, text: str) -> Iterator[tuple[int, list[bytes]]]:
    """A server that refuses every login in another language, and the connections that it had."""
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0".replace("SFATAL", "SSCHWERWIEGEND").encode() + b"\0"
    message = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    asked: list[bytes] = []
    with socket.create_server((LOCALHOST, 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        asked.append(connection.recv(1000))
                        connection.sendall(message)
                        connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize(
    ("code", "text", "refused"),
    [
        ("28P01", "Passwort-Authentifizierung für Benutzer »u« fehlgeschlagen", True),
        ("28000", "Rolle »u« existiert nicht", True),
        ("3D000", "Datenbank »d« existiert nicht", False),
        ("53300", "Verbindungen sind alle belegt", False),
        ("08P01", "password authentication failed", True),  # PgBouncer's
        ("08P01", "server conn crashed?", False),
    ],
)
async def test_codes_tell_a_refusal_whatever_the_language(code: str, text: str, refused: bool) -> None:
    with answers_in_german(code, text) as (port, asked):
        kind = LoginRefused if refused else StoreUnavailable
        with pytest.raises(StoreUnavailable) as caught:
            await connect(
                {"host": LOCALHOST, "port": port, "user": "u", "sslmode": "disable", "gssencmode": "disable"}, 60
            )
    assert type(caught.value) is kind
    assert str(caught.value).endswith(f"{text} (SQLSTATE {code})")
    assert len(asked) == 1


async def test_nobody_there(free_port: object) -> None:
    assert callable(free_port)
    with pytest.raises(StoreUnavailable, match=r"^no connection: connection to server at .* Connection refused"):
        await answer(f"host={LOCALHOST} port={free_port()} user=u dbname=d")
    with pytest.raises(StoreUnavailable, match="failed to resolve host"):
        await answer("host=nowhere.invalid user=u dbname=d")
    with faulty_servers.swallows_everything() as port, pytest.raises(StoreUnavailable, match="no connection within"):
        await answer(f"host={LOCALHOST} port={port} user=u dbname=d", timeout=Duration(0.5))
    assert psycopg.__version__ >= "3.2", "Connection._connect_gen is psycopg's"
