"""The page: what is made again and when, its order, its formats, new series."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.config.model import Config, Dsn, PostgresStore, Slo
from exporter.domain import Exemplar, Histogram
from exporter.instruments import ApiInstruments, QueryInstruments
from exporter.metrics import COLLECTORS
from exporter.metrics.exposure import Exposure
from exporter.metrics.family import Families, Family, View
from exporter.metrics.process import objectives, sample, thresholds
from exporter.metrics.render import Collector, Renderer
from exporter.snapshot import Hub, Part, Snapshot

JOBS = Family("jobs", "gauge", "Jobs.", ("store",))
RUNS = Family("runs_total", "counter", "Runs.", ("store",))
SECONDS = Family("run_seconds", "histogram", "Seconds.", ("store",), (1.0,))


class World:
    """A hub, a clock, sources, and collectors that yield what their part holds."""

    def __init__(self, *collectors: Any, stores: Iterable[str] = ("a", "b")) -> None:
        self.hub = Hub()
        self.now = 1000.0
        self.names = {"store": list(stores), "process": [""]}
        self.exposure = Exposure()
        self.renderer = Renderer(
            self.hub, collectors, sources=lambda: self.names, exposure=self.exposure, clock=lambda: self.now
        )

    def publish(self, collector: str, source: str, value: Any, staleness: float = 300) -> None:
        part = Part(
            collector=collector,
            source=source,
            value=value,
            success=True,
            collected_at=1.7e9,
            collected_mono=self.now,
            duration=0.1,
            interval=15,
            staleness=staleness,
        )
        self.hub.publish(part)

    def page(self, *, openmetrics: bool = False, names: Iterable[str] | None = None) -> str:
        chosen = None if names is None else frozenset(names)
        return self.renderer.render(openmetrics=openmetrics, gzip=False, names=chosen).body.decode()

    async def scrape(self, *, openmetrics: bool = False, names: Iterable[str] | None = None) -> str:
        chosen = None if names is None else frozenset(names)
        page = self.renderer.render(openmetrics=openmetrics, gzip=False, names=chosen)
        await self.renderer.served(page)
        return page.body.decode()


def collector(name: str, *families: Family, calls: Counter[str] | None = None) -> Collector:
    """A collector of the part ``name``: gauges while fresh, the others as long as there is a part."""

    def collect(view: View) -> Families:
        if calls is not None:
            calls[view.source] += 1
        part = view.parts.get(name)
        for family in families:
            if part is not None and (family.kind != "gauge" or view.fresh(name) is not None):
                yield family, [((view.source,), part.value)]

    return SimpleNamespace(SCOPE="store", INPUTS=(name,), collect=collect)


def test_a_familys_lines_of_all_sources_stand_together() -> None:
    world = World(collector("x", JOBS, RUNS))
    world.publish("x", "b", 2)
    world.publish("x", "a", 1)
    assert world.page() == (
        '# HELP jobs Jobs.\n# TYPE jobs gauge\njobs{store="a"} 1.0\njobs{store="b"} 2.0\n'
        '# HELP runs_total Runs.\n# TYPE runs_total counter\nruns_total{store="a"} 0.0\nruns_total{store="b"} 0.0\n'
    )


def test_openmetrics_has_its_own_names_and_end() -> None:
    world = World(collector("x", RUNS))
    world.publish("x", "a", 1)
    assert world.page(openmetrics=True) == (
        '# HELP runs Runs.\n# TYPE runs counter\nruns_total{store="a"} 0.0\n# EOF\n'
    )


def test_what_has_no_samples_is_left_out() -> None:
    world = World(collector("x", JOBS))
    assert world.page() == ""
    assert world.page(openmetrics=True) == "# EOF\n"


def test_only_changed_sources_are_collected_again() -> None:
    calls: Counter[str] = Counter()
    world = World(collector("x", JOBS, calls=calls))
    world.publish("x", "a", 1)
    world.publish("x", "b", 1)
    first = world.renderer.render(openmetrics=False, gzip=False)
    assert calls == {"a": 1, "b": 1}
    assert world.renderer.render(openmetrics=False, gzip=False) is first
    world.publish("other", "a", 1)
    world.publish("x", "b", 2)
    assert 'jobs{store="b"} 2.0' in world.page()
    assert calls == {"a": 1, "b": 2}


def test_an_equal_part_published_anew_is_read_anew() -> None:
    calls: Counter[str] = Counter()
    world = World(collector("x", JOBS, calls=calls))
    world.publish("x", "a", 1)
    world.page()
    world.publish("x", "a", 1)
    world.page()
    assert calls["a"] == 2


async def test_a_stale_part_loses_its_gauges_without_any_publication() -> None:
    world = World(collector("x", JOBS, RUNS))
    world.publish("x", "a", 7, staleness=60)
    await world.scrape()
    world.now += 60
    assert 'jobs{store="a"} 7.0' in world.page()
    world.now += 0.1
    assert world.page() == '# HELP runs_total Runs.\n# TYPE runs_total counter\nruns_total{store="a"} 7.0\n'
    world.publish("x", "a", 8, staleness=60)
    assert 'jobs{store="a"} 8.0' in world.page()


def test_a_source_that_leaves_or_joins_is_followed() -> None:
    world = World(collector("x", JOBS))
    world.publish("x", "a", 1)
    world.publish("x", "b", 2)
    world.page()
    world.names["store"] = ["b", "c"]
    world.hub.withdraw("a")
    world.publish("x", "c", 3)
    assert world.page().splitlines()[2:] == ['jobs{store="b"} 2.0', 'jobs{store="c"} 3.0']


async def test_a_new_series_is_0_until_one_scrape_was_served() -> None:
    world = World(collector("x", RUNS))
    world.publish("x", "a", 5)
    assert 'runs_total{store="a"} 0.0' in world.page()
    assert 'runs_total{store="a"} 0.0' in world.page(), "a HEAD request shows nothing"
    assert 'runs_total{store="a"} 0.0' in await world.scrape()
    assert 'runs_total{store="a"} 5.0' in world.page()
    assert world.renderer.render(openmetrics=False, gzip=False).pending == ()


async def test_an_exposed_series_that_returns_keeps_its_value() -> None:
    world = World(collector("x", RUNS))
    world.publish("x", "a", 5)
    await world.scrape()
    world.hub.withdraw("a")
    assert world.page() == ""
    world.publish("x", "a", 6)
    assert 'runs_total{store="a"} 6.0' in world.page()


async def test_a_series_that_joins_later_begins_with_0() -> None:
    family = Family("runs_total", "counter", "Runs.", ("store", "task"))

    def collect(view: View) -> Families:
        if "x" in view.parts:
            yield family, [((view.source, task), n) for task, n in view.parts["x"].value.items()]

    world = World(SimpleNamespace(SCOPE="store", INPUTS=("x",), collect=collect))
    world.publish("x", "a", {"one": 5})
    await world.scrape()
    world.publish("x", "a", {"one": 6, "two": 3})
    assert (await world.scrape()).splitlines()[2:] == [
        'runs_total{store="a",task="one"} 6.0',
        'runs_total{store="a",task="two"} 0.0',
    ]
    assert 'runs_total{store="a",task="two"} 3.0' in world.page()


async def test_a_filtered_scrape_exposes_only_what_it_showed() -> None:
    world = World(collector("x", RUNS), collector("y", Family("more_total", "counter", "More.", ("store",))))
    world.publish("x", "a", 5)
    world.publish("y", "a", 6)
    assert "runs_total" not in await world.scrape(names=["more_total"])
    page = world.page()
    assert 'runs_total{store="a"} 0.0' in page
    assert 'more_total{store="a"} 6.0' in page


def test_names_choose_families_and_samples() -> None:
    world = World(collector("x", JOBS), collector("y", SECONDS))
    world.publish("x", "a", 5)
    world.publish("y", "a", Histogram((1, 1), 3.0))
    assert world.page(names=["nothing"]) == ""
    assert world.page(names=["jobs"]).splitlines()[2:] == ['jobs{store="a"} 5.0']
    assert world.page(names=["run_seconds_sum"], openmetrics=True).splitlines()[2:] == [
        'run_seconds_sum{store="a"} 0.0',
        "# EOF",
    ]
    packed = world.renderer.render(openmetrics=True, gzip=True, names=frozenset({"run_seconds"})).body
    assert gzip.decompress(packed).decode() == world.page(names=["run_seconds"], openmetrics=True)


async def test_exemplars_are_for_openmetrics_alone() -> None:
    world = World(collector("x", SECONDS))
    world.publish("x", "a", Histogram((1, 0), 0.5, (Exemplar("77", 0.5, 1.7e9), None)))
    assert " # {" not in await world.scrape(openmetrics=True), "none while the series is 0"
    wanted = 'run_seconds_bucket{le="1.0",store="a"} 1.0 # {execution_id="77"} 0.5 1700000000.0'
    assert wanted in world.page(openmetrics=True).splitlines()
    assert 'run_seconds_bucket{le="1.0",store="a"} 1.0' in world.page().splitlines()
    assert "77" not in world.page()


@pytest.mark.parametrize("openmetrics", [False, True])
def test_gzip_says_the_same_after_every_change(openmetrics: bool) -> None:
    world = World(collector("x", JOBS, RUNS), collector("y", SECONDS), stores=[f"s{i}" for i in range(300)])
    for turn in range(4):
        for i in range(turn, 300, 1 + turn * 50):
            world.publish("x", f"s{i}", i + turn)
            world.publish("y", f"s{i}", Histogram((turn, i), 1.5))
        packed = world.renderer.render(openmetrics=openmetrics, gzip=True).body
        assert zlib.decompress(packed, 31).decode() == world.page(openmetrics=openmetrics)


def test_a_collector_that_fails_is_asked_again() -> None:
    fails = [True]

    def collect(view: View) -> Families:
        if fails[0]:
            raise RuntimeError("a fault of ours")
        yield JOBS, [((view.source,), 1.0)]

    world = World(SimpleNamespace(SCOPE="store", INPUTS=(), collect=collect), stores=["a"])
    for _ in range(2):
        with pytest.raises(RuntimeError):
            world.page()
    fails[0] = False
    assert 'jobs{store="a"} 1.0' in world.page()


def test_a_collector_may_read_the_whole_snapshot() -> None:
    def collect_snapshot(snapshot: Snapshot) -> Families:
        yield Family("parts", "gauge", "Parts."), [((), float(len(snapshot.parts)))]

    world = World(SimpleNamespace(collect_snapshot=collect_snapshot))
    assert "parts 0.0" in world.page()
    world.publish("x", "a", None)
    assert "parts 1.0" in world.page()


def test_label_strings_are_forgotten_with_their_series() -> None:
    def collect(view: View) -> Families:
        yield Family("x", "gauge", "h", ("a",)), [((f"{view.parts['x'].value}-{i}",), 1.0) for i in range(10)]

    world = World(SimpleNamespace(SCOPE="store", INPUTS=("x",), collect=collect), stores=["a"])
    for turn in range(5):
        world.publish("x", "a", turn)
        world.page()
    (chunk,) = world.renderer._chunks.values()
    assert len(chunk.pieces["x"]._before) == 10


def everything() -> World:
    """Every collector of the registry over the sidecar's own parts."""
    world = World(*COLLECTORS, stores=["main"])
    world.names["connection"] = []
    api, queries = ApiInstruments(), QueryInstruments()
    api.observe(method="GET", endpoint="/metrics", status=200, seconds=0.1, request_bytes=0, response_bytes=5000)
    queries.observe(query="jobs", seconds=0.1, store="main")
    config = Config(stores=(PostgresStore(name="main", dsn=Dsn("")),), slo=(Slo(store="main", objective=0.99),))
    state = sample(
        thresholds=thresholds(config),
        objectives=objectives(config),
        loop_lag=0.1,
        state_bytes=1,
        state_writes=(5, 1),
        reload_success_at=1.7e9,
        instruments=[api.registry, queries.registry],
    )
    world.publish("process", "", state)
    world.publish("store", "main", value=True)
    return world


async def test_promtool_has_nothing_to_say_about_any_family() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    world = everything()
    await world.scrape()
    command = ["promtool", "check", "metrics"]
    found = subprocess.run(command, input=world.page().encode(), capture_output=True, check=False)  # noqa: ASYNC221
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


@pytest.mark.parametrize(("parse", "openmetrics"), [(parse_text, False), (parse_openmetrics, True)])
async def test_both_formats_are_read_by_the_librarys_parsers(parse: Callable[[str], Any], openmetrics: bool) -> None:
    world = everything()
    await world.scrape()
    found = {metric.name: metric for metric in parse(world.page(openmetrics=openmetrics))}
    assert found["scheduling_api_requests"].samples[0].value == 1
    assert "python_info" in found
    assert all(metric.documentation for metric in found.values())
