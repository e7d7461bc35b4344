"""What a configuration is read as, and the files that are refused before anything in them is read."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.load import LARGEST, load_file, load_section, load_text
from exporter.config.model import Config, Duration, PostgresStore, Profile, Target
from exporter.config.references import FileReference
from exporter.config.secrets import Secret
from exporter.errors import ConfigError

Load = Callable[..., Config]

#: The smallest valid file on lines 1 to 3; what a case adds begins on line 4.
STORE = "stores:\n- name: main\n  dsn: postgresql://monitor@db/scheduler\n"


def test_defaults(load: Load) -> None:
    config = load(STORE)
    assert config == Config(stores=(PostgresStore(name="main", dsn=config.stores[0].dsn),))
    assert isinstance(config.stores[0].interval, Duration)
    assert repr(config.stores[0].dsn) == "<dsn>"


def test_values_have_the_types_of_the_model(load: Load) -> None:
    config = load(
        STORE
        + "  password: p\n  max_db_load: 1\n  interval: 1m30s\n  stuck_after: {task_types: {1: 2h, on: 3h}}\n"
        + "connections: {targets: [{name: no, host: '1', id: 7}, {name: off, host: b, id: '7a', port: 1}]}\n"
        + "readiness: {require_store: yes}\nlimits: {memory: 1000}\n"
    )
    store = config.stores[0]
    assert store.password == Secret("p")
    assert type(store.max_db_load) is float
    assert store.interval == 90
    assert store.stuck_after.task_types == {"1": 7200, "on": 10800}
    assert config.connections.targets == (
        Target(name="no", host="1", id=7),
        Target(name="off", host="b", id="7a", port=1),
    )
    assert config.readiness.require_store is True
    assert config.limits.memory == 1000


def test_a_section_without_keys_keeps_its_defaults(load: Load) -> None:
    config = load(STORE + "  critical_jobs:\n  parameters: ~\nweb:\n  # nothing\nslo:\nconnections: {targets: }\n")
    assert config == load(STORE)


def test_anchors_aliases_and_merge_keys(load: Load) -> None:
    config = load("""
stores:
- &main {name: main, dsn: host=a, interval: 1m, critical_jobs: &jobs [a, b]}
- <<: *main
  name: second
- {<<: [{timeout: 7s}, {timeout: 8s, grace: 9s}, *main], name: third, critical_jobs: *jobs}
""")
    first, second, third = config.stores
    assert (second.name, second.interval, second.critical_jobs) == ("second", 60, ("a", "b"))
    assert (third.name, third.timeout, third.grace, third.interval) == ("third", 7, 9, 60)
    assert first.timeout == 5


def test_quoted_merge_keys_are_ordinary(load: Load) -> None:
    assert load(STORE + "  parameters: {'<<': x}\n").stores[0].parameters == {"<<": "x"}


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("SELECT 1", "SELECT 1"),
        (" SELECT 1 ;\n", "SELECT 1"),
        ("SELECT ';' ;; -- end; really", "SELECT ';'"),
        ("SELECT \";\", 'it''s;' /* a; b */ FROM t", "SELECT \";\", 'it''s;' /* a; b */ FROM t"),
        ("SELECT $a$;$$;$a$, $1", "SELECT $a$;$;$a$, $1"),
        (r"SELECT E'\';'", r"SELECT E'\';'"),
        ("SELECT 'open; and on", "SELECT 'open; and on"),
    ],
)
def test_a_statement_loses_its_last_semicolon(sql: str, read: str, tmp_path: Path) -> None:
    text = "jobs: |\n" + textwrap.indent(sql, "  ", lambda _: True) + "\n"
    profile = load_section(text, Profile, filename="p.yaml", environ={}, base_dir=tmp_path)
    assert profile.jobs == read


@pytest.mark.parametrize("address", ["127.0.0.1:0", ":9795", "[::1]:9795", "[::]:1", "my-host.example.com:65535"])
def test_addresses(address: str, load: Load) -> None:
    assert load(STORE + f"web: {{listen_address: ['{address}']}}").web.listen_address == (address,)


def test_port_zero_may_stand_twice(load: Load) -> None:
    assert load(STORE + "web: {listen_address: ['127.0.0.1:0', '127.0.0.1:0']}").web.listen_address[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("info", "json", 90 * 86_400, False)),
        ("environment: development", ("debug", "console", 86_400, True)),
        ("environment: test", ("error", "console", 86_400, False)),
        ("environment: test\nlogging: {level: warning}", ("warning", "console", 86_400, False)),
        ("logging: {format: logfmt, retention: 30d, console: true}", ("info", "logfmt", 30 * 86_400, True)),
    ],
)
def test_logging_by_environment(text: str, expected: tuple[str, str, float, bool], load: Load) -> None:
    log = load(STORE + text).log
    assert (log.level, log.format, log.retention, log.console) == expected
    assert log.directory is None


def test_a_file_is_read_with_its_directory_and_its_environment(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + STORE.encode() + b"  password: ${file:password}\n  interval: ${I}\n")
    store = load_file(path, {"I": "7s"}).stores[0]
    assert store.password is not None
    assert store.password.template == (FileReference("password", str(tmp_path / "password")),)
    assert store.interval == 7


def test_the_environment_is_the_process_s_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTER_TEST_INTERVAL", "8s")
    path = tmp_path / "config.yaml"
    path.write_text(STORE + "  interval: ${EXPORTER_TEST_INTERVAL}\n")
    assert load_file(str(path)).stores[0].interval == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, ": cannot read the file: No such file or directory"),
        (b"", ": the file is empty"),
        (b"a: 1\nb: \xff\n", ":2: the file is not UTF-8 text"),
        (STORE.encode("utf-16"), ":1: the file is not UTF-8 text"),
        (b"#" * (LARGEST + 1), f": the file is larger than {LARGEST} bytes"),
        (bytes(range(256)) * 8, ":2: the file is not UTF-8 text"),
    ],
)
def test_files_that_are_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_file(path, {})
    (found,) = caught.value.problems
    assert found.startswith(f"{path}{message}")


@pytest.mark.parametrize("name", ["\0", "x" * 5000, "\ud800", "."])
def test_names_that_are_no_file(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_file(name, {})
    assert "cannot read the file" in str(caught.value)


def test_problems_are_single_lines_whatever_the_file_is_called(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("a", filename="a\nb", environ={}, base_dir=tmp_path)
    assert str(caught.value) == "a b:1: (root): expected a mapping; got text"
