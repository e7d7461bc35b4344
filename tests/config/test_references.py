"""References that are followed later: what is kept of them, what is checked at once, what Vault is asked first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.dsn import fill_dsn, parse_dsn, redact_dsn, secrets_of_dsn
from exporter.config.expand import ExpandError
from exporter.config.load import NOT_ASKED, UnansweredError, load_text
from exporter.config.model import Config, Dsn
from exporter.config.redact import redacted
from exporter.config.references import FileReference, VaultReference
from exporter.config.secrets import Secret
from exporter.errors import ConfigError

Load = Callable[..., Config]
Problems = Callable[..., list[str]]

VAULT = "vault: {address: 'https://vault:8200', auth: {method: token, token: t}}\n"
STORE = "stores: [{name: main, dsn: host=db, %s}]\n"
PASSWORD = VaultReference("secret/data/db", "password")


def test_a_secret_keeps_where_it_comes_from(load: Load, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hunter2\n")
    text = STORE % "password: 'a$$${B}${file:pw}${vault:secret/data/db#password}'" + VAULT
    config = load(text, B="b")
    password = config.stores[0].password
    assert password is not None
    assert password.template == ("a$b", FileReference("pw", str(tmp_path / "pw")), PASSWORD)
    with pytest.raises(TypeError, match=r"Secrets\.value"):
        password.reveal()
    assert "<secret>" in f"{password!r} {password} {password:>5}"
    assert "secret/data" not in repr(config)
    (tmp_path / "pw").write_text("rotated")
    assert load(text, B="b") == config, "a secret that rotated is no other configuration"
    assert load(text, B="c") != config


@pytest.mark.parametrize(
    ("written", "shown", "known"),
    [
        (
            "postgresql://${vault:secret/data/db#user}:${vault:secret/data/db#password}@h:5433/d?sslmode=require",
            "user=${vault:secret/data/db#user} password=<secret> dbname=d host=h port=5433 sslmode=require",
            {"user": "u@/", "password": "p'w ", "host": "h", "port": "5433", "dbname": "d", "sslmode": "require"},
        ),
        (
            "host=h user='${vault:secret/data/db#user}' password=x${vault:secret/data/db#password}y",
            "host=h user=${vault:secret/data/db#user} password=<secret>",
            {"user": "u@/", "password": "xp'w y", "host": "h"},
        ),
        (
            "postgresql://h:${vault:secret/data/db#port},i:${vault:secret/data/db#port}/d?password=lit",
            "dbname=d host=h,i port=${vault:secret/data/db#port},${vault:secret/data/db#port} password=<secret>",
            {"host": "h,i", "port": "5,5", "dbname": "d", "password": "lit"},
        ),
        ("${vault:secret/data/db#dsn}", "${vault:secret/data/db#dsn}", {"host": "w", "password": "pw"}),
        ("${vault:secret/data/db#dsn} sslmode=require", "<dsn>", {"host": "w", "password": "pw", "sslmode": "require"}),
    ],
)
def test_connection_strings(load: Load, written: str, shown: str, known: dict[str, str]) -> None:
    config = load(yaml.safe_dump({"stores": [{"name": "main", "dsn": written}]}, width=1000) + VAULT)
    dsn = config.stores[0].dsn
    assert repr(dsn) == "<dsn>"
    assert set(redact_dsn(dsn).split()) == set(shown.split())
    assert shown.split(maxsplit=1)[0] in redacted(config)
    values = {"user": "u@/", "password": "p'w ", "port": "5", "dsn": "host=w password=pw"}
    assert fill_dsn(dsn, {VaultReference("secret/data/db", name): value for name, value in values.items()}) == known
    assert secrets_of_dsn(dsn) == (("lit",) if "lit" in written else ("x", "y") if "=x$" in written else ())
    assert parse_dsn(dsn).get("dbname") == known.get("dbname")


def test_the_text_of_a_reference_is_no_reference() -> None:
    literal, reference = Dsn("${vault:secret/data/db#password}"), Dsn((PASSWORD,))
    assert str(literal) == str(reference)
    assert literal != reference
    assert reference == Dsn((PASSWORD,)) == Dsn(reference)
    assert Dsn("host=a") == Dsn("host=a") == "host=a"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("password: '${vault:secret/data/db}'", "password: ${vault:secret/data/db}: expected ${vault:path#field}"),
        ("password: '${vault:#password}'", "password: ${vault:#password}: expected ${vault:path#field}"),
        ("password: '${vault:../x#y}'", "password: ${vault:../x#y}: expected a path in Vault"),
        ("password: '${vault:a?version=1#y}'", "password: ${vault:a?version=1#y}: expected a path in Vault"),
        ("password: '${file:nope}'", "password: ${file:nope}: No such file or directory"),
        ("timeout: '${vault:a/b}'", "timeout: ${vault:a/b}: expected ${vault:path#field}"),
        ("dsn2: 'host=a ${vault:a/b#c}'", "dsn: expected a PostgreSQL connection string"),
        (
            "dsn2: 'postgresql://u:${vault:a/b#c}@h:x/d'",
            "a reference in it stands for one value, at its beginning for more",
        ),
        (
            "dsn2: 'host=h password=${vault:a/b#c}', password: x",
            "stores[0].password: the password is in dsn too; keep one of the two",
        ),
        ("vault: {path: a/b}, password: x", "stores[0].password: the password comes from vault; keep one of the two"),
        (
            "vault: {path: a/b}, dsn2: host=h password=x",
            "stores[0].dsn: the password comes from vault; leave it out of dsn",
        ),
    ],
)
def test_bad_references_are_refused(problems: Problems, key: str, told: str) -> None:
    text = STORE % key if "dsn2" not in key else (STORE % key).replace("dsn: host=db, ", "").replace("dsn2", "dsn")
    (problem,) = problems(text + VAULT)
    assert problem.startswith("c.yaml:1: stores[0].")
    assert told in problem


def test_without_a_vault_section(problems: Problems) -> None:
    keys = "password: '${vault:secret/data/db#password}', profile: '${vault:secret/data/db#profile}'"
    remedy = "needs a vault section: vault: {address: ..., auth: {method: ...}}"
    assert problems(STORE % keys) == [
        f"c.yaml:1: stores[0].password: ${{vault:secret/data/db#password}}: {remedy}",
        f"c.yaml:1: stores[0].profile: ${{vault:secret/data/db#profile}}: {remedy}",
    ]
    assert problems(STORE % "vault: {path: kv/db}")[0].startswith("c.yaml:1: stores[0].vault: needs the section vault")


def test_the_vault_section_does_not_refer_to_vault(problems: Problems, load: Load, tmp_path: Path) -> None:
    vault = "vault: {address: 'https://vault:8200', auth: {method: token, token: '%s'}}\n"
    (problem,) = problems(STORE % "" + vault % "${vault:secret/data/a#token}")
    assert problem.startswith("c.yaml:2: vault.auth.token: ${vault:secret/data/a#token}: the vault section says how")
    (tmp_path / "token").write_text("hvs.1\n")
    config = load(STORE % "" + vault % "${file:token}")
    assert config.vault is not None
    assert config.vault.auth.token == Secret("hvs.1")


def test_what_is_no_secret_is_asked_of_vault_before_the_file_is_read(tmp_path: Path) -> None:
    text = (
        STORE % "interval: '${vault:secret/data/s#interval}', parameters: {schema: 'x_${vault:secret/data/s#schema}'}"
    )
    interval, schema = (VaultReference("secret/data/s", name) for name in ("interval", "schema"))

    def load(**given: Any) -> Config:
        return load_text(text + VAULT, filename="c.yaml", environ={}, base_dir=tmp_path, **given)

    with pytest.raises(UnansweredError) as asked:
        load()
    assert asked.value.references == {interval, schema}
    assert asked.value.config.vault.address == "https://vault:8200"
    store = load(answers={interval: "7s", schema: "jobs"}).stores[0]
    assert (store.interval, store.parameters) == (7, {"schema": "x_jobs"})
    assert len(load(answers=NOT_ASKED).stores) == 1, "everything else is checked"
    with pytest.raises(ConfigError) as refused:
        load(answers={interval: "hunter2", schema: ExpandError("${vault:secret/data/s#schema}: Vault is sealed")})
    assert refused.value.problems == [
        "c.yaml:1: stores[0].interval: expected a duration such as 15s, 5m, 2h, 35d; "
        'got "${vault:secret/data/s#interval}"',
        "c.yaml:1: stores[0].parameters.schema: ${vault:secret/data/s#schema}: Vault is sealed",
    ]


def test_faults_come_before_questions(problems: Problems) -> None:
    (problem,) = problems(STORE % "interval: '${vault:secret/data/s#interval}', timeout: 5" + VAULT)
    assert "stores[0].timeout: expected a duration" in problem
