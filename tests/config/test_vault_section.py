"""The section vault, and who takes credentials from it: what goes together, and what is said of what does not."""

from __future__ import annotations

import pytest
from config.conftest import Load, Problems

TARGET = "connections:\n  targets:\n  - {name: t, host: h%s}\n"
TOKEN = "vault:\n  address: https://vault:8200\n  auth: {method: token, token: t}\n"


def auth(keys: str) -> str:
    """A configuration that logs in so."""
    return TARGET % "" + f"vault:\n  address: https://vault:8200\n  auth: {{{keys}}}\n"


@pytest.mark.parametrize(
    "keys",
    [
        "method: token, token: t",
        "method: token_file, token_file: /run/token",
        "method: approle, role_id: r",
        "method: approle, role_id: r, secret_id: s, mount: other/approle",
        "method: approle, role_id: r, secret_id_file: f, secret_id_wrapped: true",
        "method: kubernetes, role: r",
        "method: kubernetes, role: r, jwt_file: f, mount: k8s",
        "method: jwt, role: r, jwt: j",
        "method: jwt, role: r, jwt_file: f",
    ],
)
def test_every_way_to_log_in(keys: str, load: Load) -> None:
    config = load(auth(keys))
    assert config.vault is not None
    assert config.vault.auth.method in keys


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("method: token", "vault.auth.token: required with method token"),
        ("method: approle", "vault.auth.role_id: required with method approle"),
        ("method: jwt, role: r", "vault.auth.jwt: required with method jwt, or jwt_file"),
        ("method: kubernetes", "vault.auth.role: required with method kubernetes"),
        (
            "method: kubernetes, role: r, token: s3ntinel",
            "vault.auth.token: never used with method kubernetes (its keys: jwt_file, mount, role)",
        ),
        ("method: jwt, role: r, jwt: s3ntinel, jwt_file: f", "vault.auth.jwt: either jwt or jwt_file; keep one"),
        ("method: approle, role_id: r, secret_id_wrapped: true", "vault.auth.secret_id_wrapped: required with it:"),
        ("method: ldap", "vault.auth.method: expected one of token, token_file, approle, kubernetes, jwt; got ldap"),
        ("method: token, token: t, mount: ../x", "vault.auth.mount: expected a path in Vault"),
    ],
)
def test_what_does_not_go_with_the_method(keys: str, problem: str, problems: Problems) -> None:
    found = problems(auth(keys))
    assert any(problem in line for line in found), found
    assert "s3ntinel" not in str(found)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("vault:8200", "expected a URL such as https://server.example.com:8200"),
        ("ftp://vault", "expected a URL"),
        ("https://vault:port", "expected a URL"),
        ("https://user:s3ntinel@vault:8200", "it must not hold a login"),
        ("https://vault:8200/?x=1", "without a query"),
    ],
)
def test_an_address_that_is_none(address: str, problem: str, problems: Problems) -> None:
    (found,) = problems(TARGET % "" + TOKEN.replace("https://vault:8200", address))
    assert f"vault.address: {problem}" in found or problem in found
    assert "s3ntinel" not in found


def test_an_address_and_paths_lose_their_outer_slashes(load: Load) -> None:
    text = TARGET % ", vault: {path: /secret/data/x/}" + TOKEN.replace(":8200", ":8200/")
    config = load(text)
    assert config.vault is not None
    assert config.vault.address == "https://vault:8200"
    vault = config.connections.targets[0].vault
    assert vault is not None
    assert vault.path == "secret/data/x"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (", vault: {}", "targets[0].vault.role: expected role"),
        (", vault: {role: a/creds/x, path: y}", "targets[0].vault.path: either role or path; keep one of the two"),
        (", vault: {path: y}, password: p", "targets[0].password: the password comes from vault"),
        (", vault: {role: a/creds/x}, user: u", "targets[0].user: the user comes from the role in vault; leave it out"),
        (", vault: {path: v1/secret/x}", 'targets[0].vault.path: expected a path without the leading "v1/"'),
        (", vault: {path: 'a#b'}", "targets[0].vault.path: expected a path in Vault"),
    ],
)
def test_credentials_that_contradict_themselves(keys: str, problem: str, problems: Problems) -> None:
    found = problems(TARGET % keys + TOKEN)
    assert any(problem in line for line in found), found


def test_credentials_from_a_vault_that_is_not_there(problems: Problems) -> None:
    (found,) = problems(TARGET % ", vault: {path: x}")
    assert "connections.targets[0].vault: needs the section vault" in found


def test_tls_files_that_go_together(problems: Problems) -> None:
    found = problems(TARGET % "" + TOKEN + "  client_cert: c\n")
    assert any("vault.client_key: required with client_cert" in line for line in found)
    found = problems(TARGET % "" + TOKEN.replace("https", "http") + "  ca_cert: c\n")
    assert any("vault.ca_cert: never used with an address that begins with http:" in line for line in found)
