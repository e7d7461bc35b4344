"""Statements in traces: their shape, and none of their values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.stores.profile import shipped
from exporter.tracing import without_values


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT 'o''brien', E'a\\'b', U&'d', B'01'", "SELECT ?, ?, ?, ?"),
        (r"SELECT 'abc\' AND x = 'secret'", "SELECT ? AND x = ?"),
        ("SELECT $$a secret$$, $tag$ it's $$ $tag$", "SELECT ?, ?"),
        ("SELECT 12.5e3, .5, -7, 0x1F", "SELECT ?, ?, -?, ?"),
        ("SELECT t1.col2, x::float8 FROM a$1 WHERE b = $1", "SELECT t1.col2, x::float8 FROM a$1 WHERE b = $1"),
        ('SELECT "it\'s 5" FROM t', 'SELECT "it\'s 5" FROM t'),
        ("SELECT a -- of mr. brown\nFROM t /* 'x' */ WHERE type'secret' = b", "SELECT a FROM t WHERE type? = b"),
        ("SELECT 'never ends", "SELECT ?"),
        ("SELECT interval '1 day' * 3", "SELECT interval ? * ?"),
    ],
)
def test_values_become_question_marks(sql: str, shown: str) -> None:
    assert " ".join(without_values(sql).split()) == shown


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_no_text_gets_through_however_it_is_quoted(secret: str) -> None:
    marked = f"kept-out{secret}"
    escaped = marked.replace("\\", "\\\\").replace("'", "\\'")
    for quoted in ("'" + marked.replace("'", "''") + "'", f"E'{escaped}'"):
        assert without_values(f"SELECT a FROM t WHERE b = {quoted} AND c = $1") == (
            "SELECT a FROM t WHERE b = ? AND c = $1"
        )


def test_the_shipped_profiles_keep_their_tables_and_lose_their_values() -> None:
    for name, profile in shipped().items():
        asked = profile.executions or profile.jobs
        if asked is None:
            continue  # what is asked over HTTP
        text = without_values(asked)
        assert text.startswith(("SELECT", "WITH")), name
        assert " FROM " in text
        assert "'" not in text.replace('"', ""), name


def test_a_long_one_is_cut() -> None:
    assert len(without_values("SELECT " + ", ".join(f"column_{i}" for i in range(1_000)))) < 2_100
