from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.expand import LARGEST_FILE, ExpandError
from exporter.config.follow import Follower
from exporter.config.model import Config
from exporter.config.secrets import Secret

Load = Callable[..., Config]
Problems = Callable[..., list[str]]


STORE = "stores: [{name: main, dsn: host=db, %s}]\n"


def expand(text: str, environ: dict[str, str], base_dir: Path) -> tuple[str, bool]:
    """The text of a key that is no secret, and whether there was anything to follow."""
    follower = Follower(environ, base_dir, {})
    parsed = follower.parse(text, ("key",))
    return follower.follow(parsed), parsed.expanded


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwo: [z"),
        ("${MISSING:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${A:-default}", "one"),
        ("${MISSING:-}", ""),
        ("${EMPTY}", ""),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$$$${A}", "$${A}"),
        ("a$1b$", "a$1b$"),
        ("$A", "$A"),
        ("${MISSING:-a:b-c}", "a:b-c"),
    ],
)
def test_variables(text: str, expanded: str, tmp_path: Path) -> None:
    environ = {"A": "one", "B": "two: [", "EMPTY": ""}
    assert expand(text, environ, tmp_path)[0] == expanded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${MISSING}", "environment variable MISSING is not set"),
        ("${", 'without "}"'),
        ("a${A", 'without "}"'),
        ("${}", "expected ${VAR}"),
        ("${A B}", "expected ${VAR}"),
        ("${A-b}", "expected ${VAR}"),
        ("${1A}", "expected ${VAR}"),
        ("${A:-${B}}", "expected ${VAR}"),
        ("${env:A}", "expected ${VAR}"),
        ("${file:}", "expected ${VAR}"),
        ("${vault:}", "${vault:}: expected ${vault:path#field}"),
        ("${vault:secret/data/x}", "${vault:secret/data/x}: expected ${vault:path#field}"),
        ("${vault:secret/data/x#}", "${vault:secret/data/x#}: expected ${vault:path#field}"),
        ("${vault:#password}", "${vault:#password}: expected ${vault:path#field}"),
        ("${vault:a${b#c}", "expected ${vault:path#field}"),
        ("${vault:a\nb#c}", r"${vault:a\nb#c}: expected ${vault:path#field}"),
        ("${file:/no/such/file}", "${file:/no/such/file}: No such file or directory"),
        ("${file:a\0b}", r"${file:a\x00b}: not a file name"),
        ("${file:.}", "${file:.}: Is a directory"),
    ],
)
def test_references_that_cannot_be_followed(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExpandError) as caught:
        expand(text, {"A": "one", "B": "two"}, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"pw", "pw"), (b"pw\n", "pw"), (b"pw\r\n", "pw"), (b"pw\n\n", "pw\n"), (b" pw ", " pw ")],
)
def test_a_file_loses_one_line_end(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert expand("${file:secret}", {}, tmp_path) == (text, True)
    assert expand("${file:%s}" % (tmp_path / "secret"), {}, Path("/")) == (text, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * (LARGEST_FILE + 1), "larger than"),
    ],
)
def test_files_that_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ExpandError, match=message):
        expand("${file:secret}", {}, tmp_path)


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to("secret")
    with pytest.raises(ExpandError, match="Too many levels of symbolic links"):
        expand("${file:secret}", {}, tmp_path)


def test_a_value_cannot_change_the_structure(load: Load) -> None:
    config = load(STORE % 'password: "${PW}"', PW='"\nstores: []\n- [a: {b')
    assert config.stores[0].password == Secret('"\nstores: []\n- [a: {b')


def test_text_stays_text(load: Load) -> None:
    config = load("stores: [{name: '${N}', dsn: host=db, password: '${N}'}]", N="0123")
    assert config.stores[0].name == "0123"
    assert config.stores[0].password == Secret("0123")


def test_other_kinds_are_read_from_the_expanded_text(load: Load) -> None:
    config = load(
        STORE % 'interval: "${I}", max_db_load: "${L}"'
        + 'web: {enable_lifecycle: "${E}"}\nlimits: {memory: "${M}", series_per_metric: "${M:-40}"}\n'
        + "connections: {targets: [{name: a, host: b, id: '${ID}'}, {name: c, host: d, id: '${N}'}]}",
        **{"I": "30s", "L": "0.5", "E": "on", "M": "", "ID": "7", "N": "seven"},
    )
    assert config.stores[0].interval == 30
    assert config.stores[0].max_db_load == 0.5
    assert config.web.enable_lifecycle is True
    assert config.limits.memory is None
    assert config.limits.series_per_metric == 40
    assert [target.id for target in config.connections.targets] == [7, "seven"]


def test_an_optional_key_is_unset_by_an_empty_variable(load: Load) -> None:
    assert load(STORE % 'password: "${PW:-}"').stores[0].password is None


def test_an_error_shows_the_reference_and_never_the_value(problems: Problems) -> None:
    found = problems(STORE % "interval: '${I}', max_db_load: '${I}', profile: '${P}'", I="hunter2", P="  ")
    assert found == [
        'c.yaml:1: stores[0].interval: expected a duration such as 15s, 5m, 2h, 35d; got "${I}"',
        'c.yaml:1: stores[0].max_db_load: expected a number; got "${I}"',
        'c.yaml:1: stores[0].profile: expected something that is not empty; got "${P}"',
    ]


def test_every_missing_reference_is_told_at_once(problems: Problems) -> None:
    found = problems("stores:\n- name: ${A}\n  dsn: ${B}\n  parameters: {schema: '${C}'}\n  password: ${file:nope}\n")
    assert [line.split("; ")[0] for line in found] == [
        "c.yaml:2: stores[0].name: the environment variable A is not set",
        "c.yaml:3: stores[0].dsn: the environment variable B is not set",
        "c.yaml:4: stores[0].parameters.schema: the environment variable C is not set",
        "c.yaml:5: stores[0].password: ${file:nope}: No such file or directory",
    ]
