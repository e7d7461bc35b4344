"""JSON Web Tokens as an identity provider signs them."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Signer:
    """A key, and tokens signed with it (RS256)."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_key(self) -> str:
        """PEM."""
        pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode()

    def token(self, seconds: float = 600, **claims: Any) -> str:
        """A token with these claims, valid for ``seconds``."""
        now = int(time.time())
        body = {"iat": now, "nbf": now - 5, "exp": now + int(seconds), **claims}
        head = {"alg": "RS256", "typ": "JWT"}
        text = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(body).encode())}"
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encoded(signature)}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
