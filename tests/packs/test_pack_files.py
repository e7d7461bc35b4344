"""Files of packs: both forms load, and what is wrong is told by file, line and key, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.packs import config_of, gauge, load, own, write

from exporter.config.model import PackUse
from exporter.errors import ConfigError
from exporter.packs.columns import milliseconds, parsed
from exporter.packs.load import shipped
from exporter.packs.versions import matches, version_of

FILES = Path(__file__).parent / "files"
COUNTER = {"type": "counter", "help": "Rows."}
HISTOGRAM = {"type": "histogram", "help": "Values.", "value": "v", "buckets": [1, 2]}


def problems(directory: Path, text: Any) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(ConfigError) as caught:
        load(config_of("", write(directory, text)), directory)
    return caught.value.problems


def foreign(**column: Any) -> dict[str, Any]:
    """A file of postgres_exporter's form with one query of one column."""
    return {"pg_x": {"query": "SELECT 1 AS v", "metrics": [{"v": {"usage": "GAUGE", **column}}]}}


@pytest.mark.parametrize("file", sorted(FILES.glob("*.yaml")), ids=lambda file: file.stem)
def test_published_files_of_postgres_exporter_load_unchanged(file: Path, tmp_path: Path) -> None:
    queries = [query for _, query in load(config_of("", str(file)), tmp_path).queries("main")]
    assert queries
    for query in queries:
        assert query.metrics
        assert query.place.startswith(f"{file}:")


def test_what_became_of_the_published_examples_is_a_file_of_no_queries(tmp_path: Path) -> None:
    text = "# Adding queries to this file is deprecated\n# Example queries have been transformed into collectors.\n"
    packs = load(config_of("", write(tmp_path, text), write(tmp_path, foreign(), "b.yaml")), tmp_path)
    assert [pack for pack, _ in packs.queries("main")] == ["b"]


def test_the_shipped_pack_loads(tmp_path: Path) -> None:
    assert shipped() == ("scheduling-worker",)
    queries = {query.name: query for _, query in load(config_of("", "scheduling-worker"), tmp_path).queries("main")}
    assert queries["calendar_sync"].cursor is not None
    assert queries["db_connections"].cursor is None


