"""The log: one event is one line, whatever is in it, in every format."""

from __future__ import annotations

import io

import pytest
import structlog

from exporter import logs
from exporter.config.model import LogFormat

FORGED = (
    'x\nlevel=ERROR message=forged\r\n{"level":"ERROR","message":"forged"}\r\x1b[31m\x9b\x85\u2028\u2029\x00\x0b\x0c'
)


@pytest.mark.parametrize("log_format", ["json", "logfmt", "console"])
def test_a_value_makes_no_line_of_its_own(log_format: LogFormat) -> None:
    stream = io.StringIO()
    logs.configure(logs.LogSettings(format=log_format), stream)
    structlog.get_logger().warning("audit", target=FORGED, actor=[FORGED], client={"a": FORGED})
    written = stream.getvalue()
    assert written.endswith("\n")
    assert len(written[:-1].splitlines()) == 1  # splitlines knows every line end that there is
    assert written[:-1].isprintable()
    assert "forged" in written


def test_a_secret_that_is_part_of_what_is_shown_instead_is_one_too() -> None:
    scrubber = logs.Scrubber()
    scrubber.add("secret", "hunter2-and-more", "hunter2")
    assert scrubber.text("a hunter2-and-more, hunter2 and secret") == "a <secret>, <secret> and <secret>"


def test_a_known_secret_is_found_as_others_write_it() -> None:
    scrubber = logs.Scrubber()
    scrubber.add('pa ss/"wo\\rd')
    for form in (
        'pa ss/"wo\\rd',
        "pa%20ss%2F%22wo%5Crd",
        "pa%20ss/%22wo%5Crd",
        "pa+ss%2F%22wo%5Crd",
        'pa ss/\\"wo\\\\rd',
    ):
        assert scrubber.text(f"a {form} z") == "a <secret> z"
