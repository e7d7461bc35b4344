"""exporter-toolkit's file: what is taken over, and one test for each refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.model import Duration
from exporter.config.web import RateLimit, WebConfig, load_web_config, parse_web_config
from exporter.errors import ConfigError

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
TLS = "tls_server_config: {cert_file: c.pem, key_file: k.pem, "
FILE = Path("/etc/exporter/web.yml")


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "{}", "tls_server_config: {}", "basic_auth_users:\n"])
def test_an_empty_file_is_plain_http_for_all(text: str) -> None:
    config = parse_web_config(text, FILE)
    assert config == WebConfig()
    assert config.tls is None


def test_the_whole_format() -> None:
    config = parse_web_config(
        f"""
tls_server_config:
  cert_file: certs/server.crt
  key_file: /abs/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.example]
  min_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256]
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    Content-Security-Policy: ""
basic_auth_users:
  alice: {HASH}
rate_limit: {{interval: 1m30s, burst: 20}}
""",
        FILE,
    )
    assert config.tls is not None
    assert config.tls.cert_file == "/etc/exporter/certs/server.crt"
    assert config.tls.key_file == "/abs/server.key"
    assert config.tls.client_ca_file == "/etc/exporter/ca.pem"
    assert config.tls.client_allowed_sans == ("prometheus.example",)
    assert config.tls.prefer_server_cipher_suites is False
    assert (config.tls.min_version, config.tls.max_version) == ("TLS13", None)
    assert config.http_server_config.headers["Content-Security-Policy"] == ""
    assert config.basic_auth_users["alice"].reveal() == HASH
    assert config.rate_limit == RateLimit(interval=Duration(90), burst=20)
    assert len(config.warnings) == 2  # http2, and a TLS 1.3 suite in the list
    assert HASH not in repr(config)


def test_inline_certificates() -> None:
    config = parse_web_config("tls_server_config:\n  cert: |\n    C\n  key: |\n    K\n", FILE)
    assert config.tls is not None
    assert config.tls.cert == "C\n"
    assert config.tls.key is not None
    assert config.tls.key.reveal() == "K\n"
    assert "K" not in repr(config.tls.key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "expected a mapping; got a list"),
        ("a: [", "invalid YAML"),
        ("a: &x {b: *x}", "an alias (*) needs its anchor"),
        ("tls_server_confg: {}", 'unknown key; did you mean "tls_server_config"?'),
        ("zzz: {}", "zzz: unknown key (known keys: tls_server_config, "),
        ("tls_server_config: []", "tls_server_config: expected a mapping"),
        ("basic_auth_users: 3", "basic_auth_users: expected a mapping"),
        ("basic_auth_users: {}\nbasic_auth_users: {}", "duplicate key"),
        (f"basic_auth_users:\n  a: {HASH}\n  a: {HASH}", ":3: basic_auth_users.a: duplicate key"),
        (TLS + "certfile: x}", 'tls_server_config.certfile: unknown key; did you mean "cert_file"?'),
        ("tls_server_config: {key_file: k}", "tls_server_config.cert_file: required: cert_file or cert"),
        ("tls_server_config: {cert_file: c}", "tls_server_config.key_file: required: key_file or key"),
        ("tls_server_config: {cert_file: '', key_file: k}", "cert_file: required"),
        ("tls_server_config: {min_version: TLS12}", "cert_file: required"),
        ("tls_server_config: {prefer_server_cipher_suites: true}", "cert_file: required"),
        (TLS + "cert: x}", "expected cert or cert_file, not both"),
        (TLS + "key: x}", "expected key or key_file, not both"),
        (TLS + "cert_file: 3}", "duplicate key"),
        ("tls_server_config: {cert_file: 3, key_file: k}", "cert_file: expected text"),
        (TLS + "client_auth_type: RequestClientCert}", "takes certificates unverified"),
        (TLS + "client_auth_type: RequireAnyClientCert, client_ca_file: a}", "takes certificates unverified"),
        (TLS + "client_auth_type: RequireClientCert}", "takes certificates unverified"),
        (TLS + "client_auth_type: RequireAndVerifyCert, client_ca_file: a}", "RequireAndVerifyClientCert"),
        (TLS + "client_ca_file: ca}", "client_auth_type: expected RequireAndVerifyClientCert or Verify"),
        (TLS + "client_auth_type: RequireAndVerifyClientCert}", "client_ca_file: required with Require"),
        (TLS + "client_auth_type: VerifyClientCertIfGiven}", "client_ca_file: required with Verify"),
        (
            TLS + "client_ca: x, client_ca_file: y, client_auth_type: VerifyClientCertIfGiven}",
            "expected client_ca or client_ca_file, not both",
        ),
        (TLS + "client_allowed_sans: [a]}", "client_allowed_sans: needs client_auth_type"),
        (TLS + "client_allowed_sans: []}", "client_allowed_sans: expected a name"),
        (TLS + "min_version: TLS10}", "min_version: TLS10 is broken"),
        (TLS + "max_version: TLS11}", "max_version: TLS11 is broken"),
        (TLS + "min_version: 1.2}", "min_version: expected one of"),
        (TLS + "min_version: TLS1.2}", "min_version: expected one of"),
        (TLS + "min_version: TLS13, max_version: TLS12}", "max_version: expected at least min_version"),
        (TLS + "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}", "cipher_suites[0]: unknown or insecure suite"),
        (TLS + "cipher_suites: [TLS_AES_128_GCM_SHA256], max_version: TLS12}", "has no suite of TLS 1.2"),
        (TLS + "curve_preferences: [CurveP256, X25519]}", "takes one curve"),
        (TLS + "curve_preferences: [secp256k1]}", "curve_preferences[0]: expected one of CurveP256"),
        ("http_server_config: {headers: {X-Other: a}}", "cannot be configured"),
        ("http_server_config: {headers: {X-Frame-Options: allow}}", "expected deny or sameorigin"),
        ("http_server_config: {headers: {X-Content-Type-Options: ''}}", "expected nosniff"),
        ('http_server_config: {headers: {X-XSS-Protection: "0\\r\\nSet-Cookie: a"}}', "expected one line"),
        ("http_server_config: {http2: maybe}", "expected true or false"),
        ("basic_auth_users: {a: plaintext}", "basic_auth_users.a: expected a bcrypt hash"),
        ("basic_auth_users: {a: }", "basic_auth_users.a: expected a secret text"),
        (f"basic_auth_users: {{a: {HASH[:-1]}}}", "expected a bcrypt hash"),
        (f"basic_auth_users: {{a: {HASH.replace('$10$', '$31$')}}}", "cost from 4 to 18"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "without a colon"),
        (f"basic_auth_users: {{'': {HASH}}}", "not empty"),
        (f"basic_auth_users: {{null: {HASH}}}", "expected text as a key"),
        ("rate_limit: {interval: 1s}", "burst: expected at least 1"),
        ("rate_limit: {interval: 5, burst: 1}", "interval: expected a duration"),
        ("rate_limit: {interval: -1s, burst: 1}", "interval: expected a duration"),
        ("rate_limit: {interval: '', burst: 1}", "interval: expected a duration"),
    ],
)
def test_refusals(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_web_config(text, FILE)
    message = str(caught.value)
    assert expected in message
    assert all(line.startswith("/etc/exporter/web.yml:") for line in caught.value.problems)
    assert HASH not in message
    assert "plaintext" not in message


def test_every_fault_is_told_with_its_line() -> None:
    text = (
        "tls_server_config:\n  cert_file: c\n  key_flie: k\nrate_limit:\n  interval: soon\nbasic_auth_users:\n  x: y\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_web_config(text, FILE)
    places = [problem.split(": ")[0] for problem in caught.value.problems]
    assert sorted(places) == [f"/etc/exporter/web.yml:{line}" for line in (1, 3, 5, 7)]


def test_a_yaml_error_does_not_quote_the_file() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_web_config("tls_server_config:\n  key: 'hunter2\n", FILE)
    assert "hunter2" not in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_web_config(tmp_path / "absent.yml")
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_web_config(tmp_path / "binary.yml")


def test_no_rate_limit_with_interval_zero() -> None:
    for text in ("rate_limit: {interval: 0, burst: 20}", "rate_limit: {interval: 0s}", "rate_limit: {burst: 1}"):
        assert parse_web_config(text, FILE).rate_limit.interval == 0
