"""Requests to Vault through hvac: blocking, each within a deadline, their failures told apart.

Imported when a configuration has Vault, and not before: hvac and requests cost 3 MB. Belongs here: HTTP, TLS, reading
errors. Does not: tokens, retries, threads (``session``).
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from exporter import tracing
from exporter.config.model import Vault
from exporter.imports import without
from exporter.vault.failure import Kind, VaultError

# requests guesses the encoding of an answer that names none with either of these, 1.6 MB; Vault's is JSON in UTF-8.
with without("chardet", "charset_normalizer"):
    import hvac
    import hvac.exceptions
    import requests
    import requests.adapters
    from requests import exceptions as http
    from urllib3.connection import HTTPConnection

#: Bytes of an answer. Vault takes requests of up to 32 MB; no secret that is a password is near this.
LARGEST: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024
_DETAIL: Final = 200

#: An answer's JSON.
Answer = dict[str, Any]
#: A call of hvac's client.
Call = Callable[[Any], Any]


class _Session(requests.Session):
    """Bounds the whole answer in time and size; requests bounds only each wait for its next bytes."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.max_redirects = 3  # a standby node's one is what there is
        self.auth = lambda request: request  # or ~/.netrc would be looked into

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As ``requests.Session.send``; the content has been read on return."""
        request.headers.update(tracing.carried())
        deadline = time.monotonic() + 2 * self._seconds  # connecting and answering have a timeout each
        response = super().send(request, **{**kwargs, "stream": True})
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > LARGEST:
                response.close()
                raise http.ContentDecodingError(f"the answer is larger than {LARGEST} bytes")
            if time.monotonic() > deadline:
                response.close()
                raise http.ReadTimeout
        response._content = bytes(content)
        return response

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where to go on; never from TLS to plain text, for the token goes there too."""
        target = super().get_redirect_target(resp)
        if target is not None and target.startswith("http:") and str(resp.url).startswith("https:"):
            raise http.InvalidURL("redirected to an address without TLS")
        return target


class _Connections(requests.adapters.HTTPAdapter):
    """Connections that are kept open, and asked by the system whether they still lead anywhere.

    Firewalls forget an idle connection without a word; the next request on it would wait for its timeout.
    """

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool: Any) -> None:
        """As the adapter does, with TCP's keep-alive."""
        options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                options.append((socket.IPPROTO_TCP, getattr(socket, name), seconds))
        super().init_poolmanager(connections, maxsize, block, socket_options=options, **pool)


class Transport:
    """One Vault's address, and how it is spoken to. Used by several threads at once."""

    def __init__(self, config: Vault) -> None:
        self._config = config
        self._session = _Session(config.timeout)
        adapter = _Connections(pool_connections=1, pool_maxsize=config.max_concurrent_requests)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        paths = ssl.get_default_verify_paths()
        # hvac takes both from the session, whatever its client is given. The environment may name proxies.
        self._session.verify = config.ca_cert or paths.cafile or paths.capath or True
        if config.client_cert is not None and config.client_key is not None:
            self._session.cert = (config.client_cert, config.client_key)

    def call(self, call: Call, token: str = "", *, seconds: float | None = None) -> Answer:
        """What ``call`` is answered, {} where there is no content. Raises VaultError."""
        return self._try(lambda: call(self._client(token, self._config.namespace, seconds)))

    def health(self) -> None:
        """Return if Vault is there, unsealed, and serves or passes on requests. Raises VaultError."""
        # Without the namespace: there the question is not answered.
        response = self._try(
            lambda: {"response": self._client("", None, None).sys.read_health_status(method="GET", standby_ok=True)}
        )["response"]
        if isinstance(response, dict) or response.status_code == 473:  # 473: a performance standby answers reads
            return
        raise self._error(*_health(response.status_code))

    def close(self) -> None:
        """Close the connections that are kept."""
        self._session.close()

    def _client(self, token: str, namespace: str | None, seconds: float | None) -> Any:
        return hvac.Client(
            url=self._config.address,
            token=token,
            timeout=seconds or float(self._config.timeout),
            namespace=namespace,
            session=self._session,
        )

    def _try(self, call: Callable[[], Any]) -> Answer:
        try:
            answer = call()
        except hvac.exceptions.VaultError as error:
            raise self._error(*_refusal(error)) from None  # its text and fields hold what was answered
        except (OSError, ValueError, TypeError, AttributeError) as error:  # requests' own are OSErrors
            raise self._error(*_fault(error)) from None
        if isinstance(answer, requests.Response):
            if answer.status_code == HTTPStatus.OK:
                raise self._error("error", "answered with something that is no JSON")
            return {}
        if not isinstance(answer, dict):
            raise self._error("error", "answered with something that is no JSON object")
        return answer

    def _error(self, kind: Kind, text: str) -> VaultError:
        return VaultError(kind, f"Vault at {self._config.address} {text}")


