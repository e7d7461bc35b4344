"""The section dependencies: kinds, contradictions, and passwords that nobody sees."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from exporter.config.load import load_text
from exporter.config.model import Config, Dependency, PostgresDependency, RedisDependency, Target
from exporter.config.redact import redacted
from exporter.errors import ConfigError


def load(*entries: str) -> Config:
    text = "stores: [{name: main, dsn: postgresql://x@h/d}]\ndependencies:\n" + "".join(f"- {e}\n" for e in entries)
    return load_text(text, filename="c.yaml", environ={}, base_dir=Path("/"))


def test_every_kind_has_its_keys_and_defaults() -> None:
    config = load(
        "{name: archive, kind: postgres, host: h}",
        "{name: queue, kind: redis, url: redis://redis:6379/0, password: sentinel-1, required: true}",
        "{name: events, kind: kafka, brokers: ['k:9092', '[::1]:9092'], username: u, password: sentinel-2}",
        "{name: api, kind: http, url: 'https://api/health?deep=1', token: sentinel-3}",
        "{name: mail, kind: smtp, host: smtp}",
        "{name: gateway, kind: tcp, host: h, port: 8443}",
    )
    archive, queue, *_, mail, _ = config.dependencies
    assert isinstance(archive, PostgresDependency)
    assert (archive.port, archive.required, archive.interval, archive.timeout, archive.staleness) == (
        5432,
        False,
        15,
        5,
        300,
    )
    assert isinstance(queue, RedisDependency)
    assert queue.required
    assert mail.kind == "smtp"
    assert mail.port == 25
    assert "sentinel" not in redacted(config)
    assert "sentinel" not in repr(config)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{name: a}", "kind: required; expected one of postgres, redis, kafka, http, smtp, tcp"),
        (
            "{name: a, kind: redi}",
            'kind: expected one of postgres, redis, kafka, http, smtp, tcp; got redi; did you mean "redis"?',
        ),
        ("{name: a, kind: tcp, host: h}", "port: required; expected a whole number"),
        (
            "{name: a, kind: tcp, host: h, port: 1, interval: 10m}",
            "interval: expected at most staleness, which is 5m; got 10m",
        ),
        ("{name: a, kind: tcp, host: h, port: 1, ca_file: x}", "ca_file: never used without tls: true"),
        ("{name: a, kind: redis, url: 'redis://h', ca_file: x}", "ca_file: never used with redis://"),
        ("{name: a, kind: redis, url: 'redis://h', username: x}", "password: required with username"),
        (
            "{name: a, kind: kafka, brokers: [h]}",
            "brokers[0]: expected host:port, such as kafka-1:9092 or [::1]:9092; got h",
        ),
        ("{name: a, kind: kafka, brokers: []}", "brokers: expected something that is not empty"),
        (
            "{name: a, kind: kafka, brokers: ['h:1'], groups: [g]}",
            "groups: needs topics: a group's position is one in a topic",
        ),
        ("{name: a, kind: kafka, brokers: ['h:1'], password: p}", "username: required with password"),
        ("{name: a, kind: http, url: 'ftp://h'}", "url: expected an address such as https://api.internal/health"),
        ("{name: a, kind: http, url: 'http://h', statuses: [99]}", "statuses[0]: expected at least 100; got 99"),
        (
            "{name: a, kind: http, url: 'http://h', username: u, password: p, token: t}",
            "token: there is a username too; keep one of the two",
        ),
        (
            "{name: a, kind: smtp, host: h, tls: true, starttls: always}",
            "starttls: the connection is TLS from the first byte on with tls: true; keep one of the two",
        ),
        (
            "{name: a, kind: postgres, host: h, vault: {role: database/creds/x}}",
            "vault: needs the section vault at the top of the file: where Vault is and how to log in",
        ),
        ("{name: a, kind: postgres, host: h, sslcert: x}", "sslkey: required with sslcert"),
    ],
)
def test_what_is_wrong_is_told(entry: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(entry)
    assert [text.split("dependencies[0].", 1)[1].startswith(problem) for text in caught.value.problems] == [True], (
        caught.value
    )


def test_a_login_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load("{name: a, kind: redis, url: 'redis://u:sentinel@h'}", "{name: b, kind: http, url: 'http://u:sentinel@h'}")
    assert len(caught.value.problems) == 2
    assert "sentinel" not in str(caught.value)


def test_names_are_unique_and_may_be_those_of_stores() -> None:
    load("{name: main, kind: tcp, host: h, port: 1}")
    with pytest.raises(ConfigError, match="duplicate name"):
        load("{name: a, kind: tcp, host: h, port: 1}", "{name: a, kind: smtp, host: h}")


def test_a_postgres_dependency_has_the_keys_of_a_target() -> None:
    keys, target = ({f.name: f for f in msgspec.structs.fields(kind)} for kind in (PostgresDependency, Target))
    common = {f.name for f in msgspec.structs.fields(Dependency)}
    assert keys.keys() - common - {"kind"} == target.keys() - {"id", "name", "reuse"}
    for name in keys.keys() & target.keys():
        assert (keys[name].type, keys[name].default) == (target[name].type, target[name].default), name