def test_keys_of_postgres_exporter_and_its_relatives(tmp_path: Path) -> None:
    text = """
pg_x:
  query: "SELECT 'up' AS state, '1m' AS took, 1 AS le1, 'a' AS name; "
  master: true
  primary: true
  cache_seconds: 30
  runonserver: ">=10.0.0 <99.0.0"
  predicate_query: SELECT true
  target_databases: ["*"]
  name: pg_y
  metrics:
    - state: {usage: MAPPEDMETRIC, description: State., metric_mapping: {up: 1, down: 0}}
    - took: {usage: duration, description: Took., pg_version: ">=9.4"}
    - le1: {usage: DISCARD}
    - name: {usage: LABEL, description: Name.}
pg_off:
  query: ""
"""
    [(pack, query)] = load(config_of("", write(tmp_path, text)), tmp_path).queries("main")
    assert (pack, query.name, query.interval) == ("queries", "pg_x", 30)
    assert query.sql == "SELECT 'up' AS state, '1m' AS took, 1 AS le1, 'a' AS name"
    assert [(m.name, m.usage, m.labels) for m in query.metrics] == [
        ("pg_y_state", "mapped", ("name",)),
        ("pg_y_took_milliseconds", "duration", ("name",)),
    ]
    assert query.discarded == ("le1",)
    assert (query.condition.versions, query.condition.primary) == (">=10.0.0 <99.0.0", True)
    assert (query.condition.databases, query.condition.predicate) == ((), "SELECT true")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "queries.yaml: the file is empty"),
        ("- a", "queries.yaml:1: (root): expected a mapping"),
        ("queries: {", "queries.yaml:2:1: invalid YAML"),
        ("queries: {}", "queries.yaml:1: queries: expected at least one query"),
        (own("SELECT 1", {}), "queries.q.metrics: expected at least one metric"),
        (own("", {"x": gauge()}), "queries.q.sql: expected "),
        (own("SELECT 1; DELETE FROM jobs", {"x": gauge()}), "queries.q.sql: expected one statement"),
        ({"queries": {"q": {"metrics": {"x": gauge()}}}}, "queries.q.sql: required"),
        (own("SELECT 1", {"x": gauge()}, curser={}), "queries.q.curser: unknown key; did you mean"),
        (own("SELECT 1", {"x": {**gauge(), "type": "gage"}}), "got gage; did you mean \"gauge\"?"),
        (own("SELECT 1", {"x": {**gauge(), "help": None}}), "queries.q.metrics.x.help: "),
        (own("SELECT 1", {"1x": gauge()}), "queries.q.metrics.1x: expected a metric's name"),
        (own("SELECT 1", {"x y": gauge()}), "expected a metric's name"),
        (own("SELECT 1", {"x": gauge(labels=["a-b"])}), "expected a label's name"),
        (own("SELECT 1", {"x": gauge(labels=["store"])}), "the label store is reserved"),
        (own("SELECT 1", {"x": gauge(labels=["le"])}), "the label le is reserved"),
        (own("SELECT 1", {"x": gauge(labels=["__name__"])}), "labels that begin with __"),
        (own("SELECT 1", {"x": gauge(labels=["a", "a"])}), 'duplicate label "a"'),
        (own("SELECT 1", {"x": {**gauge(), "value": None}}), "queries.q.metrics.x.value: required"),
        (own("SELECT 1", {"x_total": COUNTER}), "a counter needs a cursor"),
        (own("SELECT 1", {"x": gauge()}, cursor={}), "a gauge needs a query of its own without cursor"),
        (own("SELECT 1", {"x": COUNTER}, cursor={}), "a counter's name ends in _total"),
        (own("SELECT 1", {"x": {**HISTOGRAM, "buckets": [2, 1]}}, cursor={}), "each above the one before"),
        (own("SELECT 1", {"x": {**HISTOGRAM, "buckets": []}}, cursor={}), "1 to 50 upper bounds"),
        (own("SELECT 1", {"x_total": {**COUNTER, "values": {"a": ["b"]}}}, cursor={}), "none of the metric's labels"),
        (own("SELECT 1", {"x_total": COUNTER}, cursor={"kind": "id"}), "cursor.position: required with kind id"),
        (own("SELECT 1", {"x_total": COUNTER}, cursor={"kind": "time"}), "expected one of timestamp"),
        (own("SELECT 1", {"scheduling_jobs": gauge()}), "taken by the exporter's own gauge scheduling_jobs"),
        (own("SELECT 1", {"process_cpu_seconds_total": gauge()}), "is taken by the exporter's own counter"),
        (own("SELECT 1", {"scheduling_api_requests_total": gauge()}), "is taken by the exporter's own counter"),
        (own("SELECT 1", {"scheduling_executions": gauge()}), "the exporter's own counter scheduling_executions_total"),
        (own("SELECT 1", {"x": HISTOGRAM, "x_sum": HISTOGRAM}, cursor={}), "the name x_sum is taken by ./queries."),
        (own("SELECT 1", {"x_total": {**COUNTER, "labels": ["a"], "values": {"a": list(map(str, range(1001)))}}},
             cursor={}), "more than 1000 label sets"),
        (foreign(usage="GUAGE"), "pg_x.metrics[0].v.usage: expected one of GAUGE"),
        (foreign(usage="MAPPEDMETRIC"), "MAPPEDMETRIC needs metric_mapping"),
        (foreign(pg_version="new"), "expected a range of versions"),
        (foreign(usages="GAUGE"), "pg_x.metrics[0].v.usages: unknown key"),
        ({"pg-x": foreign()["pg_x"]}, "expected a metric's name"),
        ({"pg_x": {"query": "SELECT 1 AS store", "metrics": [{"store": {"usage": "LABEL"}}]}}, "the label store is"),
        ({"pg_x": {"query": "SELECT 1", "runonserver": "ten"}}, "pg_x.runonserver: expected a range of versions"),
        ({"pg_x": {"query": "SELECT 1", "master": "si"}}, "pg_x.master: expected true or false"),
    ],
)  # fmt: skip
def test_faults_are_told(text: Any, told: str, tmp_path: Path) -> None:
    found = problems(tmp_path, text)
    assert any(told in problem for problem in found), found
    assert all(problem.startswith("./queries.yaml:") or "empty" in problem for problem in found)


