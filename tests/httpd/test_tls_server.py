"""TLS with real handshakes: client certificates, names, versions, suites, and rotation without a restart."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from httpd.conftest import KEPT, told
from msgspec.structs import replace
from support.serving import PATIENT, World, eventually, raw, serving

from exporter.config.model import Web
from exporter.config.web import parse_web_config
from exporter.errors import ConfigError
from exporter.httpd.server import Server
from exporter.httpd.tls import check_web_config, san_allowed, server_context


@dataclass
class Certificates:
    """A server certificate of ``authority`` in ``folder``, and the web configuration beside it."""

    folder: Path
    authority: trustme.CA

    def issue(self) -> None:
        made = self.authority.issue_cert("127.0.0.1", "localhost")
        made.cert_chain_pems[0].write_to_path(self.folder / "server.pem")
        made.private_key_pem.write_to_path(self.folder / "server.key")

    def configure(self, more: str = "") -> World:
        text = f"tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{more}"
        (self.folder / "web.yml").write_text(text)
        return World(web=Web(listen_address=("127.0.0.1:0",), config_file=str(self.folder / "web.yml")))

    def client(self, *identity: str, by: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if identity:
            (by or self.authority).issue_cert(*identity).configure_cert(context)
        return context


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path, trustme.CA())
    made.issue()
    made.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


VERIFY = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
#: What a refused client sees: an alert, a reset or a closed connection.
REFUSED = (aiohttp.ClientError, ssl.SSLError, ConnectionError)


async def peer_serial(server: Server, context: ssl.SSLContext) -> str:
    """The serial number of the certificate that a new handshake shows."""
    host, _, port = server.addresses[0].rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        return str(writer.get_extra_info("peercert")["serialNumber"])
    finally:
        writer.close()
        await writer.wait_closed()


async def test_https_only(certificates: Certificates) -> None:
    world = certificates.configure("http_server_config:\n  headers: {Strict-Transport-Security: max-age=60}\n")
    async with serving(world, tls=certificates.client()) as (server, client):
        assert server.urls[0].startswith("https://127.0.0.1:")
        async with client.get("/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Strict-Transport-Security"] == "max-age=60"
        assert b"200 OK" not in await raw(server, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_client_certificate_is_required(certificates: Certificates) -> None:
    world = certificates.configure(VERIFY)
    good, none = certificates.client("prometheus"), certificates.client()
    foreign = certificates.client("prometheus", by=trustme.CA())
    async with serving(world, tls=good) as (_, client):
        assert (await client.get("/metrics")).status == 200
        for context in (none, foreign):
            with pytest.raises(REFUSED):
                await client.get("/metrics", ssl=context)


async def test_a_given_certificate_is_verified(certificates: Certificates) -> None:
    world = certificates.configure(VERIFY.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"))
    async with serving(world, tls=certificates.client()) as (_, client):
        assert (await client.get("/metrics")).status == 200
        with pytest.raises(REFUSED):
            await client.get("/metrics", ssl=certificates.client("x", by=trustme.CA()))


async def test_only_allowed_names(certificates: Certificates) -> None:
    world = certificates.configure(VERIFY + "  client_allowed_sans: [prometheus.example, '::1', me@example.org]\n")
    async with serving(world, tls=certificates.client("prometheus.example")) as (_, client):
        assert (await client.get("/metrics")).status == 200
        assert (await client.get("/metrics", ssl=certificates.client("::1"))).status == 200
        assert (await client.get("/metrics", ssl=certificates.client("me@example.org"))).status == 200
        with pytest.raises(REFUSED):
            await client.get("/metrics", ssl=certificates.client("other.example"))


def test_names_of_a_certificate() -> None:
    certificate = {"subjectAltName": (("DNS", "a"), ("URI", "spiffe://x/y"), ("IP Address", "0:0:0:0:0:0:0:1\n"))}
    assert san_allowed(certificate, ["spiffe://x/y"])
    assert san_allowed(certificate, ["::1"])
    assert not san_allowed(certificate, ["A"])
    assert not san_allowed(None, ["a"])


async def test_certificates_rotate_without_a_restart(certificates: Certificates) -> None:
    trusting = certificates.client()
    async with serving(certificates.configure(), tls=trusting) as (server, client):
        first = await peer_serial(server, trusting)

        async def rotated() -> bool:
            return await peer_serial(server, trusting) != first

        _, port = server.addresses[0].split(":")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=trusting)
        certificates.issue()
        await eventually(rotated)
        writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await reader.read()  # a connection of before goes on
        writer.close()
        assert (await client.get("/metrics")).status == 200


async def test_a_policy_that_changes_holds_for_new_connections(certificates: Certificates) -> None:
    without, with_one = certificates.client(), certificates.client("prometheus")
    async with serving(certificates.configure(), tls=with_one) as (_, client):
        assert (await client.get("/metrics", ssl=without)).status == 200
        certificates.configure(VERIFY)

        async def refused() -> bool:
            try:
                await client.get("/metrics", ssl=without)
            except REFUSED:
                return True
            return False

        await eventually(refused)
        assert (await client.get("/metrics")).status == 200


@pytest.mark.parametrize("broken", ["certificate", "torn-pair", "absent", "no-tls"])
async def test_a_broken_rotation_keeps_the_last_good_one_and_is_logged_once(
    certificates: Certificates, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    trusting = certificates.client()
    async with serving(certificates.configure(), tls=trusting) as (server, client):
        first = await peer_serial(server, trusting)

        async def rotated() -> bool:
            return await peer_serial(server, trusting) != first

        folder = certificates.folder
        if broken == "certificate":
            (folder / "new.pem").write_text("junk")
            (folder / "new.pem").replace(folder / "server.pem")
        elif broken == "torn-pair":
            certificates.authority.issue_cert("x").private_key_pem.write_to_path(folder / "new.key")
            (folder / "new.key").replace(folder / "server.key")  # at once: half of it would be one more to tell of
        elif broken == "absent":
            (folder / "server.key").unlink()
        else:
            (folder / "web.yml").write_text("")
        said = await told(capsys)
        assert await peer_serial(server, trusting) == first
        assert (await client.get("/metrics")).status == 200
        assert (said + capsys.readouterr().out).count(KEPT) == 1
        certificates.issue()
        certificates.configure()
        await eventually(rotated)


async def test_inline_certificates_never_touch_the_disk(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert: |\n"
        + "".join(f"    {line}\n" for line in made.cert_chain_pems[0].bytes().decode().splitlines())
        + "  key: |\n"
        + "".join(f"    {line}\n" for line in made.private_key_pem.bytes().decode().splitlines())
    )
    world = World(web=Web(listen_address=("127.0.0.1:0",), config_file=str(tmp_path / "web.yml")))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(world, tls=trusting) as (_, client):
        assert (await client.get("/metrics")).status == 200


@pytest.mark.parametrize(
    ("more", "version", "suites", "works"),
    [
        ("", ssl.TLSVersion.TLSv1_2, None, True),
        ("  min_version: TLS13\n", ssl.TLSVersion.TLSv1_2, None, False),
        ("  min_version: TLS13\n", ssl.TLSVersion.TLSv1_3, None, True),
        ("  max_version: TLS12\n", ssl.TLSVersion.TLSv1_3, None, False),
        ("  cipher_suites: [TLS_AES_128_GCM_SHA256]\n", ssl.TLSVersion.TLSv1_2, None, False),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n",
            ssl.TLSVersion.TLSv1_2,
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            False,
        ),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n  curve_preferences: [CurveP384]\n",
            ssl.TLSVersion.TLSv1_2,
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            True,
        ),
    ],
)
async def test_versions_and_suites(
    certificates: Certificates, more: str, version: ssl.TLSVersion, suites: str | None, works: bool
) -> None:
    context = certificates.client()
    context.minimum_version = context.maximum_version = version
    if suites:
        context.set_ciphers(suites)
    async with serving(certificates.configure(more), tls=context) as (_, client):
        if works:
            assert (await client.get("/metrics")).status == 200
        else:
            with pytest.raises(REFUSED):
                await client.get("/metrics")


def test_the_servers_preference_can_be_turned_off(certificates: Certificates) -> None:
    for value, expected in (("true", True), ("false", False)):
        certificates.configure(f"  prefer_server_cipher_suites: {value}\n")
        config = parse_web_config((certificates.folder / "web.yml").read_text(), certificates.folder / "web.yml")
        assert config.tls is not None
        assert bool(server_context(config.tls).options & ssl.OP_CIPHER_SERVER_PREFERENCE) is expected


async def test_what_cannot_serve_stops_the_start(certificates: Certificates) -> None:
    world = certificates.configure()
    check_web_config(certificates.folder / "web.yml")
    (certificates.folder / "server.key").write_text("junk")
    with pytest.raises(ConfigError, match=r"cannot use .*server\.key"):
        check_web_config(certificates.folder / "web.yml")
    with pytest.raises(ConfigError, match=r"cannot use .*server\.key"):
        async with serving(world):
            pass


def test_an_encrypted_key_does_not_ask_on_the_terminal(certificates: Certificates) -> None:
    key = certificates.authority.issue_cert("x").private_key_pem.bytes()
    encrypted = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (certificates.folder / "server.key").write_bytes(encrypted)
    certificates.configure()
    with pytest.raises(ConfigError, match="cannot use"):
        check_web_config(certificates.folder / "web.yml")


async def test_a_handshake_that_never_comes_is_ended(certificates: Certificates) -> None:
    timeouts = replace(PATIENT, handshake=1.0)
    async with serving(certificates.configure(), tls=certificates.client(), timeouts=timeouts) as (server, _):
        assert await raw(server, b"") == b""
