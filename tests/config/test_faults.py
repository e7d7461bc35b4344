"""Every error message about YAML, keys and single values, by the smallest file that brings it about."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from exporter.config import yaml_lines
from exporter.config.model import Config
from exporter.config.problems import MOST_PROBLEMS
from exporter.errors import ConfigError

Load = Callable[..., Config]
Problems = Callable[..., list[str]]

#: The smallest valid file on lines 1 to 3; what a case adds begins on line 4.
STORE = "stores:\n- name: main\n  dsn: postgresql://monitor@db/scheduler\n"

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
    "key that belongs into stores": (
        STORE + "counting: {late_window: 1m}\n",
        "c.yaml:4: counting: unknown key; it is a key of stores[] (known keys: environment, web,",
    ),
    "key that belongs further in": (STORE + "late_window: 1m\n", "unknown key; it is a key of stores[].counting ("),
    "key that belongs further out": (STORE + "  packs: [x]\n", "unknown key; it is a key of the whole file ("),
    "key that belongs into one of two": (STORE + "format: json\n", "format: unknown key; it is a key of logging ("),
    "key that belongs anywhere": (STORE + "timeout: 5s\n", "c.yaml:4: timeout: unknown key (known keys"),
    "misspelt key that is another's name": (
        STORE + "alerting: {receiver: {tokens: x}}\n",
        'alerting.receiver.tokens: unknown key; did you mean "token"?',
    ),
    "key cut short": (STORE + "log: {}\n", 'c.yaml:4: log: unknown key; did you mean "logging"?'),
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


def test_a_fault_in_a_merged_key_is_told_where_it_stands(problems: Problems) -> None:
    found = problems("stores:\n- &a\n  name: a\n  dsn: host=a\n  interval: 5\n- <<: *a\n  name: b\n")
    assert [line.split(": expected")[0] for line in found] == [
        "c.yaml:5: stores[0].interval",
        "c.yaml:5: stores[1].interval",
    ]


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
