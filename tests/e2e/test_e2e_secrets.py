"""A password is put wherever one can be put, rightly and wrongly; then it is looked for wherever anybody can look."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bcrypt
import pytest
import yaml
from psycopg import sql
from support.polling import until
from support.scheduler import NativeStore
from support.sentinel import DIGITS, MARK, Seen
from support.sidecar import HOST, PATIENT, Sidecar, StartSidecar, one_store, run_command, store, target

PLAIN = f"plain-{MARK}-secret"
#: What people's passwords look like to a parser.
AWKWARD = f"p@ss/{MARK}:wörd?&#%'\\ \"${{x"


@pytest.fixture
def role(native: NativeStore) -> Iterator[str]:
    """A role that may read the store; give it a password."""
    name = f"keeper_{native.database.name}"
    with native.database.connect() as admin:
        names = {"role": sql.Identifier(name)}
        admin.execute(sql.SQL("CREATE ROLE {role} LOGIN IN ROLE pg_monitor").format(**names))
        admin.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}").format(**names))
    yield name


def set_password(native: NativeStore, role: str, password: str) -> None:
    with native.database.connect() as admin:
        command = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
        admin.execute(command)


def ways(native: NativeStore, role: str, password: str) -> dict[str, dict[str, Any]]:
    """Every right way to give a store its password."""
    port, name = native.database.server.port, native.database.name
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    escaped = password.replace("${", "$${")
    place = f"host={HOST} port={port} dbname={name} user={role}"
    encoded = quote(password, safe="")
    dsns = {
        "userinfo": f"postgresql://{role}:{encoded}@{HOST}:{port}/{name}",
        "query": f"postgresql://{role}@{HOST}:{port}/{name}?password={encoded}",
        "keywords": f"{place} password='{quoted}'".replace("${", "$${"),
    }
    stores = {way: store(dsn, name=way) for way, dsn in dsns.items()}
    stores["key"] = store(place, name="key", password=escaped)
    stores["variable"] = store(place, name="variable", password="${KEEPER_PASSWORD}")
    stores["file"] = store(place, name="file", password="${file:keeper.password}")
    return stores


def everywhere(native: NativeStore, role: str, password: str) -> dict[str, Any]:
    """A configuration with the password in every place."""
    port = native.database.server.port
    login = {"user": role, "database": native.database.name}
    targets = [
        target("ours", port, password="${file:keeper.password}", **login),
        target("by variable", port, password="${KEEPER_PASSWORD}", **login),
        target("as it is", port, password=password.replace("${", "$${"), **login),
        target("unreachable", 1, password="${KEEPER_PASSWORD}", **login),
    ]
    return {
        "stores": list(ways(native, role, password).values()),
        "connections": {"interval": "1s", "timeout": PATIENT, "targets": targets},
        "web": {"enable_lifecycle": True},
    }


def start_with(start: StartSidecar, config: dict[str, Any], password: str, log_format: str) -> Sidecar:
    """A sidecar whose log tells everything, with the password in its environment and in a file."""
    config = {**config, "logging": {"level": "debug", "format": log_format}}
    sidecar = start(config, environment={"KEEPER_PASSWORD": password})
    sidecar.directory.mkdir(exist_ok=True)
    (sidecar.directory / "keeper.password").write_text(password + "\n")
    sidecar.start()
    return sidecar


@pytest.mark.parametrize("log_format", ["json", "console", "logfmt"])
@pytest.mark.parametrize("password", [PLAIN, AWKWARD], ids=["plain", "awkward"])
def test_a_right_password_is_nowhere(
    password: str, log_format: str, native: NativeStore, role: str, make_sidecar: StartSidecar
) -> None:
    set_password(native, role, password)
    sidecar = start_with(make_sidecar, everywhere(native, role, password), password, log_format)
    up = until(lambda: all_up(sidecar), 60, "every way leads in")
    assert up == 6 + 3
    seen = Seen()
    seen.pages(sidecar)
    seen.answer("reload", sidecar.reload())
    seen.process(sidecar)
    assert "<secret>" in seen.texts["GET /config as text/plain"]
    assert f"user={role}" in seen.texts["GET /config as text/plain"]
    sidecar.stop()
    seen.log(sidecar)
    seen.assert_clean(password, quote(password, safe=""))


def all_up(sidecar: Sidecar) -> int:
    """How many stores and targets are up, once all are that can be."""
    metrics = sidecar.metrics()
    stores = metrics.by("store", "scheduling_store_up")
    targets = metrics.by("connection", "scheduling_connection_up")
    return sum(map(int, [*stores.values(), *targets.values()])) if len(targets) == 4 and all(stores.values()) else 0


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_rejected_password_is_nowhere(
    log_format: str, native: NativeStore, role: str, make_sidecar: StartSidecar
) -> None:
    set_password(native, role, "another one")
    sidecar = start_with(make_sidecar, everywhere(native, role, AWKWARD), AWKWARD, log_format)
    until(lambda: sidecar.log.count("password authentication failed") >= 6 + 3, 60, "all are rejected, and told")
    seen = Seen()
    seen.pages(sidecar)
    seen.process(sidecar)
    seen.assert_clean(AWKWARD, quote(AWKWARD, safe=""))


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_what_requests_carry_is_nowhere(native: NativeStore, make_sidecar: StartSidecar) -> None:
    config = {**one_store(native.dsn), "web": {"enable_lifecycle": True}}
    sidecar = make_sidecar(config)
    hashed = bcrypt.hashpw(PLAIN.encode(), bcrypt.gensalt(4)).decode()
    users = sidecar.directory / "web.yaml"
    users.write_text(yaml.safe_dump({"basic_auth_users": {"scraper": hashed}}))
    sidecar.configure({**config, "web": {**config["web"], "config_file": "web.yaml"}})
    right = basic("scraper", PLAIN)
    sidecar.start(wait=False)
    until(lambda: sidecar.get(headers=right).status == 200, 60)

    seen = Seen()
    seen.pages(sidecar, **right)
    guesses: dict[str, dict[str, str]] = {
        "wrong password": basic("scraper", PLAIN + "x"),
        "as the user's name": basic(PLAIN, "x"),
        "bearer": {"Authorization": f"Bearer {PLAIN}"},
        "no scheme": {"Authorization": PLAIN},
        "not base64": {"Authorization": f"Basic {PLAIN}"},
    }
    for name, headers in guesses.items():
        answer = sidecar.get(headers=headers)
        assert answer.status == 401, name
        seen.answer(name, answer)
    for name, headers in {
        "cookie": {"Cookie": f"session={PLAIN}"},
        "request id": {"X-Request-Id": f"{PLAIN} {PLAIN}"},
        "origin": {"Origin": f"http://{PLAIN}.example"},
        "referer": {"Referer": f"http://x/?token={PLAIN}"},
        "agent": {"User-Agent": PLAIN},
    }.items():
        seen.answer(name, sidecar.get(headers={**right, **headers}))
        seen.answer(f"reload with {name}", sidecar.get("/-/reload", method="POST", headers={**right, **headers}))
    for path in (f"/metrics?token={PLAIN}", f"/?password={PLAIN}", f"/metrics?name[]={PLAIN}", f"/{PLAIN}/x?k={PLAIN}"):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            seen.answer(f"{method} {path}", sidecar.get(path, method=method, headers=right))
    # A web configuration that went bad: its hash and what somebody wrote in its place.
    users.write_text(yaml.safe_dump({"basic_auth_users": {"scraper": PLAIN}}))
    seen.answer("after a bad web configuration", sidecar.get(headers=right))
    seen.answer("reload with a bad web configuration", sidecar.get("/-/reload", method="POST", headers=right))
    seen.pages(sidecar, **right)
    seen.process(sidecar)
    sidecar.stop()
    seen.log(sidecar)
    seen.assert_clean(hashed, right["Authorization"].split()[1])

    started = run_command("serve", f"--config.file={sidecar.file}")
    assert started.returncode == 1, "a bad web configuration is refused at the start"
    Seen({"started": started.stdout + started.stderr}).assert_clean(hashed)


STORE = "stores:\n- name: main\n  "
TARGET = "connections:\n  targets:\n  - name: t\n    host: h\n    "
#: Files with a mistake, by the mistake. Each has a password in it.
MISTAKES: dict[str, str] = {
    "port of a dsn": f"{STORE}dsn: postgresql://u:{MARK}@h:port/d",
    "dsn without a host": f"{STORE}dsn: postgresql://u:{MARK}",
    "dsn without an at": f"{STORE}dsn: postgresql://u:{MARK}/d",
    "port of keywords": f"{STORE}dsn: host=h port={MARK}",
    "dsn without a scheme": f"{STORE}dsn: u:{MARK}@h/d",
    "another scheme": f"{STORE}dsn: mysql://u:{MARK}@h/d",
    "bad percent": f"{STORE}dsn: postgresql://u:%zz{MARK}@h/d",
    "slash in a dsn": f"{STORE}dsn: postgresql://u:a/{MARK}@h/d",
    "unencoded at": f"{STORE}dsn: postgresql://u:a@{MARK}@h/d",
    "unencoded question mark and at": f"{STORE}dsn: postgresql://u:a?b@{MARK}@h/d",
    "unencoded at, then a question mark": f"{STORE}dsn: postgresql://u:a@{MARK}?b@h/d",
    "unencoded at, then a slash": f"{STORE}dsn: postgresql://u:a@{MARK}/b@h/d",
    "unclosed quote in a dsn": f"""{STORE}dsn: "host=h password='{MARK}" """,
    "space in a dsn": f"{STORE}dsn: host=h password=a {MARK}",
    "unknown parameter": f"{STORE}dsn: host=h pasword={MARK}",
    "unknown query parameter": f"{STORE}dsn: postgresql://h/d?pasword={MARK}",
    "dsn as a list": f"{STORE}dsn: [{MARK}]",
    "dsn as a mapping": f"{STORE}dsn: {{password: {MARK}}}",
    "dsn as a key": f"{STORE}dsn: {{{MARK}: x}}",
    "password as a list": f"{STORE}dsn: host=h\n  password: [{MARK}]",
    "password as a mapping": f"{STORE}dsn: host=h\n  password: {{value: {MARK}}}",
    "password as a number": f"{STORE}dsn: host=h\n  password: {DIGITS}",
    "target's password as a number": f"{TARGET}password: {DIGITS}",
    "target's password as a list": f"{TARGET}password: [{MARK}]",
    "two passwords": f"{STORE}dsn: host=h password={MARK}\n  password: {MARK}",
    "a key twice": f"{STORE}dsn: host=h\n  password: {MARK}\n  password: {MARK}",
    "misspelt key": f"{STORE}dsn: host=h\n  pasword: {MARK}",
    "misspelt key of a target": f"{TARGET}passwd: {MARK}",
    "key of another section": f"password: {MARK}\n{STORE}dsn: host=h",
    "store as a text": f"stores: postgresql://u:{MARK}@h/d",
    "store as a list of texts": f"stores: ['postgresql://u:{MARK}@h/d']",
    "target as a dsn": f"connections: {{targets: ['postgresql://u:{MARK}@h/d']}}",
    "dsn as a host": f"{TARGET[:-4].replace('host: h', f'host: postgresql://u:{MARK}@h/d')}    port: x",
    "dsn as a port": f"{TARGET}port: postgresql://u:{MARK}@h/d",
    "file of a dsn alone": f"postgresql://u:{MARK}@h/d",
    "file of keywords alone": f"host=h password={MARK}",
    "colon and space": f"{STORE}dsn: host=h\n  password: a: {MARK}",
    "unclosed double quote": f'{STORE}dsn: host=h\n  password: "{MARK}',
    "unclosed single quote": f"{STORE}dsn: host=h\n  password: '{MARK}",
    "bad escape": f'{STORE}dsn: host=h\n  password: "\\q{MARK}"',
    "unclosed bracket": f"{STORE}dsn: host=h\n  password: [{MARK}",
    "tab": f"{STORE}dsn: host=h\n\tpassword: {MARK}",
    "NUL": f'{STORE}dsn: host=h\n  password: "\\0{MARK}"\n  x: 1',
    "wrong indentation": f"{STORE}dsn: host=h\n    password: {MARK}\n  interval: 1s",
    "unclosed reference": f'{STORE}dsn: host=h\n  password: "a${{{MARK}"',
    "reference with blanks": f'{STORE}dsn: host=h\n  password: "${{ {MARK} }}"',
    "vault": f'{STORE}dsn: host=h\n  password: "{MARK}${{vault:secret/data/a#x}}"',
    "vault without a field": f'{STORE}dsn: "postgresql://u:{MARK}${{vault:secret/data/a}}@h/d"',
    **{f"begins with {c}": f"{STORE}dsn: host=h\n  password: {c}{MARK}\n  x: 1" for c in "!&*%@`|>?-,[]{}#'\""},
    **{f"value of {key}": f"{STORE}dsn: host=h\n  {key}: postgresql://u:{MARK}@h/d" for key in ("interval", "kind")},
}


#: No mistakes, though one might think so.
FINE = {
    "question mark in a password": f"{STORE}dsn: postgresql://u:a?{MARK}@h/d",
    "at in a database": f"{STORE}dsn: postgresql://u:{MARK}@h/d%40e",
    "several hosts": f"{STORE}dsn: postgresql://u:{MARK}@h:5432,[::1]:5433,i/d",
    "query": f"{STORE}dsn: postgresql://h/d?password=a@{MARK}/x",
    "keywords": f"{STORE}dsn: host=h password=a@{MARK}/x port=5432",
}


def test_a_password_that_may_stay_as_it_is(make_sidecar: StartSidecar) -> None:
    for name, text in FINE.items():
        sidecar = make_sidecar({})
        sidecar.file.write_text(text)
        done = run_command("serve", f"--config.file={sidecar.file}", "--config.check")
        assert done.returncode == 0, (name, done.stderr)


def test_a_bad_file_shows_no_secret(make_sidecar: StartSidecar, native: NativeStore) -> None:
    good = {**one_store(native.dsn), "web": {"enable_lifecycle": True}}
    sidecar = make_sidecar(good)
    sidecar.start()
    # What must not change, so that the mistake alone is what is refused.
    fixed = {key: value for key, value in yaml.safe_load(sidecar.file.read_text()).items() if key != "stores"}
    seen = Seen()
    for mistake, text in MISTAKES.items():
        sidecar.file.write_text(text if "alone" in mistake else f"{yaml.safe_dump(fixed)}{text}")
        answer = sidecar.reload()
        assert answer.status == 500, mistake
        assert "<secret>" not in answer.text, f"{mistake}: the complaint is whole"
        seen.answer(f"reload: {mistake}", answer)
    sidecar.file.write_bytes(f"{STORE}dsn: host=h\n  password: \xff{MARK}".encode("latin-1"))
    seen.answer("reload: not UTF-8", sidecar.reload())
    seen.pages(sidecar)
    seen.process(sidecar)
    seen.assert_clean()


@pytest.mark.parametrize("mistake", ["begins with *", "unknown parameter", "misspelt key", "password as a number"])
def test_config_check_and_start_show_no_secret(mistake: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(MISTAKES[mistake])
    for arguments in (["--config.check"], []):
        done = run_command("serve", f"--config.file={file}", *arguments)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        Seen({" ".join(arguments): done.stdout + done.stderr}).assert_clean()
