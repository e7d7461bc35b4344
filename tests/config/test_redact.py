from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from exporter.config.dsn import redact_dsn
from exporter.config.model import Config
from exporter.config.redact import redacted

Load = Callable[..., Config]


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://u:hunter2@h:5433/db", "user=u password=<secret> dbname=db host=h port=5433"),
        (
            "postgresql://u@h/db?password=hunter2&sslmode=require",
            "user=u dbname=db host=h password=<secret> sslmode",
        ),
        ("postgres://u:hunt%65r2@[::1]/db", "user=u password=<secret> dbname=db host=::1"),
        ("postgresql://u:hunter2@h1:1,h2:2/db", "password=<secret> dbname=db host=h1,h2 port=1,2"),
        ("host=h password='hunter2 \\' x' user=u", "host=h password=<secret> user=u"),
        ("host=h passfile=/hunter2 sslpassword=hunter2", "passfile=<secret> sslpassword=<secret>"),
        ("host=h dbname='a b'", "host=h dbname='a b'"),
        ("host=h password hunter2", "<dsn>"),
        ("", "<dsn>"),
    ],
)
def test_connection_strings(dsn: str, shown: str) -> None:
    text = redact_dsn(dsn)
    assert set(shown.split()) <= {word.split("=require")[0] for word in text.split()}
    assert "hunt" not in text


def test_the_effective_configuration_with_its_secrets_hidden(load: Load) -> None:
    config = load(
        """
stores:
- name: main
  dsn: "${DSN}"
  interval: 90s
  profile:
    jobs: |
      SELECT 1
      FROM t
- {name: other, dsn: host=h, password: "${PW}"}
connections: {targets: [{name: a, host: h, password: hunter2}]}
""",
        DSN="postgresql://u:hunter2@h/db?sslpassword=hunter2",
        PW="hunter2",
    )
    text = redacted(config)
    assert "hunter2" not in text
    assert "&" not in text
    assert "    jobs: |-\n      SELECT 1\n      FROM t\n" in text
    shown = yaml.safe_load(text)
    assert shown["stores"][0]["interval"] == "1m30s"
    assert shown["stores"][0]["timeout"] == "5s"
    assert shown["stores"][0]["password"] is None
    assert shown["stores"][1]["password"] == "<secret>"
    assert shown["connections"]["targets"][0]["password"] == "<secret>"
    assert shown["web"]["listen_address"] == ["127.0.0.1:9795"]


def test_a_configuration_of_defaults_can_be_shown() -> None:
    assert yaml.safe_load(redacted(Config()))["limits"]["series_per_metric"] == 500
