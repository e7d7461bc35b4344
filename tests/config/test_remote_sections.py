"""Sections of what is asked over HTTP, and of triggers: what is refused, and that no login is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load_text
from exporter.config.model import Config, Duration, HttpTrigger, RedisTrigger, SqlTrigger
from exporter.config.redact import redacted
from exporter.errors import ConfigError

STORE = "stores: [{name: main, dsn: host=h, trigger: %s}]\n"


def load(text: str) -> Config:
    return load_text(text, filename="c.yaml", environ={}, base_dir=Path())


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(text)
    return str(error.value)


def test_a_trigger_is_of_a_kind() -> None:
    assert load(STORE % "null").stores[0].trigger == SqlTrigger()
    given = load(STORE % "{statement: UPDATE t SET x = 1 WHERE id = $1;}").stores[0].trigger
    assert given == SqlTrigger(statement="UPDATE t SET x = 1 WHERE id = $1")
    redis = load(STORE % "{kind: redis, url: 'rediss://r:6380/2', list: q, timeout: 1s}").stores[0].trigger
    assert redis == RedisTrigger(url="rediss://r:6380/2", list="q", timeout=Duration(1))
    http = load(STORE % "{kind: http, url: 'https://h/{job_id}?a=1', token: secret-t0ken}")
    assert isinstance(http.stores[0].trigger, HttpTrigger)
    assert "secret-t0ken" not in redacted(http)


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        ("{kind: redis, list: q}", "stores[0].trigger.url: required"),
        ("{kind: redis, url: 'redis://h', list: q, list2: x}", "unknown key; did you mean"),
        ("{kind: redis, url: 'http://h', list: q}", "expected an address such as redis://redis:6379/0"),
        ("{kind: redis, url: 'redis://h/0?x=1', list: q}", "only the number of the database"),
        ("{kind: redis, url: 'redis://h', list: q, message: '{execution}'}", "nothing is known as {execution}"),
        ("{kind: http, url: 'ftp://h'}", "expected an address such as https://scheduler.internal"),
        ("{kind: http, url: 'http://h{job_id}/'}", "in path or query only"),
        ("{kind: http, url: 'http://h', password: p}", "stores[0].trigger.username: required with password"),
        ("{kind: http, url: 'http://h', username: u}", "stores[0].trigger.password: required with username"),
        ("{kind: http, url: 'http://h', username: u, password: p, token: t}", "keep one of the two"),
        ("{statement: 'SELECT 1; SELECT 2'}", "expected one statement"),
        ("{kind: kafka}", "expected one of sql, redis, http"),
    ],
)
def test_a_trigger_that_is_none_is_refused(trigger: str, told: str) -> None:
    assert told in refused(STORE % trigger)


@pytest.mark.parametrize(
    "section",
    [
        "alerting: {alertmanager: {url: 'http://me:pass-word@h:9093'}}",
        "alerting: {prometheus: {url: 'http://me:pass-word@h:9090'}}",
        "stores: [{name: a, dsn: host=h, trigger: {kind: redis, url: 'redis://:pass-word@h/0', list: q}}]",
        "stores: [{name: a, dsn: host=h, trigger: {kind: http, url: 'http://me:pass-word@h/'}}]",
    ],
)
def test_a_login_in_an_address_is_refused_and_not_shown(section: str) -> None:
    text = refused(section)
    assert "pass-word" not in text
    assert "login" in text or "username and password" in text


def test_alertmanager_is_a_base_address() -> None:
    config = load(STORE % "null" + "alerting: {alertmanager: {url: 'http://h:9093/am/', filter: ['a=\"b\"']}}")
    assert config.alerting.alertmanager is not None
    assert (config.alerting.alertmanager.url, config.alerting.alertmanager.filter) == ("http://h:9093/am", ('a="b"',))
    assert "without a query" in refused("alerting: {alertmanager: {url: 'http://h/?x=1'}}")
