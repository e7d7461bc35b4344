"""What the layers below ``metrics`` measure about themselves as they work: requests answered, queries run.

Belongs here: instruments, on private registries that ``metrics`` shows. Does not: what a collector learns of
a source (``snapshot``), how a metric is shown (``metrics``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

_API_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5, 10)
_QUERY_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BYTES: Final = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
#: What may become of a remediation.
REMEDIES: Final = ("success", "failed", "unknown", "held_back")
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class ApiInstruments:
    """Counts the requests that the HTTP server answered; for the log: ``answered``, ``failed`` (5xx), ``seconds``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answered = self.failed = 0
        self.seconds = 0.0
        where = ("method", "endpoint")
        self._requests = Counter(
            "scheduling_api_requests",
            "Requests that the exporter answered, by method, route and status.",
            (*where, "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "scheduling_api_request_duration_seconds",
            "From a request's first byte read to its response's last byte written.",
            where,
            buckets=_API_SECONDS,
            registry=self.registry,
        )
        self._request_bytes = Histogram(
            "scheduling_api_request_size_bytes",
            "Size of the request's body.",
            where,
            buckets=_BYTES,
            registry=self.registry,
        )
        self._response_bytes = Histogram(
            "scheduling_api_response_size_bytes",
            "Size of the response's body as sent.",
            where,
            buckets=_BYTES,
            registry=self.registry,
        )

    def observe(
        self,
        *,
        method: str,
        endpoint: str,
        status: int,
        seconds: float,
        request_bytes: int,
        response_bytes: int,
    ) -> None:
        """Count one answered request. ``endpoint`` is the route's template, never a raw path.

        A method that HTTP does not know becomes "other": a client must not be able to make series.
        """
        method = method if method in _METHODS else "other"
        self.answered += 1
        self.failed += status >= 500
        self.seconds += seconds
        self._requests.labels(method, endpoint, str(status)).inc()
        self._seconds.labels(method, endpoint).observe(seconds)
        self._request_bytes.labels(method, endpoint).observe(request_bytes)
        self._response_bytes.labels(method, endpoint).observe(response_bytes)


class QueryInstruments:
    """Counts the statements run on stores, and their time as the client measured it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._duration = Histogram(
            "scheduling_db_query_duration_seconds",
            "The exporter's own queries on stores by name, as the client measured them.",
            ("query",),
            buckets=_QUERY_SECONDS,
            registry=self.registry,
        )
        self._seconds = Counter(
            "scheduling_exporter_db_seconds",
            "Time of the exporter's own queries on a store by name, as the client measured it.",
            ("store", "query"),
            registry=self.registry,
        )
        self._asked: dict[str, set[str]] = {}

    def observe(self, *, query: str, seconds: float, store: str | None = None) -> None:
        """Count one statement, failed or not. ``query`` is its name, ``store`` its store's if any."""
        self._duration.labels(query).observe(seconds)
        if store is not None:
            self._seconds.labels(store, query).inc(seconds)
            self._asked.setdefault(store, set()).add(query)

    def forget(self, store: str) -> None:
        """Withdraw the series of a store that left the configuration."""
        for query in self._asked.pop(store, ()):
            self._seconds.remove(store, query)


class RequestInstruments:
    """Counts the requests made of stores' own APIs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "scheduling_store_requests",
            "Requests made of a store's own HTTP API, by path and by what became of them.",
            ("store", "endpoint", "result"),
            registry=self.registry,
        )
        self._asked: dict[str, set[tuple[str, str]]] = {}

    def observe(self, *, store: str, endpoint: str, result: str) -> None:
        """Count one request. ``endpoint`` is the path's template, never a path with ids."""
        self._asked.setdefault(store, set()).add((endpoint, result))
        self._requests.labels(store, endpoint, result).inc()

    def forget(self, store: str) -> None:
        """Withdraw the series of a store that left the configuration."""
        for endpoint, result in self._asked.pop(store, ()):
            self._requests.remove(store, endpoint, result)


class RemediationInstruments:
    """Counts what was done by itself when alerts fired."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._done = Counter(
            "scheduling_exporter_remediations",
            "Remediations by rule and result: success, failed, unknown, or held_back by a limit.",
            ("rule", "result"),
            registry=self.registry,
        )

    def know(self, rules: Iterable[str]) -> None:
        """Show these rules, at 0 while nothing was done."""
        for rule in rules:
            for result in REMEDIES:
                self._done.labels(rule, result)

    def count(self, rule: str, result: str) -> None:
        """Count one."""
        self._done.labels(rule, result).inc()
