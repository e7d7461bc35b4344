"""The demo's small parts: its directory, its ports, its signals, what a complete scrape is."""

from __future__ import annotations

import argparse
import os
import signal
import socket
from pathlib import Path

import pytest
from support.ports import free_or_other, free_port

from exporter.demo.options import add_arguments, resolve
from exporter.demo.readiness import fetch, is_complete
from exporter.demo.signals import Interrupted, Interrupts
from exporter.demo.workspace import MARKER, render, workspace
from exporter.errors import ExporterError

COMPLETE = """\
# TYPE scheduling_store_up gauge
scheduling_store_up{store="demo"} 1
scheduling_executions_total{store="demo",task_type="send_email",status="success"} 0
scheduling_connection_up{connection="shop"} 1
scheduling_connection_up{connection="switched-off"} 0
"""


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(given)


def test_a_temporary_directory_is_removed() -> None:
    with workspace(None) as directory:
        (directory / "deep").mkdir()
        assert (directory / MARKER).exists()
    assert not directory.exists()


def test_what_a_killed_demo_left_is_removed_and_what_runs_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, stranger = tmp_path / "scheduler-exporter-demo-left", tmp_path / "scheduler-exporter-demo-x"
    for directory in (left, stranger):
        directory.mkdir()
    (left / MARKER).touch()
    with workspace(None) as first, workspace(None) as second:
        assert first.exists()
        assert second.exists()
        assert not left.exists()
        assert stranger.exists()  # without our marker: not ours


def test_a_given_directory_is_kept_and_used_once(tmp_path: Path) -> None:
    given = tmp_path / "new" / "demo"
    with workspace(given):
        with pytest.raises(ExporterError, match="another demo"), workspace(given):
            pass
        (given / "data").touch()
    with workspace(given) as again:
        assert (again / "data").exists()


def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ExporterError, match="not empty"), workspace(tmp_path):
        pass


def test_templates_keep_the_sidecars_references(tmp_path: Path) -> None:
    values: dict[str, str | int] = {
        "DIRECTORY": "/x",
        "LISTEN_ADDRESS": "h:1",
        "POSTGRES_PORT": 2,
        "CLOSED_PORT": 3,
        "VAULT_ADDRESS": "http://v:4",
        "ALERTING": "{}",
    }
    text = render("config.yaml", tmp_path / "config.yaml", values).read_text()
    assert "${file:monitor.password}" in text
    assert 'listen_address: ["h:1"]' in text
    assert "port: 3," in text
    assert "$" not in text.replace("${file:", "")


def test_a_busy_port_is_replaced_and_told() -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        busy = server.getsockname()[1]
        flags = ("--listen-address", f"127.0.0.1:{busy}", "--no-prometheus", "--duration", "1m30s")
        options = resolve(arguments(*flags), said.append)
    assert options.listen_port not in {busy, 0}
    assert options.prometheus_port is None
    assert options.duration == 90
    assert said == [f"Port {busy} is busy: using {options.listen_port}."]


def test_a_free_port_is_kept() -> None:
    port = free_port()
    assert free_or_other("127.0.0.1", port) == port


@pytest.mark.parametrize(("address", "fault"), [("127.0.0.1", "HOST:PORT"), ("203.0.113.7:9795", "cannot listen")])
def test_an_impossible_address_is_explained(address: str, fault: str) -> None:
    with pytest.raises(ExporterError, match=fault):
        resolve(arguments("--listen-address", address), lambda _: None)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.demo.options.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExporterError, match=r"pip install 'scheduler-exporter\[demo\]'"):
        resolve(arguments(), lambda _: None)


def test_the_first_signal_interrupts_and_the_next_ones_hurry() -> None:
    hurried: list[bool] = []
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts(lambda: hurried.append(True)) as interrupts:
        interrupts.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            interrupts.sleep(10)
        assert hurried == []
        os.kill(os.getpid(), signal.SIGINT)
        assert hurried == [True]
    assert signal.getsignal(signal.SIGTERM) == before


def test_complete_means_store_executions_and_connections() -> None:
    assert is_complete(COMPLETE)
    assert not is_complete(None)
    for line in COMPLETE.splitlines()[1:4]:
        assert not is_complete(COMPLETE.replace(line + "\n", "")), line
    assert not is_complete(COMPLETE.replace('"demo"} 1', '"demo"} 0'))


def test_nobody_there_is_no_answer() -> None:
    assert fetch(f"http://127.0.0.1:{free_port()}/metrics") is None
