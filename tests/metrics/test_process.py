"""What is sampled of the process, its limits, and what the configuration turns into."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from exporter.config.model import (
    Alerting,
    Config,
    Dsn,
    PostgresStore,
    Slo,
    ThresholdOverride,
    Thresholds,
)
from exporter.domain import Histogram as Buckets
from exporter.instruments import ApiInstruments, QueryInstruments
from exporter.metrics import process
from exporter.metrics.cgroup import memory_limit
from exporter.metrics.clientlib import from_client
from exporter.metrics.family import Family
from exporter.metrics.private import PrivateMemory
from exporter.metrics.process import objectives, sample, thresholds

GIB = 2**30


def config(*stores: str, overrides: tuple[ThresholdOverride, ...] = ()) -> Config:
    return Config(
        stores=tuple(PostgresStore(name=name, dsn=Dsn("")) for name in stores),
        alerting=Alerting(thresholds=Thresholds(failure_ratio=0.1), overrides=overrides),
        slo=(Slo(store="a", objective=0.99), Slo(store="a", objective=0.9, task_type="t")),
    )


def test_every_store_has_every_threshold() -> None:
    found = thresholds(config("a", "b"))
    assert len(found) == 2 * len(Thresholds.__struct_fields__)
    assert ("failure_ratio", "a", "", 0.1) in found
    assert ("memory_ratio", "b", "", 0.85) in found


def test_overrides_win_for_their_store_and_task_type() -> None:
    overrides = (
        ThresholdOverride(store="a", failure_ratio=0.2),
        ThresholdOverride(store="a", task_type="t", failure_ratio=0.3, duration_seconds=60),
    )
    found = {t[:3]: t[3] for t in thresholds(config("a", "b", overrides=overrides))}
    assert found["failure_ratio", "a", ""] == 0.2
    assert found["failure_ratio", "b", ""] == 0.1
    assert found["failure_ratio", "a", "t"] == 0.3
    assert found["duration_seconds", "a", "t"] == 60
    assert ("memory_ratio", "a", "t") not in found


def test_without_a_store_the_thresholds_have_none() -> None:
    assert ("failure_ratio", "", "", 0.1) in thresholds(config())


def test_objectives_come_from_the_configuration() -> None:
    assert objectives(config("a")) == (("a", "", 0.99), ("a", "t", 0.9))


def test_a_sample_describes_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULER_EXPORTER_REVISION", "abc123")
    monkeypatch.setattr(process, "_PRIVATE", PrivateMemory())  # not that of a moment when more was used
    found = sample(thresholds=(), objectives=())
    assert found.revision == "abc123"
    assert 10 * 2**20 < found.rss < found.memory_limit <= psutil.virtual_memory().total
    assert found.private_memory is not None and 10 * 2**20 < found.private_memory <= found.rss
    assert 0 < found.memory_usage < 1
    assert found.cpu_cores == os.cpu_count()
    names = {family.name for family, _ in found.client}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_info"} <= names


def test_private_memory_is_what_the_kernel_says_of_this_process() -> None:
    found = PrivateMemory(every=0).bytes()
    assert found is not None
    assert abs(found - psutil.Process().memory_full_info().uss) < 8 * 2**20


def test_private_memory_is_looked_up_now_and_then_only(tmp_path: Path) -> None:
    file = tmp_path / "smaps_rollup"
    memory = PrivateMemory(file, every=60)
    file.write_text("Rss:  900 kB\nPrivate_Clean:  10 kB\nPrivate_Dirty:  30 kB\nPrivate_Hugetlb:  7 kB\n")
    assert memory.bytes() == 40 * 1024
    file.write_text("Private_Dirty:  99 kB\n")
    assert memory.bytes() == 40 * 1024
    memory.every = 0
    assert memory.bytes() == 99 * 1024


def test_private_memory_is_unknown_where_the_system_does_not_tell_it(tmp_path: Path) -> None:
    assert PrivateMemory(tmp_path / "none").bytes() is None
    (tmp_path / "empty").write_text("")
    assert PrivateMemory(tmp_path / "empty").bytes() is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"}, GIB),
        (
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/memory.max": f"{GIB}\n",
                "sys/fs/cgroup/pod/box/memory.max": "max\n",
            },
            GIB,
        ),
        (
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/pod/box/memory.max": f"{2 * GIB}\n",
            },
            2 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "12:cpu,cpuacct:/x\n9:memory:/docker/1\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",  # the path is the host's, unseen inside
            },
            GIB,
        ),
        (
            {
                "proc/self/cgroup": "9:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            None,
        ),
    ],
)
def test_the_memory_limit_is_the_control_groups(tmp_path: Path, texts: dict[str, str], expected: int | None) -> None:
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert memory_limit(tmp_path, 8 * GIB) == expected


def test_a_registry_of_the_library_becomes_families() -> None:
    registry = CollectorRegistry()
    Gauge("g", "Gauge.", registry=registry).set(3)
    counter = Counter("c", "Counter.", ["b", "a"], registry=registry)
    counter.labels("1", "2").inc(5)
    Counter("unused", "Unused.", ["a"], registry=registry)
    histogram = Histogram("h", "Histogram.", ["a"], buckets=(1, 2), registry=registry)
    for value in (0.5, 1.5, 1.5, 7):
        histogram.labels("x").observe(value)
    histogram.labels("y").observe(7)
    assert list(from_client(registry)) == [
        (Family("g", "gauge", "Gauge."), [((), 3.0)]),
        (Family("c_total", "counter", "Counter.", ("b", "a")), [(("1", "2"), 5.0)]),
        (
            Family("h", "histogram", "Histogram.", ("a",), (1.0, 2.0)),
            [(("x",), Buckets((1, 2, 1), 10.5)), (("y",), Buckets((0, 0, 1), 7.0))],
        ),
    ]


def test_requests_are_counted_by_route() -> None:
    instruments = ApiInstruments()
    for method in ("GET", "GET", "BREW"):
        instruments.observe(
            method=method, endpoint="/jobs/{id}", status=200, seconds=0.3, request_bytes=0, response_bytes=2000
        )
    found = {family.name: samples for family, samples in from_client(instruments.registry)}
    assert found["scheduling_api_requests_total"] == [
        (("GET", "/jobs/{id}", "200"), 2.0),
        (("other", "/jobs/{id}", "200"), 1.0),
    ]
    assert set(found) == {
        "scheduling_api_requests_total",
        "scheduling_api_request_duration_seconds",
        "scheduling_api_request_size_bytes",
        "scheduling_api_response_size_bytes",
    }


def test_queries_are_counted_by_name_and_store() -> None:
    instruments = QueryInstruments()
    instruments.observe(query="jobs", seconds=0.25, store="main")
    instruments.observe(query="facts", seconds=0.5)
    found = {family.name: samples for family, samples in from_client(instruments.registry)}
    assert [labels for labels, _ in found["scheduling_db_query_duration_seconds"]] == [("jobs",), ("facts",)]
    assert found["scheduling_exporter_db_seconds_total"] == [(("main", "jobs"), 0.25)]


async def test_tasks_are_those_of_the_loop_that_runs() -> None:
    before = sample(thresholds=(), objectives=()).loop_tasks
    waiting = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    assert before is not None and sample(thresholds=(), objectives=()).loop_tasks == before + 3
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert sample(thresholds=(), objectives=()).loop_tasks == before


def test_tasks_are_unknown_without_a_loop() -> None:
    assert sample(thresholds=(), objectives=()).loop_tasks is None