def test_every_fault_of_every_file_is_told(tmp_path: Path) -> None:
    one = write(tmp_path, own("SELECT 1", {"x": gauge(labels=["le"]), "1": gauge()}), "one.yaml")
    two = write(tmp_path, foreign(usage="NONE"), "two.yaml")
    with pytest.raises(ConfigError) as caught:
        load(config_of("", one, two, "./three.yaml", "scheduling-wörker", "scheduling-worke"), tmp_path)
    found = caught.value.problems
    assert [problem.partition(":")[0] for problem in found[:3]] == ["./one.yaml", "./one.yaml", "./two.yaml"]
    assert "packs[2]: ./three.yaml: cannot read the file: No such file" in found[3]
    assert "packs[3]: no pack is named" in found[4]
    assert 'did you mean "scheduling-worker"?' in found[5]


def test_names_are_unique_over_all_packs_of_a_store(tmp_path: Path) -> None:
    one = write(tmp_path, own("SELECT 1 AS v", {"x": gauge()}), "one.yaml")
    two = write(tmp_path, own("SELECT 1 AS v", {"x": gauge()}), "two.yaml")
    with pytest.raises(ConfigError, match=r"two.yaml:\d+: queries.q.metrics.x: the name x is taken by ./one.yaml:\d+"):
        load(config_of("", one, two), tmp_path)
    tmp_path.joinpath("sub").mkdir()
    again = write(tmp_path / "sub", own("SELECT 1 AS v", {"y": gauge()}), "one.yaml")
    with pytest.raises(ConfigError, match=r'packs\[1\]: a pack is named "one" already, by packs\[0\]'):
        load(config_of("", one, f"sub/{again}"), tmp_path)


def test_queries_are_left_out(tmp_path: Path) -> None:
    packs = load(config_of("", PackUse(pack="scheduling-worker", skip=("emails",))), tmp_path)
    assert "emails" not in {query.name for _, query in packs.queries("main")}
    with pytest.raises(ConfigError, match=r'packs\[0\].skip: the pack has no query "email"; did you mean "emails"'):
        load(config_of("", PackUse(pack="scheduling-worker", skip=("email",))), tmp_path)


@pytest.mark.parametrize(
    ("wanted", "version", "inside"),
    [
        (">=10.0.0 <13.0.0", 120004, True), (">=10.0.0 <13.0.0", 130000, False), ("<10.0.0", 90603, True),
        (">=9.6.3", 90603, True), (">9.6.3", 90603, False), ("14.x", 140011, True), ("!14.x", 140011, False),
        ("<9.0.0 || >17", 180000, True), (">=10.0.0 <11.0.0 || >=13.0.0", 120000, False), ("*", 150000, True),
    ],
)  # fmt: skip
def test_ranges_of_versions(wanted: str, version: int, inside: bool) -> None:
    assert matches(wanted, version_of(version)) is inside


@pytest.mark.parametrize(
    ("text", "found"),
    [("1h2m3.5s", 3_723_500), ("300ms", 300), ("-1.5s", -1500), ("0", 0), ("1us", 0.001), ("5", None), ("1h x", None)],
)
def test_durations(text: str, found: float | None) -> None:
    assert milliseconds(text) == (found if found is None else pytest.approx(found))


@pytest.mark.parametrize(("text", "found"), [("12.5", 12.5), (" -1e3 ", -1000), ("1_000", None), ("", None)])
def test_numbers_given_as_text(text: str, found: float | None) -> None:
    assert parsed(text) == found
