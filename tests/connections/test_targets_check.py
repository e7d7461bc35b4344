"""``targets check``: what it prints, what it exits with, on real servers and with credentials from a real Vault."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from support.faulty_servers import Server
from support.ports import free_port
from support.scheduler import PASSWORD, NativeStore, native_store
from support.sidecar import COMMAND, HOST, clean_environment, one_store, run_command, target
from support.vault_server import VaultServer, running_vault

from exporter.config.dsn import parse_dsn
from exporter.config.model import Target
from exporter.connections.results import CheckResult, ServerFacts
from exporter.connections.telling import Checked, Style, as_object, summary, text


@pytest.fixture(scope="module")
def vault() -> Iterator[VaultServer]:
    with running_vault() as server:
        yield server


@pytest.fixture
def native(database: Any) -> NativeStore:
    return native_store(database)


def user(native: NativeStore) -> str:
    return str(parse_dsn(native.dsn)["user"])


def healthy(native: NativeStore, name: str = "Production DB", **options: Any) -> dict[str, Any]:
    login = {"user": user(native), "password": PASSWORD, "database": native.database.name}
    return target(name, native.database.server.port, **{**login, **options})


def written(directory: Path, config: Mapping[str, Any]) -> str:
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    return f"--config.file={file}"


def configured(*targets: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"connections": {"timeout": "10s", "targets": [dict(one) for one in targets]}, **more}


def test_all_ok_is_told_stage_by_stage_and_exits_with_0(native: NativeStore, tmp_path: Path) -> None:
    done = run_command("targets", "check", written(tmp_path, configured(healthy(native))))
    assert (done.returncode, done.stderr) == (0, "")
    head, columns, *stages, total = done.stdout.splitlines()
    assert head == f"Production DB  127.0.0.1:{native.database.server.port}/{native.database.name}"
    assert columns.split() == ["stage", "seconds", "result"]
    assert [(line.split()[0], line.split()[2]) for line in stages] == [("tcp", "ok"), ("auth", "ok"), ("query", "ok")]
    with native.database.connect() as connection:
        version = connection.execute("SHOW server_version").fetchone()
    assert version is not None and total.endswith(f"ok  primary, PostgreSQL {version[0]}")
    assert sum(float(line.split()[1]) for line in stages) == pytest.approx(float(total.split()[1]), abs=0.002)


def test_the_file_may_be_named_by_the_environment(native: NativeStore, tmp_path: Path) -> None:
    file = written(tmp_path, configured(healthy(native))).removeprefix("--config.file=")
    done = run_command("targets", "check", environment={"SCHEDULER_EXPORTER_CONFIG_FILE": file})
    assert done.returncode == 0, done.stderr


def test_one_that_fails_exits_with_1_and_shows_no_secret(native: NativeStore, tmp_path: Path) -> None:
    bad = healthy(native, "Test DB", password="not-the-pass\\word")
    config = written(tmp_path, configured(healthy(native), bad, target("Gone", free_port(), user="nobody")))
    done = run_command("targets", "check", config)
    assert done.returncode == 1
    assert "FAILED  auth: " in done.stdout and "(SQLSTATE 28P01)" in done.stdout
    assert done.stdout.splitlines()[-1] == "3 targets: 1 ok, 2 failed: Test DB (auth), Gone (tcp: refused)"
    assert "not-the-pass" not in done.stdout + done.stderr
    only = run_command("targets", "check", "Production DB", config)
    assert only.returncode == 0 and "Test DB" not in only.stdout


def test_json_says_the_same(native: NativeStore, tmp_path: Path) -> None:
    config = written(tmp_path, configured(healthy(native, id=7), target("Gone", free_port(), user="nobody")))
    done = run_command("targets", "check", "--json", config)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    good, gone = answer["targets"]
    assert answer["ok"] is False and answer["silent_stores"] == {}
    assert (good["id"], good["ok"], good["role"], good["failed_stage"]) == (7, True, "primary", None)
    assert [stage["stage"] for stage in good["stages"]] == ["tcp", "auth", "query"]
    assert (gone["result"], gone["failed_stage"], gone["stages"][-1]["result"]) == ("refused", "tcp", "refused")
    by_id = run_command("targets", "check", "7", "--json", config)
    assert by_id.returncode == 0 and [one["name"] for one in json.loads(by_id.stdout)["targets"]] == ["Production DB"]


def test_a_name_that_no_target_has_is_a_fault_of_the_command_line(native: NativeStore, tmp_path: Path) -> None:
    config = written(tmp_path, configured(healthy(native), healthy(native, "Reports")))
    done = run_command("targets", "check", "production-db", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "scheduler-exporter: no target is named 'production-db'; did you mean 'Production DB'?\n"
    far = run_command("targets", "check", "xyzzy", config)
    assert far.returncode == 2 and "(targets: 'Production DB', 'Reports')" in far.stderr
    assert run_command("targets", "check", "--jsn", config).returncode == 2
    assert run_command("targets", "check", f"--config.file={tmp_path}/none.yaml").returncode == 1


def test_targets_of_a_store_with_credentials_from_vault(
    native: NativeStore, vault: VaultServer, tmp_path: Path
) -> None:
    vault.enable_kv()
    vault.put("secret/data/reports", username=user(native), password=PASSWORD)
    with native.database.connect() as connection:
        connection.execute(
            "INSERT INTO connections (id, name, host, port, database, vault_path) VALUES"
            " (11, 'Reports', %(host)s, %(port)s, %(database)s, 'secret/data/reports'),"
            " (12, 'No secret', %(host)s, %(port)s, %(database)s, 'secret/data/nothing'),"
            " (13, 'No port', %(host)s, 0, %(database)s, NULL)",
            {"host": HOST, "port": native.database.server.port, "database": native.database.name},
        )
    token = vault.new_token(vault.write_policy())
    section = {"address": vault.address, "auth": {"method": "token", "token": token}}
    config = {**one_store(native.dsn), "vault": section}
    done = run_command("targets", "check", written(tmp_path, config))
    assert done.returncode == 1
    assert "(store main, id 11)" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 targets: 1 ok, 1 failed: No secret (vault)"
    assert done.stderr.startswith("store main, connection 13: not checked: port: expected")
    assert PASSWORD not in done.stdout + done.stderr and token not in done.stdout + done.stderr
    one = run_command("targets", "check", "Reports", written(tmp_path, config))
    assert one.returncode == 0
    assert [line.split()[0] for line in one.stdout.splitlines()[2:]] == [
        "vault",
        "tcp",
        "tls",
        "auth",
        "query",
        "total",
    ]


def test_a_store_that_is_down_is_said_and_the_rest_is_checked(native: NativeStore, tmp_path: Path) -> None:
    dsn = f"postgresql://nobody@{HOST}:{free_port()}/nothing"
    config = written(tmp_path, {**one_store(dsn), **configured(healthy(native))})
    done = run_command("targets", "check", config)
    assert done.returncode == 1
    assert "Production DB" in done.stdout
    assert done.stderr.startswith("store main could not be asked for its connections: no connection")
    # What the configuration has needs no store.
    assert run_command("targets", "check", "Production DB", config).returncode == 0
    assert run_command("targets", "check", "Reports", config).returncode == 1


def test_the_certificate_s_end_is_told(tls_server: Server, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    options = {"host": "localhost", "sslmode": "verify-full", "sslrootcert": str(tmp_path / "ca.pem")}
    config = configured(target("tls", tls_server.port, user="postgres", password="secret", **options))
    done = run_command("targets", "check", written(tmp_path, config))
    assert done.returncode == 0
    assert "certificate until 3000-01-01" in done.stdout and " days left)" in done.stdout


def test_a_terminal_gets_colours_and_lines_that_fit(native: NativeStore, tmp_path: Path) -> None:
    config = written(tmp_path, configured(healthy(native), healthy(native, "Test DB", password="wrong")))
    shown = on_terminal("targets", "check", config)
    assert "\033[32mok\033[0m" in shown and "\033[1;31mFAILED\033[0m" in shown
    plain = shown.replace("\033[1;31m", "").replace("\033[0m", "").replace("\033[2m", "").splitlines()
    assert all(len(line.rstrip()) <= 80 for line in plain if "FAILED" in line and "targets:" not in line)
    assert "\033[" not in on_terminal("targets", "check", config, environment={"NO_COLOR": "1"})


def on_terminal(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What the command shows on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    try:
        with subprocess.Popen(
            [*COMMAND, *arguments], stdout=follower, env={**clean_environment(environment), "COLUMNS": "80"}
        ):
            os.close(follower)
            shown = b""
            with open(leader, "rb", buffering=0, closefd=False) as terminal:
                while True:
                    try:
                        part = terminal.read(65536)
                    except OSError:  # how Linux tells that nobody has the other end any more
                        break
                    if not part:
                        break
                    shown += part
    finally:
        os.close(leader)
    return shown.decode()


def test_words_and_shapes() -> None:
    day = 86_400.0
    place = Target(name="t", host="::1", id=3)
    facts = ServerFacts(server_version="15.4", role="replica")
    result = CheckResult(
        result="ok", finished_at=0, response_seconds=0.03, stages={"tcp": 0.01, "query": 0.02}, facts=facts,
        tls_expiry=10 * day + 1,
    )  # fmt: skip
    style = Style(colours=False)
    good = Checked(target=place, result=result)
    assert text(good, style, now=9 * day).splitlines()[0] == "t  [::1]:5432/postgres"
    assert text(good, style, now=9 * day).endswith(
        "0.030  ok  replica, PostgreSQL 15.4, certificate until 1970-01-11 (1 day left)"
    )
    assert "(EXPIRED)" in text(good, style, now=11 * day)
    assert summary([good], style) == "1 target: all ok"
    assert as_object(good)["tls_expiry"] == "1970-01-11T00:00:01+00:00"
    several = Target(name="s", host="a,b", port="5432,6432", database="d")
    assert text(Checked(target=several, result=result), style).splitlines()[0] == "s  a:5432,b:6432/d"
    failed = CheckResult(result="other", finished_at=0, response_seconds=0, stages={}, error_message="a fault")
    assert "FAILED  other: a fault" in text(Checked(target=place, result=failed), style)
    assert summary([good, Checked(target=place, result=failed)], style) == "2 targets: 1 ok, 1 failed: t (other)"
