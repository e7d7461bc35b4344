"""The command line, its environment mirrors, exit statuses."""

from __future__ import annotations

import http.client
import signal
import time

import pytest
from support.polling import until
from support.ports import free_port
from support.scheduler import NativeStore, backends
from support.sidecar import HOST, StartSidecar, one_store, request, run_command, target

from exporter import __version__

VALID = {"connections": {"targets": [target("one", 1)]}}


def names(count: int) -> list[str]:
    return [f"target-{n}" for n in range(count)]


def test_version() -> None:
    for arguments in (["--version"], ["serve", "--version"]):
        done = run_command(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"scheduler-exporter {__version__}\n", "")


def test_config_check_tells_valid_from_invalid(make_sidecar: StartSidecar) -> None:
    sidecar = make_sidecar(VALID)
    check = ("serve", f"--config.file={sidecar.file}", "--config.check")
    done = run_command(*check)
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid; 0 stores, 1 target\n" in done.stdout
    assert run_command(*check[1:]).returncode == 0, "flags alone, as other exporters are called"
    assert not (sidecar.directory / "state").exists(), "a check leaves nothing behind"

    sidecar.configure({"connections": {"targets": [target("one", 1, passwort="x")], "interval": 5}})
    done = run_command(*check)
    assert (done.returncode, done.stdout) == (1, "")
    problems = done.stderr.splitlines()
    assert len(problems) == 2, "every fault at once"
    assert any('did you mean "password"' in problem for problem in problems)
    assert all(str(sidecar.file) in problem for problem in problems)
    assert run_command("serve", f"--config.file={sidecar.file}").returncode == 1, "nor is it served"


def test_names_that_nothing_has_are_refused_before_any_store_is_asked(make_sidecar: StartSidecar) -> None:
    away = {"dsn": f"postgresql://{HOST}:1/nobody"}
    sidecar = make_sidecar(
        {
            "stores": [
                {"name": "misspelt", "profile": "procrastinat", **away},
                {"name": "right", "profile": "procrastinate", "parameters": {"schema": "jobs"}, **away},
                {"name": "parameter", "profile": "procrastinate", "parameters": {"schma": "jobs"}, **away},
                {"name": "found", **away},
            ],
            "packs": ["scheduling-worke"],
        }
    )
    for words in ((), ("--config.check",)):
        done = run_command("serve", f"--config.file={sidecar.file}", *words)
        assert (done.returncode, done.stdout) == (1, "")
        profile, parameter, pack = done.stderr.splitlines()
        assert profile.startswith(
            f"{sidecar.file}: stores[0].profile: no profile is named 'procrastinat'; known: auto, "
        )
        assert profile.endswith('; did you mean "procrastinate"?')
        assert parameter == (
            f"{sidecar.file}: stores[2].parameters: profile 'procrastinate' has no parameter 'schma'; known: schema"
            '; did you mean "schema"?'
        )
        assert "packs[0]: no pack is named" in pack


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--no-such-flag"], 2, "--no-such-flag"),
        (["--log.level=loud"], 2, "--log.level"),
        (["--shard=2", "--total-shards=2"], 1, "--shard: expected 0 to --total-shards - 1 (1); got 2"),
        (["--web.listen-address=nonsense"], 1, "--web.listen-address"),
        (["--config.file=/nowhere/config.yaml"], 1, "/nowhere/config.yaml: cannot read the file"),
    ],
)
def test_wrong_flags(arguments: list[str], status: int, told: str, make_sidecar: StartSidecar) -> None:
    sidecar = make_sidecar(VALID)
    done = run_command("serve", f"--config.file={sidecar.file}", *arguments)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "status"),
    [
        ("SCHEDULER_EXPORTER_WEB_ENABLE_LIFECYCLE", "perhaps", 1),
        ("SCHEDULER_EXPORTER_LOG_LEVEL", "loud", 1),
        ("SCHEDULER_EXPORTER_SHARD", "first", 2),
        ("LOG_LEVEL", "loud", 1),
        ("PROMETHEUS_PORT", "http", 1),
        ("SCHEDULER_EXPORTER_WEB_LISTEN_ADDRESS", "http", 1),
    ],
)
def test_wrong_variables(variable: str, value: str, status: int, make_sidecar: StartSidecar) -> None:
    sidecar = make_sidecar(VALID)
    done = run_command("serve", f"--config.file={sidecar.file}", environment={variable: value})
    assert done.returncode == status, done.stderr
    assert value in done.stderr
    if status == 1:
        assert done.stderr.startswith(f"{variable}: expected "), done.stderr
    assert "Traceback" not in done.stderr


