"""Stores over HTTP: what they take, and what is told of keys that belong to another kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load_text
from exporter.config.model import ChronosStore, Config, Duration, NativelinkStore, PostgresStore
from exporter.config.redact import redacted
from exporter.errors import ConfigError
from exporter.sharding import Share

STORE = "stores: [{name: main, %s}]\n"
CHRONOS = "kind: chronos, url: 'https://c.internal'"


def load(text: str) -> Config:
    return load_text(text, filename="c.yaml", environ={}, base_dir=Path())


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(text)
    return error.value.problems


def test_defaults_and_what_is_given() -> None:
    plain = load(STORE % "kind: nativelink, url: 'http://n.internal:50062/'").stores[0]
    assert plain == NativelinkStore(name="main", kind="nativelink", url="http://n.internal:50062")
    assert (plain.interval, plain.timeout, plain.staleness, plain.verify) == (15, 5, 300, True)
    whole = load(STORE % f"{CHRONOS}, token: s3cret-t0ken, verify: false, interval: 5s, timeout: 2s, staleness: 1m")
    assert isinstance(whole.stores[0], ChronosStore)
    assert whole.stores[0].interval == Duration(5)
    assert "s3cret-t0ken" not in redacted(whole)


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("kind: chronos", "stores[0].url: required"),
        ("kind: cronos, url: 'http://h'", 'nativelink, chronos; got cronos; did you mean "chronos"?'),
        ("kind: chronos, url: 'ftp://h'", "stores[0].url: expected a URL"),
        ("kind: chronos, url: 'http://u:p@h'", "it must not hold a login"),
        ("kind: chronos, url: 'http://h/?a=b'", "without a query"),
        (f"{CHRONOS}, dsn: 'host=h'", "stores[0].dsn: kind chronos has no such key; write url, the address of its API,"
         " or write kind: postgres (known keys: "),
        (f"{CHRONOS}, vault: {{role: r}}", 'stores[0].vault: kind chronos has no such key; write token: "${vault:'),
        (f"{CHRONOS}, profile: auto", "stores[0].profile: kind chronos has no such key; leave it out: the kind says"),
        (f"{CHRONOS}, max_db_load: 0.1", "stores[0].max_db_load: kind chronos has no such key; leave it out, or write"),
        (f"{CHRONOS}, tokn: x", 'stores[0].tokn: unknown key; did you mean "token"?'),
        ("dsn: 'host=h', token: x", "stores[0].token: kind postgres has no such key; leave it out, or write kind:"
         " nativelink or chronos"),
        (f"{CHRONOS}, username: u", "stores[0].password: required with username"),
        (f"{CHRONOS}, token: t, username: u, password: p", "keep one of the two"),
        (f"{CHRONOS}, verify: false, ca_file: x", "stores[0].ca_file: never used with verify: false"),
        ("kind: chronos, url: 'http://h', ca_file: x", "stores[0].ca_file: never used with http://"),
        ("kind: chronos, url: 'http://h', verify: false", "stores[0].verify: never used with http://"),
        (f"{CHRONOS}, interval: 10m", "stores[0].interval: expected at most staleness"),
    ],
)  # fmt: skip
def test_what_is_refused(store: str, told: str) -> None:
    (found,) = refused(STORE % store)
    assert told in found


def test_a_url_alone_is_not_a_store_in_postgresql() -> None:
    found = refused(STORE % "url: 'http://h'")
    assert any("stores[0].url: kind postgres has no such key" in text for text in found)
    assert any("stores[0].dsn: required" in text for text in found)


def test_only_stores_in_postgresql_list_connections() -> None:
    both = load("stores:\n  - {name: a, dsn: host=h}\n  - {name: b, kind: chronos, url: 'http://h'}\n")
    assert [store.name for store in Share(file=both).polled] == ["a", "b"]
    assert Share(file=both).listing == ("a",)
    assert [store.name for store in Share(file=both, shard=1, total=2).asked] == ["a"]
    assert all(isinstance(store, PostgresStore) for store in Share(file=both, shard=1, total=2).asked)
