"""Every error message about what a section needs or cannot have, by the smallest file that brings it about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Problems = Callable[..., list[str]]

#: The smallest valid file on lines 1 to 3; what a case adds begins on line 4.
STORE = "stores:\n- name: main\n  dsn: postgresql://monitor@db/scheduler\n"
PROFILE = STORE + "  profile:\n"

ONE_FAULT = {
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


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_is_one_line(case: str, problems: Problems) -> None:
    text, message = ONE_FAULT[case]
    (found,) = problems(text)
    assert message in found
    assert "\n" not in found
