"""`state show`, `export` and `verify`: what they tell, what they find, and that they change nothing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter import cli
from exporter.ledger.cursor import CursorState
from exporter.ledger.database import FILE_NAME
from exporter.ledger.finished import Finished
from exporter.ledger.identity import Identity
from exporter.ledger.ledger import Ledger

NOW = 1_800_000_000.0


def row(number: int, status: str = "SUCCESS") -> Finished:
    ended = NOW - 60.0 * number
    message = None if status == "SUCCESS" else f"host 10.0.0.{number} is down"
    return Finished(
        f"{number}\x1f0", ended, str(number), "7", "nightly", "7", "mail", status, number % 2,
        ended - 3, ended - 2, ended, "w1", "default", message,
    )  # fmt: skip


async def fill(directory: Path) -> None:
    async with Ledger(str(directory), budget=500) as ledger:
        await write(ledger)


async def write(ledger: Ledger) -> None:
    await ledger.attach("main", Identity(system="7", database="orders", oid=5))
    rows = [row(n, "FAILED" if n % 10 == 0 else "SUCCESS") for n in range(1, 101)]
    await ledger.stage("main", rows, count=True, now=NOW, counted_to=0.0, keep_above=NOW - 600)
    await ledger.commit("main", CursorState(upto=NOW, read_at=NOW, floor=NOW - 600), count=True, horizon=NOW - 86_400)
    await ledger.expose(["a series"])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["state", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def contents(directory: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in directory.iterdir() if not f.name.endswith("-shm")}


async def test_show_tells_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(tmp_path)
    before = contents(tmp_path)
    status, out, _ = run(capsys, "show", f"--state.path={tmp_path}")
    assert status == 0
    for told in (
        str(tmp_path / FILE_NAME), "schema 4", "in use by no process", "store main", "'orders' of system 7",
        "up to 2027-01-15T08:00:00Z", "90 success, 10 failed", "1 duration, 1 executions", "100 task type by minute",
        "worker by hour", "100 executions: 2027-01-15T06:20:00Z to 2027-01-15T07:59:00Z", "1 groups",
    ):  # fmt: skip
        assert told in out, told
    status, out, _ = run(capsys, "show", f"--state.path={tmp_path}", "--json")
    [store] = json.loads(out)["stores"]
    assert store["executions"] == {"SUCCESS": 90, "FAILED": 10, "TIMEOUT": 0, "CANCELLED": 0}
    assert store["keys"] == 9
    assert contents(tmp_path) == before


async def test_the_configuration_may_name_the_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path / "state")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {{path: {tmp_path / 'state'}}}\nconnections: {{targets: [{{name: one, host: localhost}}]}}\n"
    )
    assert run(capsys, "verify", f"--config.file={config}")[0] == 0
    monkeypatch.setenv("SCHEDULER_EXPORTER_STATE_PATH", str(tmp_path / "state"))
    assert run(capsys, "verify")[0] == 0


@pytest.mark.parametrize("action", ["show", "export", "verify"])
def test_what_cannot_be_looked_at_is_said(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> str:
        status, out, err = run(capsys, action, f"--state.path={tmp_path}")
        assert (status, out) == (1, "")
        return err

    assert "does not exist; --state.path is the directory that holds it" in told()
    (tmp_path / FILE_NAME).write_bytes(b"")
    assert "is empty" in told()
    (tmp_path / FILE_NAME).write_bytes(b"junk" * 1000)
    assert "cannot be read: file is not a database" in told()
    status, out, err = run(capsys, action, f"--state.path={tmp_path / FILE_NAME}")  # the file in place of its directory
    assert (status, out) == (1, "")
    assert "cannot be looked at: Not a directory; --state.path is the directory that holds it" in err
    assert run(capsys, action, "--state.path=:memory:")[2].endswith("there is no state file to look at\n")
    assert [f.name for f in tmp_path.iterdir()] == [FILE_NAME], "nothing is made"


async def test_export_has_every_row_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(tmp_path)
    capsys.readouterr()  # the log
    status, out, _ = run(capsys, "export", f"--state.path={tmp_path}")
    assert status == 0
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in out.splitlines():
        found = json.loads(line)
        rows.setdefault(found.pop("table"), []).append(found)
    assert rows["state"][0]["schema"] == 4
    assert rows["store"][0]["cursor"]["upto"] == NOW
    assert rows["exposed"] == [{"key": "a series"}]
    [hour] = [cell for cell in rows["rollup"] if cell["scope"] == "worker_by_hour" and cell["status"] == "FAILED"][:1]
    assert (hour["store"], hour["label"]) == ("main", "w1")
    assert hour["timed"] == sum(hour["sketch"].values())
    assert all(1.96 < float(seconds) < 2.04 for seconds in hour["sketch"])
    assert len(rows["recent"]) == 100
    assert rows["recent"][-1]["data"]["job_name"] == "nightly"
    assert rows["error_group"][0]["data"]["message"].startswith("host 10.0.0.")
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        for table, found in rows.items():
            if table != "state":
                assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (len(found),)
    db.close()


async def test_a_running_owner_is_named_and_not_disturbed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Ledger(str(tmp_path), budget=500) as ledger:
        await write(ledger)
        status, out, _ = run(capsys, "show", f"--state.path={tmp_path}")
        assert status == 0
        assert "in use by process " in out
        assert "90 success" in out
        assert run(capsys, "verify", f"--state.path={tmp_path}")[0] == 0
        await ledger.expose(["another series"])
        assert '"another series"' in run(capsys, "export", f"--state.path={tmp_path}")[1]


def test_a_file_whose_owner_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed = (
        "import asyncio, os, pathlib, sys; sys.path[:0] = ['tests']\n"
        "from ledger.test_state_inspection import write\n"
        "from exporter.ledger.ledger import Ledger\n"
        "async def main():\n"
        "    async with Ledger(sys.argv[1], budget=500) as ledger:\n"
        "        await write(ledger)\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    before = contents(tmp_path)
    assert before[f"{FILE_NAME}-wal"], "the log is left behind"
    for action in ("show", "export", "verify"):
        status, out, _ = run(capsys, action, f"--state.path={tmp_path}")
        assert status == 0, out
        assert contents(tmp_path) == before
    assert "90 success" in run(capsys, "show", f"--state.path={tmp_path}")[1]


HARM = {
    "no histogram": "UPDATE series SET data = '[1.0,0,0,0]' WHERE metric = 'executions'",
    "retries": "UPDATE series SET data = '[1000]' WHERE metric = 'retries'",
    "agrees with itself": "UPDATE rollup SET timed = timed - 1 WHERE scope = 2 AND status = 0",
    "add up": "UPDATE rollup SET count = count + 1 WHERE scope = 1 AND status = 0",
    "sum": "UPDATE rollup SET sum = sum + 1 WHERE scope = 1 AND status = 1",
    "minute is gone": "DELETE FROM rollup WHERE scope = 0 AND start = (SELECT max(start) FROM rollup WHERE scope = 0)",
    "refer": "UPDATE recent SET store = 9",
    "decoded": "UPDATE job SET data = '{'",
    "a list too short": "UPDATE series SET data = '[1]' WHERE metric = 'duration'",
}


@pytest.mark.parametrize("harm", HARM)
async def test_verify_finds_what_is_wrong(harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute(HARM[harm])
    db.close()
    status, out, _ = run(capsys, "verify", f"--state.path={tmp_path}")
    assert status == 1
    assert "WRONG" in out
    assert "What to do: " in out


async def test_verify_finds_damaged_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(tmp_path)
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    content[5 * 4096 : 9 * 4096] = b"\xaa" * 4 * 4096
    file.write_bytes(content)
    status, out, _ = run(capsys, "verify", f"--state.path={tmp_path}")
    assert status == 1
    assert "WRONG  SQLite finds" in out
    assert file.read_bytes() == content


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SCHEDULER_EXPORTER_STATE_PATH", "SCHEDULER_EXPORTER_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield
