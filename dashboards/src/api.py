"""API performance: requests, latency, errors; by endpoint and method. The exporter's own, or any service's alike."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, heatmap, increase, quantile, rate, share, threshold, total

REQUESTS = "scheduling_api_requests_total"
DURATION = "scheduling_api_request_duration_seconds"
ERRORS = 'status=~"5.."'
PROBES = 'endpoint!~"/-/.*|/health.*|/api/system/health|/api/v1/system/health"'
EXPORTS = 'endpoint!="/api/scheduler-monitoring/export"'
CLASSES = (("2xx", p.GOOD), ("3xx", p.CALM), ("4xx", p.WARN), ("5xx", p.BAD))


def traffic() -> list[Any]:
    """How many, how fast, how many fail."""
    classes = f'label_replace({rate(REQUESTS)}, "class", "$1", "status", "(.).*")'
    failed = share(total(increase(REQUESTS, ERRORS, PROBES, over="5m")), total(increase(REQUESTS, PROBES, over="5m")))
    percentiles = [
        Query(quantile(q, DURATION, matchers=(EXPORTS,)), name, exemplars=q == 0.99)
        for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]
    return [
        p.number(
            "Requests",
            "Requests answered in a second.",
            "reqps",
            Query(total(rate(REQUESTS)), "requests"),
            decimals=2,
            size=(6, 4),
        ),
        p.number(
            "Failed",
            "Share of the requests of 5 minutes that were answered with 500 or more; health checks apart, "
            "whose 503 says what they found. Red at 10%, the default of api_error_ratio.",
            "percentunit",
            Query(f"({failed}) or 0 * ({total(increase(REQUESTS, over='5m'))})", "failed"),
            steps=((None, p.GOOD), (0.02, p.WARN), (0.1, p.BAD)),
            decimals=1,
            size=(6, 4),
            runbooks=["SchedulingApiErrorRatioHigh"],
        ),
        p.number(
            "95th percentile",
            "One request in twenty takes longer.",
            "s",
            Query(quantile(0.95, DURATION, matchers=(EXPORTS,)), "p95"),
            size=(6, 4),
            steps=((None, p.GOOD), (1, p.WARN), (5, p.BAD)),
            runbooks=["SchedulingApiLatencyHigh"],
        ),
        p.number(
            "99th percentile",
            "One request in a hundred takes longer.",
            "s",
            Query(quantile(0.99, DURATION, matchers=(EXPORTS,)), "p99"),
            size=(6, 4),
            steps=((None, p.GOOD), (1, p.WARN), (5, p.BAD)),
        ),
        p.graph(
            "Requests by status",
            "Requests answered in a second, by class of status.",
            "reqps",
            Query(total(classes, "class"), "{{class}}xx"),
            stack=True,
            colours=dict(CLASSES),
        ),
        p.graph(
            "Latency percentiles",
            "p50, p95 and p99 of the time to answer, exports apart, and the threshold "
            "api_p95_seconds. The scale is logarithmic.",
            "s",
            *percentiles,
            threshold("api_p95_seconds"),
            logarithmic=True,
            colours={"p50": p.GOOD, "p95": p.WARN, "p99": "purple"},
            runbooks=["SchedulingApiLatencyHigh"],
        ),
        p.graph(
            "Error ratio",
            "Share of the requests of 5 minutes that were answered with 500 or more, health checks apart, "
            "and the threshold api_error_ratio.",
            "percentunit",
            Query(f"({failed}) or 0 * ({total(increase(REQUESTS, over='5m'))})", "errors"),
            threshold("api_error_ratio"),
            runbooks=["SchedulingApiErrorRatioHigh"],
        ),
        p.spread("Latency", "How many requests took how long.", "s", heatmap(DURATION)),
    ]


def endpoints() -> list[Any]:
    """Which endpoint, which method."""
    failing = total(rate(REQUESTS, 'status=~"[45].."'), "endpoint", "status")
    return [
        p.graph(
            "Errors by endpoint",
            "Answers of 400 or more in a second, by endpoint and status.",
            "reqps",
            Query(failing, "{{endpoint}} {{status}}"),
            legend="right",
        ),
        p.graph(
            "Requests by endpoint",
            "Requests in a second, the ten endpoints that are asked most.",
            "reqps",
            Query(f"topk(10, {total(rate(REQUESTS), 'endpoint')})", "{{endpoint}}"),
            legend="right",
        ),
        p.graph(
            "Throughput by method",
            "Requests in a second by HTTP method.",
            "reqps",
            Query(total(rate(REQUESTS), "method"), "{{method}}"),
            stack=True,
        ),
        p.graph(
            "Bytes by direction",
            "Bytes of bodies that are received and sent in a second.",
            "Bps",
            Query(total(rate("scheduling_api_request_size_bytes_sum")), "received"),
            Query(total(rate("scheduling_api_response_size_bytes_sum")), "sent"),
        ),
        p.listing(
            "Endpoints",
            "Of each endpoint within the last hour: requests, share of answers of 500 or more, mean time, mean size.",
            [
                p.Column("method", "Method", width=110),
                p.Column("endpoint", "Endpoint"),
                p.Column("Value #A", "Requests", unit="locale", decimals=0, width=145),
                p.Column(
                    "Value #B",
                    "500 or more",
                    unit="percentunit",
                    decimals=1,
                    width=160,
                    steps=((None, p.GOOD), (0.02, p.WARN), (0.1, p.BAD)),
                ),
                p.Column("Value #C", "Mean time", unit="s", width=130),
                p.Column("Value #D", "Mean answer", unit="bytes", width=150),
            ],
            *table_queries(),
            sort="Requests",
            size=(24, 10),
        ),
    ]


def table_queries() -> list[Query]:
    """Requests, errors, time and size of each endpoint."""
    by = ("method", "endpoint")
    asked = total(increase(REQUESTS, over="1h"), *by)
    size, time = "scheduling_api_response_size_bytes", DURATION
    return [
        Query(f"{asked} > 0").table("A"),
        Query(share(f"({total(increase(REQUESTS, ERRORS, over='1h'), *by)} or 0 * {asked})", asked)).table("B"),
        Query(
            share(total(increase(time + "_sum", over="1h"), *by), total(increase(time + "_count", over="1h"), *by))
        ).table("C"),
        Query(
            share(total(increase(size + "_sum", over="1h"), *by), total(increase(size + "_count", over="1h"), *by))
        ).table("D"),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="api",
        title="Scheduler API performance",
        description=(
            "Requests, latency and errors of the exporter's API. Choose a store for a scheduling worker's (its pack's)."
        ),
        rows=[("Traffic", traffic()), ("Endpoints", endpoints())],
        source=REQUESTS,
    )
