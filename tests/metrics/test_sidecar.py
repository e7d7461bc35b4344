"""The sidecar's own series: collection, stores, configuration, state."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from exporter.metrics import api, collectors, process, sidecar, store
from exporter.metrics.family import Families, View
from exporter.metrics.process import ProcessState, sample
from exporter.snapshot import Hub, Part


def part(name: str, source: str, value: Any = True, **changes: Any) -> Part:
    made = Part(
        collector=name,
        source=source,
        value=value,
        success=True,
        collected_at=100.0,
        collected_mono=100.0,
        duration=0.5,
        interval=15.0,
        staleness=300.0,
    )
    return replace(made, **changes)


def read(families: Families) -> dict[tuple[str, ...], Any]:
    """Values by (name without prefix, label values...)."""
    return {(f.name.removeprefix("scheduling_"), *labels): v for f, samples in families for labels, v in samples}


def view(*parts: Part, source: str = "", stale: bool = False) -> View:
    names = frozenset(p.collector for p in parts) if stale else frozenset()
    return View(source, {p.collector: p for p in parts}, names)


def state(**changes: Any) -> ProcessState:
    return replace(sample(thresholds=(), objectives=()), **changes)


def test_a_store_is_up_when_it_answered_lately() -> None:
    def up(view: View) -> float:
        return read(store.collect(view))["store_up", "main"]

    assert up(view(part("store", "main"), source="main")) == 1
    assert up(view(source="main")) == 0, "not asked yet"
    assert up(view(part("store", "main", value=False), source="main")) == 0
    assert up(view(part("store", "main", success=False), source="main")) == 0, "the latest attempt failed"
    assert up(view(part("store", "main"), source="main", stale=True)) == 0


def test_every_collector_is_shown_by_source() -> None:
    hub = Hub()
    hub.publish(
        part("jobs", "a", duration=1.5, interval=60.0),
        part("jobs", "b", None, success=False, collected_at=None),
        part("process", ""),
    )
    found = read(collectors.collect_snapshot(hub.current))
    assert found == {
        ("exporter_collector_success", "jobs", "a"): 1.0,
        ("exporter_collector_success", "jobs", "b"): 0.0,
        ("exporter_collector_duration_seconds", "jobs", "a"): 1.5,
        ("exporter_collector_duration_seconds", "jobs", "b"): 0.5,
        ("exporter_collector_last_success_timestamp_seconds", "jobs", "a"): 100.0,
        ("exporter_collector_interval_seconds", "jobs", "a"): 60.0,
        ("exporter_collector_interval_seconds", "jobs", "b"): 15.0,
    }


def test_the_targets_checks_are_one_source() -> None:
    hub = Hub()
    hub.publish(
        part("connections", "x", duration=0.1, collected_at=50.0),
        part("connections", "y", duration=2.0, interval=60.0, success=False),
        part("connections", "z", None, collected_at=None),
    )
    assert read(collectors.collect_snapshot(hub.current)) == {
        ("exporter_collector_success", "connections", "targets"): 0.0,
        ("exporter_collector_duration_seconds", "connections", "targets"): 2.0,
        ("exporter_collector_last_success_timestamp_seconds", "connections", "targets"): 50.0,
        ("exporter_collector_interval_seconds", "connections", "targets"): 60.0,
    }


def test_the_sidecar_shows_its_state() -> None:
    value = state(
        revision="abc",
        memory_limit=512,
        private_memory=64,
        loop_lag=0.25,
        loop_tasks=31,
        state_up=False,
        state_bytes=7,
        state_writes=(5, 2),
        reload_successful=False,
        reload_success_at=99.0,
        thresholds=(("failure_ratio", "main", "", 0.05),),
        objectives=(("main", "", 0.99),),
    )
    found = read(sidecar.collect(view(part("process", "", value))))
    (build,) = [key for key in found if key[0] == "exporter_build_info"]
    assert build[2] == "abc"
    del found[build]
    assert found == {
        ("exporter_memory_limit_bytes",): 512,
        ("exporter_memory_private_bytes",): 64,
        ("exporter_event_loop_lag_seconds",): 0.25,
        ("exporter_event_loop_tasks",): 31,
        ("exporter_state_up",): 0,
        ("exporter_state_bytes",): 7,
        ("exporter_state_writes_total", "success"): 5,
        ("exporter_state_writes_total", "failure"): 2,
        ("exporter_config_last_reload_successful",): 0,
        ("exporter_config_last_reload_success_timestamp_seconds",): 99.0,
        ("alert_threshold", "failure_ratio", "main", ""): 0.05,
        ("slo_objective_ratio", "main", ""): 0.99,
    }


def test_unknown_is_absent() -> None:
    unknown = ("loop_lag", "loop_tasks", "private_memory", "state_bytes", "reload_success_at", "load", "cpu_cores")
    value = state(**dict.fromkeys(unknown))
    names = {key[0] for key in read(sidecar.collect(view(part("process", "", value))))}
    assert names == {
        "exporter_build_info",
        "exporter_memory_limit_bytes",
        "exporter_state_up",
        "exporter_state_writes_total",
        "exporter_config_last_reload_successful",
    }
    names = {key[0] for key in read(process.collect(view(part("process", "", value))))}
    assert not {n for n in names if n.startswith("system_") and n != "system_memory_usage_ratio"}


def test_a_stale_part_shows_counters_alone() -> None:
    stale = view(part("process", "", state()), stale=True)
    for module in (sidecar, process, api):
        assert {f.kind for f, _ in module.collect(stale)} <= {"counter", "histogram"}
    assert ("exporter_state_writes_total", "success") in read(sidecar.collect(stale))
    assert ("process_cpu_seconds_total",) in read(process.collect(stale))


def test_without_a_part_there_is_nothing() -> None:
    for module in (sidecar, process, api):
        assert [*module.collect(view())] == []
