"""Errors as Sentry receives them: its real SDK in a real sidecar, envelopes unpacked by a receiver of ours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.polling import until
from support.ports import free_port
from support.scheduler import NativeStore
from support.sentry_receiver import KEY, SentryServer, running_sentry
from support.sidecar import Sidecar, StartSidecar, one_store, run_command

#: Seconds that the SDK waits for an answer.
SDK_PATIENCE = 10
PASSWORD = "a-password-nobody-may-see"


@pytest.fixture
def sentry() -> Iterator[SentryServer]:
    with running_sentry() as running:
        yield running


def nowhere(**sections: Any) -> dict[str, Any]:
    """A store that is not there: each poll fails, and says so once."""
    dsn = f"postgresql://monitor:{PASSWORD}@127.0.0.1:{free_port()}/scheduler"
    return {**one_store(dsn), "logging": {"level": "info", "format": "json"}, **sections}


def test_a_failure_is_an_event_without_secrets_or_anything_unasked(
    sentry: SentryServer, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(nowhere(sentry={"dsn": sentry.dsn, "environment": "staging"}))
    event = sentry.wait("collector fails")
    assert event["level"] == "warning"
    assert event["environment"] == "staging"
    assert event["release"].startswith("scheduler-exporter@")
    assert event["logger"] == "poller"
    assert event["tags"]["component"] == "poller"
    assert event["tags"]["source"] == "main"
    assert "refused" in event["extra"]["error"]
    assert not {"modules", "breadcrumbs", "request", "user", "threads"} & event.keys()
    assert "sys.argv" not in event["extra"]
    assert event["sdk"]["integrations"] == []
    assert sidecar.stop() == 0
    assert sentry.others == []
    everything = "\n".join(sentry.bodies) + sidecar.log
    assert PASSWORD not in everything
    assert "--config.file" not in "\n".join(sentry.bodies)
    assert KEY not in sidecar.log


def test_variables_of_sentry_do_as_well(sentry: SentryServer, start_sidecar: StartSidecar) -> None:
    given = {"SENTRY_DSN": sentry.dsn, "SENTRY_ENVIRONMENT": "blue", "SENTRY_RELEASE": "our-image@7"}
    start_sidecar(nowhere(), environment=given)
    event = sentry.wait("collector fails")
    assert (event["environment"], event["release"]) == ("blue", "our-image@7")


def test_lost_data_is_critical_and_recoveries_are_told_to_who_wants_them(
    sentry: SentryServer, native: NativeStore, tmp_path: Path, start_sidecar: StartSidecar
) -> None:
    state = tmp_path / "damaged"
    state.mkdir()
    (state / "ledger.sqlite").write_bytes(b"this is no database" * 1000)
    config = {**one_store(native.dsn), "state": {"path": str(state)}}
    start_sidecar({**config, "sentry": {"dsn": sentry.dsn, "level": "info"}})
    assert sentry.wait("state file is damaged")["level"] == "fatal"
    assert sentry.wait("started")["level"] == "info"


@pytest.mark.parametrize("fault", ["dead", "hangs", "refuses"])
def test_a_sentry_that_takes_nothing_costs_one_line(
    fault: str, sentry: SentryServer, start_sidecar: StartSidecar
) -> None:
    dsn = f"http://{KEY}@127.0.0.1:{free_port()}/7" if fault == "dead" else sentry.dsn
    sentry.status = 500
    if fault == "hangs":
        sentry.answering.clear()
    sidecar = start_sidecar(nowhere(sentry={"dsn": dsn}))
    until(lambda: sidecar.events("collector fails"), 60, "something is to be told")
    if fault != "hangs":  # its line comes after the SDK's patience of 10 s
        until(lambda: sidecar.events("errors cannot be reported to Sentry"), 60, "it is said")
    assert statistics.median(_seconds(sidecar) for _ in range(20)) < 1, "a page waits for nobody"
    began = time.monotonic()
    assert sidecar.stop() == 0
    assert time.monotonic() - began < SDK_PATIENCE, "it waits for a moment, not for as long as the SDK would"
    assert len(sidecar.events("errors cannot be reported to Sentry")) <= 1
    assert "Traceback" not in sidecar.log
    assert "sentry_sdk" not in sidecar.log
    assert "urllib3" not in sidecar.log


def _seconds(sidecar: Sidecar) -> float:
    began = time.monotonic()
    assert sidecar.get("/metrics").status == 200
    return time.monotonic() - began


def test_a_dsn_that_is_none_is_refused_without_being_shown(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("connections: {targets: [{name: a, host: b}]}\nstate: {path: ':memory:'}\n")
    done = run_command(
        "serve", "--config.file=config.yaml", "--web.listen-address=127.0.0.1:0", directory=tmp_path,
        environment={"SENTRY_DSN": "https://a-key-without-a-project@sentry.example.com"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "SENTRY_DSN: expected a DSN" in done.stderr
    assert "a-key-without-a-project" not in done.stderr + done.stdout
