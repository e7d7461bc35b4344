"""Records the demo: ``python -m tools.dashboards.record http://127.0.0.1:9090 --minutes 45``.

Run ``make demo`` for so long first, and ask its API something now and then. What the dashboards ask of Prometheus is
kept, a sample every 30 s, in demo.json.xz beside this file; tests and pictures play it.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

RECORDING: Final = Path(__file__).with_name("demo.json.xz")
STEP: Final = 30
SERIES: Final = '{__name__=~"scheduling_.+|process_.+|up|scrape_duration_seconds"}'
ALERTS: Final = 'ALERTS{alertstate="firing"}'
LEFT_OUT: Final = ("scheduling_api_request_size_bytes_bucket", "scheduling_api_response_size_bytes_bucket")
INSTANCE: Final = "demo"


def asked(prometheus: str, query: str, start: float, end: float) -> list[dict[str, Any]]:
    """The series of a range query."""
    parameters = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": STEP})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{parameters}", timeout=60) as answer:
        return list(json.load(answer)["data"]["result"])


def kept(result: list[dict[str, Any]], start: float) -> list[dict[str, Any]]:
    """Labels, and values by their place in time; ports of the machine it ran on do not matter."""
    found = []
    for series in result:
        labels = dict(sorted(series["metric"].items()))
        if labels["__name__"] in LEFT_OUT:
            continue
        labels |= {"instance": INSTANCE} if "instance" in labels else {}
        labels |= {"port": "5432"} if "port" in labels else {}
        values = [[round((float(at) - start) / STEP), float(f"{float(value):.10g}")] for at, value in series["values"]]
        found.append({"labels": labels, "first": values[0][0], "values": packed(values)})
    return found


def packed(values: list[list[float]]) -> list[float | None]:
    """One value for each step from the first on; none where there was none."""
    by_place = {int(place): value for place, value in values}
    return [by_place.get(place) for place in range(int(values[0][0]), int(values[-1][0]) + 1)]


def main() -> None:
    """Ask, and write the file."""
    parser = argparse.ArgumentParser(description="Record the demo for tests and pictures of the dashboards.")
    parser.add_argument("prometheus", help="address of the demo's Prometheus")
    parser.add_argument("--minutes", type=int, default=45)
    given = parser.parse_args()
    end = time.time() // STEP * STEP
    start = end - given.minutes * 60
    series = [found for query in (SERIES, ALERTS) for found in kept(asked(given.prometheus, query, start, end), start)]
    recording = {"start": start, "steps": given.minutes * 60 // STEP + 1, "series": series}
    RECORDING.write_bytes(lzma.compress(json.dumps(recording, separators=(",", ":")).encode(), preset=9))
    sys.stdout.write(f"{len(series)} series, {RECORDING.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
