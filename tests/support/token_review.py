"""The one endpoint of Kubernetes that Vault asks: is this service account's token good? Over HTTPS, as there."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class TokenReviews:
    """Which tokens are good, and whose they are: token -> (namespace, service account, uid)."""

    def __init__(self, address: str, ca_cert: str) -> None:
        self.address = address
        self.ca_cert = ca_cert
        self.accounts: dict[str, tuple[str, str, str]] = {}
        self.reviewed: list[str] = []

    def review(self, token: str, audiences: list[str]) -> dict[str, Any]:
        """The status of a TokenReview: a good token is good for every audience that is asked about."""
        self.reviewed.append(token)
        if token not in self.accounts:
            return {"authenticated": False, "error": "invalid bearer token"}
        namespace, name, uid = self.accounts[token]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        user = {"username": f"system:serviceaccount:{namespace}:{name}", "uid": uid, "groups": groups}
        return {"authenticated": True, "user": user, "audiences": audiences}


@contextlib.contextmanager
def token_reviews(authority: trustme.CA, directory: Path) -> Iterator[TokenReviews]:
    """A server, with a certificate of ``authority``."""
    pem = directory / "token-review.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    reviews = TokenReviews(f"https://127.0.0.1:{server.server_port}", authority.cert_pem.bytes().decode())
    server.reviews = reviews  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, name="token-reviews")
    thread.start()
    try:
        yield reviews
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != PATH or not self.headers.get("Authorization", "").startswith("Bearer "):
            self.send_error(404)
            return
        reviews: TokenReviews = self.server.reviews  # type: ignore[attr-defined]
        spec = body["spec"]
        answer = {**body, "status": reviews.review(spec["token"], spec.get("audiences", []))}
        content = json.dumps(answer).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""
