"""Every error message, by the smallest file that brings it about."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import yaml_lines
from exporter.config.load import LARGEST, load_file, load_section, load_text
from exporter.config.model import Config, Duration, PostgresStore, Profile, Target
from exporter.config.problems import MOST_PROBLEMS
from exporter.config.references import FileReference
from exporter.config.secrets import Secret
from exporter.errors import ConfigError

Load = Callable[..., Config]
Problems = Callable[..., list[str]]

#: The smallest valid file on lines 1 to 3; what a case adds begins on line 4.
STORE = "stores:\n- name: main\n  dsn: postgresql://monitor@db/scheduler\n"
PROFILE = STORE + "  profile:\n"

SYNTAX = {
    "empty": ("", "c.yaml: the file is empty"),
    "only a comment": ("# nothing\n", "c.yaml: the file is empty"),
    "tab": ("stores:\n\t- name: x\n", "c.yaml:2:1: invalid YAML: "),
    "unclosed list": (
        "web: [a\nb: c\n",
        "c.yaml:2:2: invalid YAML: while parsing a flow sequence, did not find expected ',' or ']'",
    ),
    "unquoted reference": ("state: {path: ${X}}\n", "within { } and [ ], ${...} needs quotes"),
    "control character": ("a: 1\nb: \x07\n", "c.yaml:2: invalid YAML: a character that no text file holds"),
    "unpaired surrogate": ("a: \ud800\n", "c.yaml: invalid YAML"),
    "second document": (STORE + "---\nstores: []\n", "c.yaml:4: a second document begins here"),
    "unknown alias": ("web: *nowhere\n", "c.yaml:1: an alias (*) needs its anchor (&) above"),
    "alias within its anchor": ("a: &a\n  b: *a\n", "c.yaml:2: an alias (*) needs its anchor"),
    "tag": ("web: !!python/object:os.system x\n", "c.yaml:1: a tag (!) means nothing here"),
    "own tag": ("web: !secret x\n", "c.yaml:1: a tag (!) means nothing here"),
    "too deep": ("[" * 5000, "c.yaml:1: nested more than 40 deep"),
    "too deep by aliases": (
        "a0: &a0 {}\n" + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}}}\n" for i in range(1, 60)),
        "nested more than 40 deep, counted through aliases",
    ),
    "alias bomb": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
        "more than 200000 values, counted with every alias",
    ),
}

ONE_FAULT = {
    "no mapping": ("- a\n", "c.yaml:1: (root): expected a mapping; got a list"),
    "only text": ("hello\n", "c.yaml:1: (root): expected a mapping; got text"),
    "nothing to watch": (
        "environment: test\n",
        "c.yaml:1: stores: expected at least one store, or one target",
    ),
    "unknown key": (
        STORE + "  intervall: 15s\n",
        'c.yaml:4: stores[0].intervall: unknown key; did you mean "interval"? (known keys: name, dsn, kind, ',
    ),
    "unknown key, nothing near": (
        STORE + "zzz: 1\n",
        "c.yaml:4: zzz: unknown key (known keys: environment, web,",
    ),
    "key of another case": (STORE + "  Max-DB-Load: 1\n", 'did you mean "max_db_load"?'),
    "odd key": (STORE + '"a b\\n": 1\n', r'c.yaml:4: ["a b\n"]: unknown key'),
    "key that is a number": (STORE + "1: 2\n", "c.yaml:4: 1: unknown key"),
    "key that is nothing": (STORE + "~: 2\n", "c.yaml:4: (root): expected text as a key"),
    "key that is a list": (STORE + "? [a]\n: 2\n", "c.yaml:4: (root): expected text as a key"),
    "key with a NUL": (
        STORE + '  parameters: {"a\\0": b}\n',
        "c.yaml:4: stores[0].parameters: expected text as a key",
    ),
    "duplicate key": (STORE + "  name: other\n", "c.yaml:4: stores[0].name: duplicate key; first on line 2"),
    "missing key": ("stores:\n- dsn: host=db\n", "c.yaml:2: stores[0].name: required; expected text"),
    "missing keys below": (
        STORE + "slo: [{store: main}]\n",
        "c.yaml:4: slo[0].objective: required; expected a number",
    ),
    "bare number": (
        STORE + "  interval: 15\n",
        "c.yaml:4: stores[0].interval: expected a duration such as 15s, 5m, 2h, 35d; got 15 (a number nee",
    ),
    "no duration": (
        STORE + "  grace: soon\n",
        "stores[0].grace: expected a duration such as 15s, 5m, 2h, 35d; got soon",
    ),
    "nothing for a duration": (STORE + "  grace:\n", "stores[0].grace: expected a duration such as"),
    "too long": (STORE + "  grace: 99999d\n", "stores[0].grace: expected a duration of at most 36500d"),
    "zero": (STORE + "  interval: 0\n", "stores[0].interval: expected a duration longer than 0; got 0"),
    "zero by task type": (
        STORE + "  stuck_after: {task_types: {a: 0s}}\n",
        "stores[0].stuck_after.task_types.a: expected a duration longer than 0",
    ),
    "negative": (STORE + "  grace: -5s\n", "stores[0].grace: expected a duration"),
    "number for text": (
        STORE + "state: {path: 5}\n",
        "state.path: expected text; got a number 5; put it in quotes",
    ),
    "boolean for text": (
        STORE + "state: {path: true}\n",
        "state.path: expected text; got a boolean true; put it in q",
    ),
    "nothing for text": (STORE + "state: {path: }\n", "c.yaml:4: state.path: expected text; got nothing"),
    "empty text": (STORE + "state: {path: ''}\n", "state.path: expected something that is not empty"),
    "mapping for text": (STORE + "state: {path: {a: b}}\n", "state.path: expected text; got a mapping"),
    "NUL": (STORE + 'state: {path: "a\\0b"}\n', "state.path: expected text; it holds a NUL character"),
    "text for a number": (
        STORE + "limits: {memory: big}\n",
        "limits.memory: expected a whole number; got big",
    ),
    "fraction": (STORE + "limits: {memory: 1.5}\n", "limits.memory: expected a whole number; got 1.5"),
    "quoted number": (
        STORE + "limits: {memory: '5'}\n",
        "limits.memory: expected a whole number; got 5 (without the quotes)",
    ),
    "leading zero": (STORE + "limits: {memory: 05}\n", "got 05 (without the leading zero)"),
    "boolean for a number": (
        STORE + "limits: {memory: true}\n",
        "limits.memory: expected a whole number; got true",
    ),
    "huge number": (
        STORE + f"limits: {{memory: {'9' * 5000}}}\n",
        "limits.memory: expected a whole number; got",
    ),
    "infinity": (STORE + "  max_db_load: .inf\n", "stores[0].max_db_load: expected a number; got .inf"),
    "beyond floats": (
        STORE + "  max_db_load: 1e999\n",
        "stores[0].max_db_load: expected a number; got 1e999",
    ),
    "no boolean": (
        STORE + "readiness: {require_store: 1}\n",
        "readiness.require_store: expected true or false; got 1",
    ),
    "quoted boolean": (STORE + "readiness: {require_store: 'no'}\n", "got no (without the quotes)"),
    "unknown word": (
        STORE + "environment: prod\n",
        'environment: expected one of production, development, test; got prod; did you mean "production"?',
    ),
    "unknown kind": (
        STORE + "  kind: native\n  url: x\n",
        "c.yaml:4: stores[0].kind: expected one of postgres, nativelink, chronos; got native; did you mean",
    ),
    "list for a section": (STORE + "web: [a]\n", "web: expected a mapping; got a list"),
    "text for a section": (STORE + "web: a\n", "web: expected a mapping; got text"),
    "text for a list": (STORE + "  critical_jobs: a\n", "stores[0].critical_jobs: expected a list; got text"),
    "list for a mapping": (
        STORE + "  parameters: []\n",
        "stores[0].parameters: expected a mapping; got a list",
    ),
    "number in a mapping": (
        STORE + "  parameters: {a: 1}\n",
        "stores[0].parameters.a: expected text; got a number 1",
    ),
    "number for a profile": (STORE + "  profile: 1\n", "profile: expected text or a mapping; got a number 1"),
    "list for a profile": (STORE + "  profile: []\n", "profile: expected text or a mapping; got a list"),
    "nothing for a profile": (STORE + "  profile:\n", "profile: expected text or a mapping; got nothing"),
    "store is text": ("stores: [main]\n", "c.yaml:1: stores[0]: expected a mapping; got text"),
    "merge of text": (
        STORE + "web: {<<: a}\n",
        'web["<<"]: expected a mapping or a list of mappings to merge',
    ),
    # -- bounds
    "blank name": (
        "stores: [{name: ' ', dsn: host=db}]\n",
        "stores[0].name: expected something that is not empty",
    ),
    "long name": (
        f"stores: [{{name: {'n' * 201}, dsn: host=db}}]\n",
        "stores[0].name: expected at most 200 characters",
    ),
    "load of nothing": (STORE + "  max_db_load: 0\n", "max_db_load: expected at least 0.0001; got 0"),
    "load of next to nothing": (STORE + "  max_db_load: 1e-300\n", "max_db_load: expected at least 0.0001; got 1e-300"),
    "load above one": (STORE + "  max_db_load: 1.01\n", "max_db_load: expected at most 1; got 1.01"),
    "no series": (
        STORE + "limits: {series_per_metric: 0}\n",
        "series_per_metric: expected at least 1; got 0",
    ),
    "no checks": (
        STORE + "connections: {max_concurrent_checks: 0}\n",
        "max_concurrent_checks: expected at least 1",
    ),
    "empty host": (
        STORE + "connections: {targets: [{name: a, host: 'b,,c'}]}\n",
        "connections.targets[0].host: expected a host, or several with commas in between; one is empty",
    ),
    "ports": (
        STORE + "connections: {targets: [{name: a, host: 'b,c', port: '1,2,3'}]}\n",
        "connections.targets[0].port: expected one port, or as many as hosts; got 3 for 2",
    ),
    "ports beyond": (
        STORE + "connections: {targets: [{name: a, host: 'b,c', port: '1,65536'}]}\n",
        "connections.targets[0].port: expected ports from 1 to 65535",
    ),
    "no ports": (
        STORE + "connections: {targets: [{name: a, host: 'b,c', port: '1,x'}]}\n",
        "connections.targets[0].port: expected a port, or one for each host",
    ),
    "system authorities": (
        STORE + "connections: {targets: [{name: a, host: b, sslmode: require, sslrootcert: system}]}\n",
        "connections.targets[0].sslmode: expected verify-full with sslrootcert system",
    ),
    "session attributes": (
        STORE + "connections: {targets: [{name: a, host: b, target_session_attrs: master}]}\n",
        "connections.targets[0].target_session_attrs: expected one of any, read-write",
    ),
    "port": (
        STORE + "connections: {targets: [{name: a, host: b, port: 65536}]}\n",
        "port: expected at most 65535",
    ),
    "objective": (
        STORE + "slo: [{store: main, objective: 1}]\n",
        "slo[0].objective: expected less than 1; got 1",
    ),
    "ratio": (
        STORE + "alerting: {thresholds: {failure_ratio: 1.2}}\n",
        "failure_ratio: expected at most 1; got 1.2",
    ),
    "amount": (
        STORE + "alerting: {thresholds: {errors_per_hour: -1}}\n",
        "errors_per_hour: expected at least 0",
    ),
    "empty pattern": (
        STORE + "  critical_jobs: [a, '']\n",
        "stores[0].critical_jobs[1]: expected something that is not",
    ),
    # -- more than one key
    "slow interval": (
        STORE + "  interval: 10m\n",
        "c.yaml:4: stores[0].interval: expected at most staleness, which is 5m; got 10m",
    ),
    "slow timeout": (
        STORE + "  timeout: 20s\n  staleness: 15s\n",
        "c.yaml:4: stores[0].timeout: expected at most staleness, which is 15s; got 20s",
    ),
    "slow checks": (
        STORE + "connections: {interval: 10m}\n",
        "connections.interval: expected at most staleness",
    ),
    "store name twice": (
        STORE + "- name: main\n  dsn: host=db\n",
        'c.yaml:4: stores[1].name: duplicate name "main"; first at stores[0].name (line 2)',
    ),
    "target name twice": (
        "connections: {targets: [{name: a, host: b}, {name: a, host: c}]}\n",
        'connections.targets[1].name: duplicate name "a"',
    ),
    "target id twice": (
        "connections: {targets: [{name: a, host: b, id: 1}, {name: c, host: d, id: '1'}]}\n",
        'connections.targets[1].id: duplicate id "1"',
    ),
    "override of no store": (
        STORE + "alerting: {overrides: [{store: mian}]}\n",
        'alerting.overrides[0].store: no store is named "mian"; did you mean "main"? (stores: "main")',
    ),
    "objective of no store": (
        STORE + "slo: [{store: x, objective: 0.9}]\n",
        'slo[0].store: no store is named "x" (st',
    ),
    "override twice": (
        STORE + "alerting:\n  overrides:\n  - store: main\n  - {store: main, task_type: ''}\n",
        'c.yaml:7: alerting.overrides[1].store: duplicate entry for store "main" and task type ""; first at '
        "alerting.overrides[0].store (line 6)",
    ),
    "objective twice": (
        STORE + "slo: [{store: main, objective: 0.9}, {store: main, objective: 0.99}]\n",
        'slo[1].store: duplicate entry for store "main"',
    ),
    "certificate without key": (
        "connections: {targets: [{name: a, host: b, sslcert: c}]}\n",
        "connections.targets[0].sslkey: required with sslcert",
    ),
    "key without certificate": (
        "connections: {targets: [{name: a, host: b, sslkey: c}]}\n",
        "connections.targets[0].sslcert: required with sslkey",
    ),
    "authority without TLS": (
        "connections: {targets: [{name: a, host: b, sslmode: disable, sslrootcert: c}]}\n",
        "connections.targets[0].sslrootcert: never used with sslmode disable",
    ),
    # -- connection strings
    "no DSN": (
        "stores: [{name: a, dsn: 'db:5432'}]\n",
        "stores[0].dsn: expected a PostgreSQL connection string such as",
    ),
    "empty DSN": (
        "stores: [{name: a, dsn: ' '}]\n",
        "stores[0].dsn: expected a PostgreSQL connection string; it is empt",
    ),
    "DSN with a NUL": (
        'stores: [{name: a, dsn: "host=a\\0b"}]\n',
        "stores[0].dsn: expected text; it holds a NUL",
    ),
    "nothing for a DSN": (
        "stores: [{name: a, dsn: }]\n",
        "dsn: expected a PostgreSQL connection string; got nothing",
    ),
    "number for a DSN": (
        "stores: [{name: a, dsn: 5}]\n",
        "connection string; got a number; put it in quotes",
    ),
    "two passwords": (
        "stores: [{name: a, dsn: 'postgresql://u:p@db', password: q}]\n",
        "stores[0].password: the password is in dsn too; keep one of the two",
    ),
    "empty password": (
        STORE + "  password: ''\n",
        "stores[0].password: expected a secret text; got an empty one",
    ),
    "number for a password": (
        STORE + "  password: 12\n",
        "expected a secret text; got a number; put it in quotes",
    ),
    # -- profiles
    "empty profile": (STORE + "  profile: {}\n", "stores[0].profile.jobs: expected jobs or executions"),
    "no cursor": (
        PROFILE + "    executions: SELECT 1\n",
        "stores[0].profile.cursor: required with executions",
    ),
    "no position": (
        PROFILE + "    executions: SELECT 1\n    cursor: {kind: id}\n",
        "c.yaml:6: stores[0].profile.cursor.position: required with kind id",
    ),
    "idle position": (
        PROFILE + "    executions: SELECT 1\n    cursor: {position: SELECT 1}\n",
        "stores[0].profile.cursor.position: only a cursor of kind id has a position; this one is timestamp",
    ),
    "empty key": (
        PROFILE + "    jobs: SELECT 1\n    key: []\n",
        "profile.key: expected something that is not empty",
    ),
    "empty SQL": (PROFILE + "    jobs: '; -- none'\n", "profile.jobs: expected a SELECT; it is empty"),
    "two statements": (
        PROFILE + "    jobs: SELECT ';'; DROP TABLE x\n",
        "profile.jobs: expected one statement; another one follows the semicolon",
    ),
    # -- the listener
    "no address": (
        STORE + "web: {listen_address: []}\n",
        "web.listen_address: expected something that is not empty",
    ),
    "address as text": (
        STORE + "web: {listen_address: ':80'}\n",
        "web.listen_address: expected a list; got text",
    ),
    "port beyond": (
        STORE + "web: {listen_address: [':65536']}\n",
        "web.listen_address[0]: expected host:port",
    ),
    "no port": (STORE + "web: {listen_address: [localhost]}\n", "web.listen_address[0]: expected host:port"),
    "bare IPv6": (STORE + "web: {listen_address: ['::1:80']}\n", "an IPv6 address stands in brackets"),
    "no IPv6": (
        STORE + "web: {listen_address: ['[::g]:80']}\n",
        "what is in the brackets is no IPv6 address",
    ),
    "socket": (STORE + "web: {listen_address: ['unix:/run/x']}\n", "Unix sockets are not supported"),
    "address twice": (
        STORE + "web: {listen_address: [':80', ':80']}\n",
        'web.listen_address[1]: duplicate address ":80"',
    ),
    "relative path": (
        STORE + "web: {telemetry_path: metrics}\n",
        'telemetry_path: expected a path that begins with "/"',
    ),
    "taken path": (
        STORE + "web: {telemetry_path: /-/ready/}\n",
        "telemetry_path: expected a path that is not taken",
    ),
    "the page's path": (
        STORE + "web: {telemetry_path: /}\n",
        "telemetry_path: expected a path that is not taken",
    ),
    "odd path": (
        STORE + "web: {telemetry_path: '/a{b}'}\n",
        "telemetry_path: expected a path of letters, digits",
    ),
}


@pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("case", SYNTAX)
def test_a_file_that_cannot_be_read(
    case: str, parser: str, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_lines, "LOADER", getattr(yaml_lines.yaml, parser))
    text, message = SYNTAX[case]
    (found,) = problems(text)
    if "invalid YAML" in message and parser == "SafeLoader":
        message = "invalid YAML"  # PyYAML's own parser notices some faults elsewhere
    assert message in found


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_is_one_line(case: str, problems: Problems) -> None:
    text, message = ONE_FAULT[case]
    (found,) = problems(text)
    assert message in found
    assert "\n" not in found


def test_all_faults_of_a_file_are_told_at_once_and_in_its_order(problems: Problems) -> None:
    text = textwrap.dedent("""\
        environment: prod
        stores:
        - name: main
          dsn: "password=hunter2 host"
          intervall: 1s
          timeout: 5
          profile: {executions: "SELECT 1; SELECT 2"}
        - name: main
          password: "${MISSING}"
          interval: 10m
        - 7
        connections:
          targets:
          - {name: a, host: h, sslcert: c, port: 0}
          - {host: h, id: [1]}
        limits: {series_per_metric: none}
        limits: {}
        """)
    assert [line.split(": ")[:2] for line in problems(text)] == [
        ["c.yaml:1", "environment"],
        ["c.yaml:4", "stores[0].dsn"],
        ["c.yaml:5", "stores[0].intervall"],
        ["c.yaml:6", "stores[0].timeout"],
        ["c.yaml:7", "stores[0].profile.executions"],
        ["c.yaml:7", "stores[0].profile.cursor"],
        ["c.yaml:8", "stores[1].dsn"],
        ["c.yaml:8", "stores[1].name"],
        ["c.yaml:9", "stores[1].password"],
        ["c.yaml:10", "stores[1].interval"],
        ["c.yaml:11", "stores[2]"],
        ["c.yaml:14", "connections.targets[0].port"],
        ["c.yaml:14", "connections.targets[0].sslkey"],
        ["c.yaml:15", "connections.targets[1].id"],
        ["c.yaml:15", "connections.targets[1].name"],
        ["c.yaml:16", "limits.series_per_metric"],
        ["c.yaml:17", "limits"],
    ]


def test_a_file_of_nothing_but_faults_is_cut(problems: Problems) -> None:
    found = problems(STORE + "".join(f"key{i}: 1\n" for i in range(MOST_PROBLEMS + 20)))
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1] == "c.yaml: (root): 20 more problems are not shown"


SECRETS = [
    'password: "hunter2{value}"',
    "password: [hunter2]",
    "password: {hunter2: x}",
    "password: hunter2: x",
    "password: 'hunter2",
    "password: *hunter2",
    "password: !hunter2",
    "password: !hunter2!x y",
    "password: &hunter2",
    "password: |hunter2",
    "password: %hunter2",
    'password: "\\xhunter2"',
    'password: "a\\0hunter2"',
    "password: ${hunter2 }",
    "password: 'x${hunter2'",
    "password: hunter2\n  password: hunter2",
    "dsn: postgresql://u:hunter2@h:port/db",
    "dsn: postgresql://u:hun%ter2@h/db",
    "dsn: postgresql://u:hunter2@[::1/db",
    "dsn: host=h password='hunter2",
    "dsn: host=h hunter2",
    "dsn: [postgresql://u:hunter2@h]",
    "dsn: {'postgresql://u:hunter2@h': 1}",
    "dsn: postgresql://u:hunter2@h\n  postgresql://u:hunter2@h: 1",
    "dsn: postgresql://u:hunter2@h\n  password: hunter2",
    "dsn: '${DSN}'",
    "dsn: '${DSN}x'",
    "password: '${EMPTY}${NUL}'",
    "interval: '${DSN}'",
    "max_db_load: ${DSN}",
    "profile: {history: '${DSN}'}",
]


@pytest.mark.parametrize("lines", SECRETS)
def test_no_secret_and_no_part_of_one_is_in_an_error(lines: str, problems: Problems) -> None:
    environ = {"DSN": "postgresql://u:hunter2@h:port/db", "EMPTY": "", "NUL": "hunter2\0"}
    extra = "  bad: 1\n"  # so that a value that is fine in itself is refused with its file, too
    found = "\n".join(problems(f"stores:\n- name: main\n  {lines}\n{extra}", **environ))
    assert "hunter2" not in found
    assert "port/db" not in found
    assert "hun%" not in found


def test_the_error_carries_no_exception_that_could_tell(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("stores: [{name: a, dsn: 'host=h hunter2'}]")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


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


def test_a_fault_in_a_merged_key_is_told_where_it_stands(problems: Problems) -> None:
    found = problems("stores:\n- &a\n  name: a\n  dsn: host=a\n  interval: 5\n- <<: *a\n  name: b\n")
    assert [line.split(": expected")[0] for line in found] == [
        "c.yaml:5: stores[0].interval",
        "c.yaml:5: stores[1].interval",
    ]


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
