"""Prometheus' own word on the rules, their tests and the example configuration."""

from __future__ import annotations

import pytest
from support.rules import ALERTS, RECORDS, RULES, promtool

TESTS = sorted((RULES / "tests").glob("*.yaml"))


def test_the_rules_have_no_fault() -> None:
    files = sorted({rule.file for rule in (*ALERTS, *RECORDS)})
    done = promtool("check", "rules", "--lint-fatal", *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name.removesuffix(".test.yaml"))
def test_the_rules_do_what_their_tests_say(file: object) -> None:
    done = promtool("test", "rules", file)
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]


def test_the_example_configuration_finds_every_file() -> None:
    done = promtool("check", "config", RULES / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    files = {rule.file for rule in (*ALERTS, *RECORDS)}
    assert f"{len(files)} rule files found" in done.stdout