def test_flags_and_their_environment(make_sidecar: StartSidecar) -> None:
    by_flag, by_variable, by_name = free_port(), free_port(), free_port()
    variables = {
        "SCHEDULER_EXPORTER_WEB_LISTEN_ADDRESS": f"{HOST}:{by_variable}",
        "SCHEDULER_EXPORTER_WEB_TELEMETRY_PATH": "/numbers",
        "SCHEDULER_EXPORTER_WEB_ENABLE_LIFECYCLE": "true",
        "SCHEDULER_EXPORTER_LOG_FORMAT": "logfmt",
    }
    sidecar = make_sidecar(VALID, environment=variables)
    sidecar.start(wait=False)
    until(lambda: request(by_variable, "/numbers").status == 200, 60)
    assert request(by_variable, "/metrics").status == 404
    assert request(by_variable, "/-/reload", method="POST").status == 200
    assert "level=INFO" in sidecar.log
    assert "level=DEBUG" in sidecar.log, "as the file says"
    sidecar.stop()

    flags = [f"--web.listen-address={HOST}:{by_flag}", "--no-web.enable-lifecycle", "--log.level=warning"]
    sidecar = make_sidecar(VALID, *flags, environment={**variables, "PROMETHEUS_PORT": str(by_name)})
    sidecar.start(wait=False)
    until(lambda: request(by_flag, "/numbers").status == 200, 60)
    assert request(by_flag, "/-/reload", method="POST").status == 403, "a flag has the last word"
    assert "started" not in sidecar.log, "and so has the log level"
    sidecar.stop()

    sidecar = make_sidecar(VALID, environment={"PROMETHEUS_PORT": str(by_name), "LOG_LEVEL": "WARN"})
    sidecar.start(wait=False)
    until(lambda: request(by_name, "/metrics").status == 200, 60)
    assert "started" not in sidecar.log
    sidecar.stop()


def test_a_collector_can_be_left_out(native: NativeStore, make_sidecar: StartSidecar) -> None:
    without_flag = make_sidecar(one_store(native.dsn), "--no-collector.jobs")
    without_variable = make_sidecar(one_store(native.dsn), environment={"SCHEDULER_EXPORTER_COLLECTOR_JOBS": "false"})
    for sidecar in (without_flag, without_variable):
        sidecar.start()
        metrics = sidecar.settled(since=time.time())
        collectors = set(metrics.by("collector", "scheduling_exporter_collector_success"))
        assert "jobs" not in collectors
        assert {"executions", "running", "queues", "workers", "schedules", "operations"} <= collectors
        assert "COMPLETED" not in metrics.by("status", "scheduling_jobs"), "what only the full count knows"
        assert "jobs" not in metrics.by("query", "scheduling_exporter_db_seconds_total"), "is not asked for"
        sidecar.stop()


def test_shards_share_the_targets_and_one_has_the_stores(native: NativeStore, start_sidecar: StartSidecar) -> None:
    config = {**one_store(native.dsn), "connections": {"targets": [target(name, 1) for name in names(12)]}}
    shares = []
    for shard in range(3):
        sidecar = start_sidecar(config, f"--shard={shard}", "--total-shards=3")
        ready = sidecar.get("/health/ready").text
        shares.append({name for name in names(12) if f'"connection {name}"' in ready})
        until(lambda s=sidecar, n=shard: set(s.metrics().by("connection", "scheduling_connection_up")) == shares[n], 60)
        if shard == 0:
            until(lambda s=sidecar: s.metrics().series("scheduling_store_up"), 60, "the store was asked")
        assert len(sidecar.metrics().series("scheduling_store_up")) == (shard == 0)
    assert set.union(*shares) == set(names(12))
    assert sum(map(len, shares)) == 12, "none twice"
    assert all(shares)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order(number: signal.Signals, native: NativeStore, start_sidecar: StartSidecar) -> None:
    server = native.database.server
    login = {"user": "postgres", "password": server.password}
    targets = [target("healthy", server.port, **login), target("off", 1)]
    sidecar = start_sidecar({**one_store(native.dsn), "connections": {"interval": "1s", "targets": targets}})
    sidecar.settled(since=time.time())
    idle = http.client.HTTPConnection(HOST, sidecar.port)  # a scraper that keeps its connection open
    idle.request("GET", "/metrics")
    idle.getresponse().read()
    with native.database.connect() as connection:
        assert backends(connection)
        began = time.monotonic()
        assert sidecar.end(number, seconds=15) == 0
        print(f"ended after {time.monotonic() - began:.2f} s")
        # The server hears of it a moment later.
        until(lambda: backends(connection) == [], 20, "no session is left")
        others = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s"
        until(lambda: connection.execute(others, ["scheduler-exporter%"]).fetchone() == (0,), 20, "a target's neither")
    idle.close()
    assert sidecar.events("stopped")
    assert "Traceback" not in sidecar.log
