"""What the shipped rules cost a Prometheus that scrapes about 5,000 series of ours, three hours of history behind it.

    python -m benchmarks.rules

No budget: reported. Time is Prometheus' own (``prometheus_rule_group_duration_seconds``), processor time that of its
process, with and without the rules. Ranges of days find three hours: the rules over a week cost more later.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import kept, peers
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.scrape import fill
from benchmarks.sidecar import HOST, one_store, running, scratch
from exporter.demo.ports import free_port
from exporter.demo.processes import Child

RULES = Path(__file__).parents[1] / "rules"
HOURS, STEP, INTERVAL = 3, 60, 15
#: Seconds of a round: whole intervals.
SECONDS = 60
JOB = 'instance="scheduler",job="scheduler-exporter"'


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    with (
        kept.server() as server,
        kept.empty(server, "rules") as database,
        scratch() as directory,
        running(one_store(database) | {"limits": {"series_per_metric": 5000}}) as sidecar,
    ):
        series, page = fill(sidecar, database)
        history(directory, page)
        shares, seconds, rules = [], [], 0
        slowest: dict[str, float] = {}
        for files in ([], [*RULES.glob("alerts/*.yaml"), *RULES.glob("recording/*.yaml")]):
            with prometheus(directory, sidecar.port, files) as (url, process):
                time.sleep(2 * INTERVAL)  # Prometheus has read its blocks, every group was evaluated
                for _ in range(sizes.rounds):
                    share, spent = one_round(url, process)
                    shares.append(share)
                    seconds.append(spent)
                if files:
                    slowest, rules = groups(url)
    plain, ruled = shares[: sizes.rounds], shares[sizes.rounds :]
    group, its = max(slowest.items(), key=lambda found: found[1])
    return [
        Row("series; rules in groups", f"{series:,}; {rules} in {len(slowest)}"),
        Row(f"evaluating all of them, every {INTERVAL} s", spread([1000 * s for s in seconds[sizes.rounds :]], " ms")),
        Row("the slowest group", f"{group}: {1000 * its:.1f} ms"),
        Row("Prometheus' share of a core with the rules", spread(ruled, "%")),
        Row("the same without", spread(plain, "%")),
    ]


def history(directory: Path, page: str) -> None:
    """Blocks with hours of the page's samples; what counts goes up."""
    now = int(time.time()) - STEP
    text = directory / "history.txt"
    with text.open("w") as file:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = ",".join([*(f'{k}="{_escaped(v)}"' for k, v in sample.labels.items()), JOB])
                counts = family.type in ("counter", "histogram")
                for n in range(HOURS * 3600 // STEP):
                    value = sample.value + (n if counts else 0)
                    file.write(f"{sample.name}{{{labels}}} {value} {now - HOURS * 3600 + n * STEP}\n")
        file.write("# EOF\n")
    promtool = shutil.which("promtool") or "promtool"
    done = subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(directory / "blocks")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    text.unlink()
    if done.returncode:
        raise RuntimeError(f"promtool: {done.stderr[-500:]}")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@contextlib.contextmanager
def prometheus(directory: Path, port: int, rules: list[Path]) -> Iterator[tuple[str, psutil.Process]]:
    """A Prometheus on a copy of the blocks that scrapes the sidecar; the address of its own metrics."""
    data = directory / f"data-{len(rules)}"
    shutil.copytree(directory / "blocks", data)
    config = directory / "prometheus.yml"
    scrape = {"job_name": "scheduler-exporter",
              "static_configs": [{"targets": [f"{HOST}:{port}"], "labels": {"instance": "scheduler"}}]}  # fmt: skip
    every = {"scrape_interval": f"{INTERVAL}s", "evaluation_interval": f"{INTERVAL}s"}
    config.write_text(
        yaml.safe_dump({"global": every, "rule_files": list(map(str, rules)), "scrape_configs": [scrape]})
    )
    own = free_port()
    path = shutil.which("prometheus")
    if path is None:
        raise RuntimeError("prometheus is missing: apt install prometheus")
    command = [path, f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address={HOST}:{own}"]
    child = Child(name="prometheus", command=command, log=directory / "prometheus.log")
    child.start()
    try:
        url = f"http://{HOST}:{own}/metrics"
        peers.wait_for(url, b"prometheus_ready 1", 60)
        yield url, psutil.Process(child.pid)
    finally:
        child.stop()


def one_round(url: str, process: psutil.Process) -> tuple[float, float]:
    """Prometheus' share of a core in per cent, and the seconds of each interval that rules took."""
    before, cpu = evaluated(url), process.cpu_times()
    time.sleep(SECONDS)
    after, now = evaluated(url), process.cpu_times()
    share = 100 * (now.user + now.system - cpu.user - cpu.system) / SECONDS
    return share, (after - before) * INTERVAL / SECONDS


def evaluated(url: str) -> float:
    """Seconds that evaluating groups of rules has taken so far."""
    return sum(_samples(url, "prometheus_rule_group_duration_seconds_sum").values())


def groups(url: str) -> tuple[dict[str, float], int]:
    """The last duration of each group in seconds, and how many rules there are."""
    last = _samples(url, "prometheus_rule_group_last_duration_seconds")
    rules = _samples(url, "prometheus_rule_group_rules")
    return {name.rpartition(";")[2]: value for name, value in last.items()}, int(sum(rules.values()))


def _samples(url: str, name: str) -> dict[str, float]:
    page = peers.wait_for(url, b"", 10).decode()
    return {
        sample.labels.get("rule_group", ""): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


if __name__ == "__main__":
    run("rules", measure)
