"""A Prometheus with the demo's history up to now: the recording, played again and again, and what is beside it."""

from __future__ import annotations

import contextlib
import json
import lzma
import math
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exporter.demo.ports import free_port
from tools.dashboards.beside import Series, sidecar, told, worker
from tools.dashboards.record import INSTANCE, RECORDING, STEP

COUNTER: Final = re.compile(r"_(total|bucket|count|sum)$")
MOMENT: Final = re.compile(r"_timestamp_seconds$|^process_start_time_seconds$")
RESTARTS: Final = 9
"""The process starts anew in every so many rounds."""
TARGET: Final = {"job": "scheduler-exporter", "instance": INSTANCE}


@dataclass(frozen=True)
class Span:
    """What to play: ``hours`` up to ``now``, a sample every ``step`` seconds (a multiple of the recording's)."""

    now: float
    hours: float
    step: int


def line(labels: dict[str, str], value: float, at: float) -> str:
    """A sample in OpenMetrics."""
    quoted = (
        (key, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for key, value in labels.items()
    )
    pairs = ",".join(f'{key}="{text}"' for key, text in quoted if key != "__name__")
    return f"{labels['__name__']}{{{pairs}}} {value:.10g} {at:.0f}\n"


def played(recording: dict[str, Any], span: Span) -> Iterator[str]:
    """The recording in rounds: counters go on from round to round, times of day move along."""
    length = recording["steps"] * STEP
    rounds = math.ceil(span.hours * 3600 / length)
    every = span.step // STEP
    for series in recording["series"]:
        labels, values = series["labels"], series["values"]
        known = [value for value in values if value is not None]
        growth = known[-1] - known[0] if COUNTER.search(labels["__name__"]) else 0.0
        for turn in range(rounds):
            begin = span.now - (rounds - turn) * length
            moved = begin - recording["start"] if MOMENT.search(labels["__name__"]) else 0.0
            if labels["__name__"] == "process_start_time_seconds":
                moved -= (turn % RESTARTS) * length
            for place, value in enumerate(values, start=series["first"]):
                if value is not None and place % every == 0:
                    yield line(labels, value + growth * turn + moved, begin + place * STEP)


def invented(series: Iterator[Series], span: Span, recorded: set[str]) -> Iterator[str]:
    """What is beside the demo, but what the recording has; counters add up their rate."""
    start = span.now - span.hours * 3600
    for name, labels, kind, wave in series:
        own, summed = {"__name__": name, **TARGET, **labels}, 0.0
        if line(dict(sorted(own.items())), 0, 0) in recorded:
            continue
        for number in range(int(span.hours * 3600 / span.step)):
            at = start + number * span.step
            summed += wave(at) * span.step
            yield line(own, summed if kind == "counter" else wave(at), at)


def write(file: Path, span: Span, *, beside: bool) -> None:
    """The history as one OpenMetrics file."""
    recording = json.loads(lzma.decompress(RECORDING.read_bytes()))
    with file.open("w", encoding="utf-8") as out:
        out.writelines(played(recording, span))
        if beside:
            recorded = {line(dict(sorted(series["labels"].items())), 0, 0) for series in recording["series"]}
            for series in (sidecar(span.now), worker(), told()):
                out.writelines(invented(series, span, recorded))
        out.write("# EOF\n")


@contextlib.contextmanager
def prometheus(directory: Path, *, hours: float, step: int, beside: bool = True, lead: float = 0) -> Iterator[str]:
    """A running Prometheus with that history; its address. It evaluates no rules and scrapes nothing.

    ``lead``: seconds by which the history goes on beyond now, so that it still has something new while it is looked at.
    """
    text, data, port = directory / "history.om", directory / "data", free_port()
    write(text, Span((time.time() + lead) // STEP * STEP, hours, step), beside=beside)
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"promtool: {made.stderr[-1000:]}")
    text.unlink()
    config = directory / "prometheus.yml"
    config.write_text("global: {}\n")
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=365d",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    address = f"http://127.0.0.1:{port}"
    with (directory / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            ready(address, process)
            yield address
        finally:
            process.terminate()


def ready(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until it takes queries."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/-/ready", timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError("Prometheus did not become ready; see prometheus.log beside its data")
