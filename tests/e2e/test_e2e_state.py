"""Whatever becomes of the state file, the sidecar serves on, says it once and clearly, and counts to the last row."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.exposition import Metrics
from support.polling import until
from support.postgres import fresh_database
from support.scheduler import NativeStore, native_store
from support.sidecar import COMMAND, NAME, Sidecar, StartSidecar, one_store, run_command, target

from exporter.demo.postgres import PostgresServer

FILE = "ledger.sqlite"
UNUSABLE = "state file cannot be used; what needs no counts is served, and it is tried again"
#: A gauge of every kind that needs no counts.
GAUGES = ("scheduling_jobs", "scheduling_queue_jobs", "scheduling_executions_running", "scheduling_workers")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 6 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave not a byte; returns the file to remove."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler


def state_of(sidecar: Sidecar) -> Path:
    return sidecar.directory / "state" / FILE


def at(state: Path) -> dict[str, Any]:
    return {"state": {"path": str(state)}}


def up(metrics: Metrics) -> float:
    return metrics.value("scheduling_exporter_state_up")


def success(sidecar: Sidecar, collector: str = "executions") -> float:
    return sidecar.metrics().value("scheduling_exporter_collector_success", collector=collector, source=NAME)


def counts(metrics: Metrics) -> dict[str, float]:
    return metrics.by("status", "scheduling_executions_total")


def serves_all_but_counts(sidecar: Sidecar, why: str) -> None:
    """Gauges are there, counters are absent - not zero -, and one line of the log says why."""
    until(lambda: all(sidecar.metrics().series(gauge) for gauge in GAUGES), 60, "gauges are served")
    until(lambda: success(sidecar) == 0, 60, "the collector of the counts fails")
    metrics = sidecar.metrics()
    assert up(metrics) == 0
    assert counts(metrics) == {}
    assert metrics.value("scheduling_store_up") == 1
    told = sidecar.events(UNUSABLE)
    assert len(told) == 1, "said once"
    assert why in told[0]["reason"]
    assert told[0]["level"] == "ERROR"
    [failing] = [event for event in sidecar.events("collector fails") if event["level"] == "WARN"]
    assert why in failing["error"]
    assert "Traceback" not in sidecar.log


def values_until(sidecar: Sidecar, expected: dict[str, float]) -> list[float]:
    """Every value of the successes that a scraper sees until all are counted."""
    seen: list[float] = []

    def all_counted() -> bool:
        found = counts(sidecar.metrics())
        seen.append(found.get("success", -1.0))
        return found == expected

    until(all_counted, 60, f"{expected} are counted", every=0.1)
    return [value for value in seen if value >= 0]


def test_a_second_sidecar_waits_for_the_first_and_goes_on(native: NativeStore, start_sidecar: StartSidecar) -> None:
    first = start_sidecar(one_store(native.dsn))
    first.settled(since=0)
    assert counts(first.settled(since=native.finish(7)))["success"] == 7

    second = start_sidecar(one_store(native.dsn) | at(first.directory / "state"))
    serves_all_but_counts(second, "is in use by another scheduler-exporter")
    assert f"(process {first.process.pid} on {os.uname().nodename} since 2" in second.events(UNUSABLE)[0]["reason"]
    ready = second.get("/health/ready")
    assert ready.status == 200, "a rolling update ends the first when the second is ready"
    assert "in use by another process" in ready.text
    assert up(first.metrics()) == 1

    native.finish(2)
    assert counts(first.settled(since=native.finish(1)))["success"] == 10
    first.stop()
    native.finish(5)
    seen = values_until(second, {"success": 15, "failed": 0, "timeout": 0, "cancelled": 0})
    assert min(seen) >= 10, "what was seen is not shown as 0 again"
    until(lambda: up(second.metrics()) == 1, 60, "it says so")
    assert "in use" not in second.get("/health/ready").text
    assert second.events("state file is open; counting goes on from what it holds")
    assert counts(second.settled(since=native.finish(1))) == native.truth()


def test_the_counts_are_shown_when_the_file_comes_while_the_store_is_away(
    own_native: NativeStore, start_sidecar: StartSidecar
) -> None:
    first = start_sidecar(one_store(own_native.dsn))
    first.settled(since=0)
    first.settled(since=own_native.finish(3))
    second = start_sidecar(one_store(own_native.dsn) | at(first.directory / "state"))
    own_native.database.server.stop()
    first.kill()
    until(lambda: counts(second.metrics()).get("success") == 3, 60, "from the file alone")


def test_another_database_is_refused_also_when_the_file_comes_late(
    native: NativeStore, postgres_server: PostgresServer, start_sidecar: StartSidecar
) -> None:
    first = start_sidecar(one_store(native.dsn))
    first.settled(since=0)
    first.settled(since=native.finish(3))
    with fresh_database(postgres_server) as other:
        second = start_sidecar(one_store(native_store(other).dsn) | at(first.directory / "state"))
        serves_all_but_counts(second, "is in use by another scheduler-exporter")
        first.stop()
        until(lambda: second.metrics().value("scheduling_store_up") == 0, 60, "its file says that it is another's")
        until(lambda: all(success(second, c) == 0 for c in ("executions", "queues", "jobs")), 60, "nothing is asked")
        assert counts(second.metrics())["success"] == 3, "the other's, as they were"
        assert "now leads to database" in second.log
        second.stop()


def test_a_path_that_can_never_work_is_said_and_the_rest_is_served(
    native: NativeStore, tmp_path: Path, start_sidecar: StartSidecar
) -> None:
    file = tmp_path / "file"
    file.write_text("no directory")
    sidecar = start_sidecar(one_store(native.dsn), f"--state.path={file}")
    serves_all_but_counts(sidecar, f"state.path {str(file)!r} cannot be used: ")
    assert "a directory that this user may write" in sidecar.events(UNUSABLE)[0]["reason"]
    ready = sidecar.get("/health/ready")
    assert ready.status == 503
    assert '"state":{"status":"fail","detail":"cannot be written"}' in ready.text
    assert sidecar.stop() == 0


def test_a_read_only_disk(native: NativeStore, small_disk: Path, start_sidecar: StartSidecar) -> None:
    remount(small_disk, "ro")
    sidecar = start_sidecar(one_store(native.dsn) | at(small_disk))
    serves_all_but_counts(sidecar, "Read-only file system")
    remount(small_disk, "rw")
    until(lambda: success(sidecar) == 1, 60, "it is opened as soon as that can be")
    assert counts(sidecar.settled(since=native.finish(4)))["success"] == 4


def test_a_full_disk_at_the_start(native: NativeStore, small_disk: Path, start_sidecar: StartSidecar) -> None:
    filler = fill(small_disk)
    sidecar = start_sidecar(one_store(native.dsn) | at(small_disk / "state"))
    serves_all_but_counts(sidecar, str(small_disk))
    filler.unlink()
    until(lambda: success(sidecar) == 1, 60, "there is room")
    assert counts(sidecar.settled(since=native.finish(4)))["success"] == 4
    assert not list(small_disk.glob("state/*damaged*")), "what could not be made is no damaged file"


def test_a_disk_that_fills_while_running(native: NativeStore, small_disk: Path, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn) | at(small_disk / "state"))
    sidecar.settled(since=0)
    assert counts(sidecar.settled(since=native.finish(3)))["success"] == 3
    filler = fill(small_disk)
    native.finish(2000, task_type="more")
    until(lambda: success(sidecar) == 0, 60, "it cannot be written")
    until(lambda: up(sidecar.metrics()) == 0, 60)
    native.finish(10, status="FAILED")
    time.sleep(1)
    metrics = sidecar.metrics()
    assert counts(metrics)["success"] == 3, "as it is committed"
    assert all(metrics.series(gauge) for gauge in GAUGES)
    assert metrics.value("scheduling_exporter_state_writes_total", result="failure") > 0
    assert sidecar.get("/health/ready").status == 503
    [told] = sidecar.events(UNUSABLE)
    assert "make room on that disk" in told["reason"]

    filler.unlink()
    until(lambda: success(sidecar) == 1, 60, "there is room")
    assert counts(sidecar.settled(since=native.finish(1))) == native.truth()
    until(lambda: up(sidecar.metrics()) == 1, 60)
    assert sidecar.get("/health/ready").status == 200
    assert sidecar.events("state file is written again; nothing was lost")
    sidecar.restart()
    assert counts(sidecar.settled(since=native.finish(1))) == native.truth()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"this is no database" * 1000, "not a database"), (b"", "it is empty")],
    ids=["junk", "empty"],
)
def test_a_damaged_file_at_the_start_is_set_aside(
    content: bytes, reason: str, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    sidecar.settled(since=native.finish(3))
    sidecar.stop()
    state_of(sidecar).write_bytes(content)
    sidecar.start()
    [told] = sidecar.events("state file is damaged; it was set aside and all counters start at zero")
    assert reason in told["reason"]
    assert Path(told["keptAs"]).read_bytes() == content
    assert set(sidecar.metrics().series("scheduling_executions_total").values()) <= {0}
    sidecar.settled(since=time.time())
    assert counts(sidecar.settled(since=native.finish(2)))["success"] == 2


def damage(file: Path) -> None:
    """Overwrite every page but the first, and have every other process read the file again."""
    with sqlite3.connect(file, isolation_level=None) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = file.stat().st_size
        subprocess.run(["dd", "if=/dev/urandom", f"of={file}", "bs=4096", "seek=1", f"count={size // 4096 - 1}",
                        "conv=notrunc", "status=none"], check=True)  # fmt: skip
        db.execute("PRAGMA user_version = 3")
    db.close()


@pytest.mark.parametrize("harm", [damage, lambda file: os.truncate(file, 0)], ids=["junk", "empty"])
def test_a_file_damaged_while_running_is_set_aside(harm: Any, native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    sidecar.settled(since=native.finish(30))
    harm(state_of(sidecar))
    [told] = until(
        lambda: sidecar.events("state file is damaged; it was set aside and all counters start at zero"), 60, "noticed"
    )
    assert Path(told["keptAs"]).exists()
    until(lambda: success(sidecar) == 1, 60, "another one is begun")
    sidecar.settled(since=time.time())
    assert counts(sidecar.settled(since=native.finish(2, status="FAILED"))).items() >= {"failed": 2}.items()
    assert counts(sidecar.metrics())["success"] == 0, "from zero, and nothing of before is shown"
    sidecar.restart()
    found = counts(sidecar.settled(since=native.finish(1, status="FAILED")))
    assert (found["success"], found["failed"]) == (0, 3)
    assert "Traceback" not in sidecar.log


def test_a_file_removed_while_running_is_put_back(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    sidecar.settled(since=native.finish(3))
    shutil.rmtree(sidecar.directory / "state")
    message = "state file was removed under the running process; it was put back, nothing is lost"
    until(lambda: sidecar.events(message), 60, "it is put back")
    assert state_of(sidecar).exists()
    [told] = sidecar.events(message)
    assert told["level"] == "ERROR"
    until(lambda: success(sidecar) == 1, 60)
    assert counts(sidecar.settled(since=native.finish(4)))["success"] == 7
    sidecar.kill()
    native.finish(1)
    sidecar.start()
    assert counts(sidecar.settled(since=native.finish(1))) == native.truth()


def test_another_file_in_its_place_is_used_and_nothing_is_deleted(
    native: NativeStore, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    sidecar.settled(since=native.finish(3))
    sidecar.stop()
    copy = sidecar.directory / "copy"
    shutil.copy(state_of(sidecar), copy)
    sidecar.start()
    assert counts(sidecar.settled(since=native.finish(4)))["success"] == 7
    copy.rename(state_of(sidecar))
    message = "state file was replaced by another one under the running process; counting goes on with that one"
    [told] = until(lambda: sidecar.events(message), 60, "noticed")
    # The copy says where it stood: what finished since is counted from there, once.
    until(lambda: success(sidecar) == 1, 60)
    assert counts(sidecar.settled(since=native.finish(1))) == native.truth()
    db = sqlite3.connect(told["keptAs"])
    assert db.execute("SELECT data FROM series WHERE metric = 'executions'").fetchone() == ("[7.0,0.0,0.0,0.0]",)
    db.close()


def test_a_newer_file_is_left_alone(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    sidecar.settled(since=native.finish(3))
    sidecar.stop()
    with sqlite3.connect(state_of(sidecar)) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = state_of(sidecar).read_bytes()
    (sidecar.directory / "log").unlink()
    sidecar.start()
    serves_all_but_counts(sidecar, "was written by a newer scheduler-exporter (schema 99, this one knows ")
    sidecar.stop()
    assert state_of(sidecar).read_bytes() == before
    assert sorted(f.name for f in state_of(sidecar).parent.iterdir()) == ["ledger.lock", FILE]


def test_memory_says_what_it_gives_up(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn), "--state.path=:memory:")
    [told] = [e for e in sidecar.events() if "memory only" in e.get("message", "")]
    assert told["level"] == "WARN"
    for given_up in ("start at zero", "is never counted", "from the store's history again"):
        assert given_up in told["message"]
    sidecar.settled(since=0)
    assert counts(sidecar.settled(since=native.finish(3)))["success"] == 3
    assert up(sidecar.metrics()) == 1


def test_targets_alone_need_no_state(tmp_path: Path, start_sidecar: StartSidecar) -> None:
    (tmp_path / "file").write_text("")
    sidecar = start_sidecar({"connections": {"targets": [target("one", 1)]}} | at(tmp_path / "file"))
    until(lambda: sidecar.metrics().value("scheduling_connection_up", connection="one") == 0, 60, "checked")
    assert up(sidecar.metrics()) == 0


def test_the_state_of_a_running_sidecar_and_of_a_killed_one(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    native.finish(8, attempt=1)
    sidecar.settled(since=native.finish(2, status="FAILED"))
    for whose in (f"in use by process {sidecar.process.pid} on ", "in use by no process"):
        shown = run_command("state", "show", f"--config.file={sidecar.file}")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert whose in shown.stdout
        assert "8 success, 2 failed" in shown.stdout
        verified = run_command("state", "verify", f"--config.file={sidecar.file}")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        exported = run_command("state", "export", f"--config.file={sidecar.file}")
        assert exported.stdout.count('{"table":"recent"') == 10
        if sidecar.process.poll() is None:
            sidecar.kill()
    sidecar.start()
    assert counts(sidecar.settled(since=native.finish(1))) == native.truth()


def test_an_export_that_nobody_reads_to_its_end(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    sidecar.settled(since=native.finish(2000))
    command = [*COMMAND, "state", "export", f"--config.file={sidecar.file}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.readline().startswith(b'{"table":"state"')
        export.stdout.close()
        assert export.wait(60) == 141
        assert export.stderr.read() == b""