_STATUS: Final[dict[type, Kind]] = {
    hvac.exceptions.InvalidRequest: "invalid",
    hvac.exceptions.Unauthorized: "denied",
    hvac.exceptions.Forbidden: "denied",
    hvac.exceptions.InvalidPath: "not_found",
    hvac.exceptions.RateLimitExceeded: "rate_limited",
    hvac.exceptions.VaultNotInitialized: "sealed",
    hvac.exceptions.BadGateway: "unavailable",
    hvac.exceptions.VaultDown: "unavailable",
}
_TEXTS: Final[dict[Kind, str]] = {
    "denied": "denies this (403)",
    "not_found": "has nothing there (404)",
    "invalid": "refuses this (400)",
    "rate_limited": "has a rate limit that is reached (429)",
    "unavailable": "is not available now",
    "sealed": "is sealed",
    "standby": "is a standby node without an active one",
    "error": "failed to answer",
}


def _refusal(error: hvac.exceptions.VaultError) -> tuple[Kind, str]:
    """The kind and the text of an answer that is none."""
    errors = [part for text in error.errors or () if isinstance(text, str) for part in _parts(text)]
    detail = _one_line("; ".join(errors)) or _hint(error.json)
    kind = _STATUS.get(type(error), "error")
    lower = f"{detail} {error.args[0] or ''}".lower()
    if kind == "unavailable" and "sealed" in lower:
        kind = "sealed"
    elif "active cluster node not found" in lower:
        kind = "standby"
    if isinstance(error, hvac.exceptions.VaultNotInitialized):
        return kind, "is not initialised yet"
    said = "" if kind in ("sealed", "standby") or not detail else f": {detail}"
    return kind, _TEXTS[kind] + said


def _parts(text: str) -> list[str]:
    """Vault's own words, which come as "1 error occurred: * ..." at times, without what the kind says already."""
    found = re.split(r"(?:^|\s)\* ", re.sub(r"\d+ errors? occurred:", "", text))
    return [part.strip() for part in found if part.strip() and part.strip() != "permission denied"]


def _hint(answer: Any) -> str:
    """What Vault warns of: for one, that the path is not how the engine's version has it."""
    warnings = answer.get("warnings") if isinstance(answer, dict) else None
    text = " ".join(w for w in warnings if isinstance(w, str)) if isinstance(warnings, list) else ""
    if "versioned" in text:
        return "the engine is KV version 2, whose paths have data/ after the mount, as in secret/data/reports"
    return _one_line(text)


def _fault(error: Exception) -> tuple[Kind, str]:
    """The kind and the text of no answer at all. requests' own texts hold URLs and addresses of objects."""
    if isinstance(error, http.Timeout):
        return "timeout", "did not answer in time"
    if isinstance(error, http.SSLError):
        return "tls", f"cannot be trusted: {_reason(error, ssl.SSLError)}"
    if isinstance(error, http.ConnectionError | http.ChunkedEncodingError):
        return "unreachable", f"cannot be reached: {_reason(error, OSError)}"
    if isinstance(error, http.RequestException):
        return "error", f"was not understood: {_one_line(str(error))}"
    if isinstance(error, OSError):  # a file of TLS that cannot be read
        return "tls", f"cannot be asked: {error.strerror or _one_line(str(error))}: {error.filename or 'TLS files'}"
    return "error", f"was not understood: {type(error).__name__}"


def _reason(error: BaseException, wanted: type[OSError]) -> str:
    """The system's or OpenSSL's own words, from as deep as they are."""
    seen: set[int] = set()
    queue: list[Any] = [error]
    while queue:
        each = queue.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, wanted) and not isinstance(each, http.RequestException):
            verify = getattr(each, "verify_message", None)
            return str(verify or each.strerror or _one_line(str(each)) or type(each).__name__)
        queue += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
    if "NameResolution" in repr(error):
        return "its name cannot be resolved"
    return "the connection was closed" if "aborted" in str(error).lower() else type(error).__name__


def _health(status: int) -> tuple[Kind, str]:
    match status:
        case 501:
            return "sealed", "is not initialised yet"
        case 503:
            return "sealed", "is sealed"
        case 472:
            return "standby", "is a disaster recovery secondary, which answers no requests"
        case 429:
            return "rate_limited", _TEXTS["rate_limited"]
        case _:
            return "unavailable", f"is not available now (status {status})"


def _one_line(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= _DETAIL else text[:_DETAIL] + "..."
