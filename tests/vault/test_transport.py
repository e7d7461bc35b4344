"""Answers that a healthy Vault does not give: each is told apart. What gives them here is a small HTTP server."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.vault_server import VaultServer
from vault.conftest import config_for, token_auth

from exporter.config.model import Duration
from exporter.config.model import Vault as Config
from exporter.vault.failure import VaultError
from exporter.vault.transport import Transport

JSON = "application/json"


class Handler(BaseHTTPRequestHandler):
    """Answers everything with what its server has."""

    def do_GET(self) -> None:
        status, kind, body, headers = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def answering(
    status: int, body: bytes, kind: str = JSON, *, pem: Path | None = None, clients: Path | None = None, **headers: str
) -> Iterator[str]:
    """The address of a server that answers so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answer = (status, kind, body, headers)  # type: ignore[attr-defined]
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http{'s' if pem else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def errors(*texts: str) -> bytes:
    return json.dumps({"errors": texts}).encode()


def transport(address: str, **changes: Any) -> Transport:
    return Transport(Config(address=address, auth=token_auth("t"), timeout=Duration(30), **changes))


def asked(address: str, **changes: Any) -> dict[str, Any]:
    """What a read is answered."""
    client = transport(address, **changes)
    try:
        return client.call(lambda hvac: hvac.adapter.get("/v1/secret/data/x"), "t")
    finally:
        client.close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (400, errors("lease not found"), "invalid", "refuses this (400): lease not found"),
        (403, errors("1 error occurred:\n\t* permission denied\n\n"), "denied", "denies this (403)"),
        (404, errors(), "not_found", "has nothing there (404)"),
        (429, errors("request path quota exceeded"), "rate_limited", "has a rate limit that is reached (429): request"),
        (500, errors("failed to find entry for connection"), "error", "failed to answer: failed to find entry"),
        (
            500,
            errors("local node not active but active cluster node not found"),
            "standby",
            "is a standby node without",
        ),
        (501, errors(), "sealed", "is not initialised yet"),
        (502, b"<html>Bad Gateway</html>", "unavailable", "is not available now"),
        (503, errors("Vault is sealed"), "sealed", "is sealed"),
        (503, b"no healthy upstream", "unavailable", "is not available now"),
        (200, b"<html>Log in to the network</html>", "error", "answered with something that is no JSON"),
        (200, b"[1]", "error", "answered with something that is no JSON object"),
        (500, b"[1]", "error", "was not understood"),
    ],
)
def test_answers_are_told_apart(status: int, body: bytes, kind: str, text: str) -> None:
    with answering(status, body, JSON if body.startswith((b"{", b"[")) else "text/html") as address:
        with pytest.raises(VaultError) as caught:
            asked(address)
        assert caught.value.kind == kind
        assert f"Vault at {address} {text}" in str(caught.value)


def test_the_path_of_the_wrong_version_of_kv_is_explained() -> None:
    warning = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints."
    body, said = (
        json.dumps({"data": None, "warnings": [warning]}).encode(),
        "KV version 2, whose paths have data/ after",
    )
    with answering(404, body) as address, pytest.raises(VaultError, match=said):
        asked(address)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (473, None),
        (429, "rate_limited"),
        (472, "standby"),
        (501, "sealed"),
        (503, "sealed"),
        (504, "unavailable"),
    ],
)
def test_health(status: int, kind: str | None) -> None:
    with answering(status, b"{}") as address:
        client = transport(address)
        try:
            client.health()
        except VaultError as error:
            assert error.kind == kind
        else:
            assert kind is None
        finally:
            client.close()


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(VaultError, match=r"cannot be reached: .*[Nn]ame") as caught:
        asked("http://vault.invalid:8200")
    assert caught.value.kind == "unreachable"


def test_a_standby_leads_to_the_active_node(vault_server: VaultServer) -> None:
    path = vault_server.put("secret/data/x", password="p")
    token = config_for(vault_server).auth.token
    assert token is not None
    with answering(307, b"", Location=f"{vault_server.address}/v1/{path}") as address:
        client = transport(address)
        answer = client.call(lambda hvac: hvac.adapter.get(f"/v1/{path}"), token.reveal())
        client.close()
        assert answer["data"]["data"] == {"password": "p"}


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Its certificate is in ca.pem; server.pem is for 127.0.0.1, client.pem for whoever asks."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("server", "client"):
        certificate = authority.issue_cert("127.0.0.1" if name == "server" else "exporter")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    return authority


def test_a_redirect_to_plain_text_is_not_followed(authority: trustme.CA, tmp_path: Path) -> None:
    pem, ca_cert = tmp_path / "server.pem", str(tmp_path / "ca.pem")
    with (
        answering(200, b'{"data": {}}') as plain,
        answering(307, b"", pem=pem, Location=f"{plain}/v1/x") as address,
        pytest.raises(VaultError, match="redirected to an address without TLS"),
    ):
        asked(address, ca_cert=ca_cert)


def test_a_certificate_is_shown_to_a_vault_that_wants_one(authority: trustme.CA, tmp_path: Path) -> None:
    pem, ca_cert, client = (tmp_path / f"{name}.pem" for name in ("server", "ca", "client"))
    with answering(200, b'{"data": {}}', pem=pem, clients=ca_cert) as address:
        with pytest.raises(VaultError) as caught:
            asked(address, ca_cert=str(ca_cert))
        assert caught.value.kind in ("tls", "unreachable")
        assert asked(address, ca_cert=str(ca_cert), client_cert=str(client), client_key=str(client)) == {"data": {}}
