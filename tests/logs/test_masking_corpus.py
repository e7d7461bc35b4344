"""Nothing leaks, and nothing harmless is destroyed: a corpus of texts, and JSON values as schedulers keep them."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from exporter import logs
from exporter.api.masking import shown_result
from exporter.logs import masked, masked_text, masking

CORPUS = Path(__file__).with_name("corpus")
HIDDEN = re.compile("⟦(.*?)⟧")
PLACEHOLDER = re.compile(r"<(?:secret|email|phone|card|account|name|personal|row)>")


def lines(name: str) -> list[str]:
    found = CORPUS.joinpath(name).read_text().splitlines()
    return [line for line in found if line and not line.startswith("# ") and line != "#"]


LEAKS, HARMLESS = lines("leaks.txt"), lines("harmless.txt")


def plain(line: str) -> str:
    """A line of the corpus as a program would write it."""
    return line.removesuffix("~").replace("⟦", "").replace("⟧", "").replace("\\n", "\n")


def secrets(line: str) -> list[str]:
    return [secret.replace("\\n", "\n") for secret in HIDDEN.findall(line)]


def test_the_corpus_is_large() -> None:
    assert len(LEAKS) >= 450
    assert len(HARMLESS) >= 450
    assert len({*LEAKS, *HARMLESS}) == len(LEAKS) + len(HARMLESS)


@pytest.mark.parametrize("line", LEAKS)
def test_nothing_leaks(line: str) -> None:
    shown = masked_text(plain(line))
    for secret in secrets(line):
        assert secret not in shown
        # Nor a part of it that would do.
        for part in re.split(r"[\s,;]+", secret):
            assert len(part) < 6 or part not in shown
    if not line.endswith("~"):
        # What stands around it is as it was.
        around = [part.replace("\\n", "\n") for part in re.split("⟦.*?⟧", line)]
        assert re.fullmatch(PLACEHOLDER.pattern.join(map(re.escape, around)), shown), shown


@pytest.mark.parametrize("line", LEAKS)
def test_nothing_leaks_where_a_password_is_a_word_of_keys(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``client_<secret>=abc`` would be no key any more: who has such a password must not have the others' shown."""
    words = logs.Scrubber()
    words.add("secret", "password", "token", "credentials", "cookie", "authorization", "bearer", "value", "postgres")
    monkeypatch.setattr(masking, "scrubber", words)
    shown = masked_text(plain(line))
    for secret in secrets(line):
        assert secret not in shown
    assert words.text(shown) == shown, "nor is that password"


@pytest.mark.parametrize("line", HARMLESS)
def test_nothing_harmless_is_destroyed(line: str) -> None:
    assert masked_text(line) == line
    assert masked_text(f"job 42 failed: {line}") == f"job 42 failed: {line}"
    assert masked({"detail": [line]}) == {"detail": [line]}


@pytest.mark.parametrize("line", LEAKS)
def test_masking_again_changes_nothing(line: str) -> None:
    once = masked_text(plain(line))
    assert masked_text(once) == once


#: What a scheduler's results look like, and what of them is shown.
RESULTS: list[tuple[Any, Any]] = [
    ({"sent": True, "recipient": "user@example.com"}, {"sent": True, "recipient": "<email>"}),
    (
        {"password": "x", "api_key": {"a": 1}, "tokens": 12},
        {"password": "<secret>", "api_key": "<secret>", "tokens": 12},
    ),
    ({"firstName": "Alice", "lastName": "Smith"}, {"firstName": "<name>", "lastName": "<name>"}),
    ({"first_name": "alice", "surname": "SMITH", "age": 41}, {"first_name": "<name>", "surname": "<name>", "age": 41}),
    ({"user": {"id": 5, "name": "Alice Smith"}}, {"user": {"id": 5, "name": "<name>"}}),
    ({"users": [{"name": "alice"}, {"name": "bob"}]}, {"users": [{"name": "<name>"}, {"name": "<name>"}]}),
    ({"customer": "Alice Smith"}, {"customer": "<name>"}),
    (
        {"customer": {"name": "Alice", "plan": {"name": "Gold"}}},
        {"customer": {"name": "<name>", "plan": {"name": "Gold"}}},
    ),
    ({"name": "Alice Smith", "email": "a@example.com"}, {"name": "<name>", "email": "<email>"}),
    ({"name": "Alice", "phone": "4155552671"}, {"name": "<name>", "phone": "<phone>"}),
    ({"name": "nightly-report", "email": "ops@example.com"}, {"name": "nightly-report", "email": "<email>"}),
    ({"recipients": ["Alice Smith", "Bob Jones"]}, {"recipients": ["<name>", "<name>"]}),
    (
        {"patientName": "Alice Smith", "dateOfBirth": "1980-01-01"},
        {"patientName": "<name>", "dateOfBirth": "<personal>"},
    ),
    ({"cardholder": "A SMITH", "cardNumber": 4111111111111111}, {"cardholder": "<name>", "cardNumber": "<personal>"}),
    ({"paid": 4111111111111111, "job": 4111111111111112}, {"paid": "<card>", "job": 4111111111111112}),
    ({"mobile": 4155552671, "isMobile": True}, {"mobile": "<phone>", "isMobile": True}),
    ({"alice@example.com": 3}, {"<email>": 3}),
    (
        {"billingAddress": {"street": "1 Main St", "zip": "12345"}},
        {"billingAddress": {"street": "<personal>", "zip": "12345"}},
    ),
    ({"iban": "DE89370400440532013000"}, {"iban": "<personal>"}),
    ({"user_full_name": "alice", "contactFirstName": "A"}, {"user_full_name": "<name>", "contactFirstName": "<name>"}),
    ({"owner": "Alice van der Berg"}, {"owner": "<name>"}),
    (
        [{"name": "DB_PASSWORD", "value": "x"}, {"key": "X-Api-Key", "value": ["y"]}, {"name": "MAX", "value": "5"}],
        [
            {"name": "DB_PASSWORD", "value": "<secret>"},
            {"key": "X-Api-Key", "value": "<secret>"},
            {"name": "MAX", "value": "5"},
        ],
    ),
    ({"n": ["postgres://u:hunter2@h/db"], "t": None}, {"n": ["postgres://u:<secret>@h/db"], "t": None}),
]
#: And what has to stay.
PLAIN: list[Any] = [
    {"name": "Daily Report", "task_type": "generateReport"},
    {"job": {"id": "job_abc123", "name": "Send Welcome Email", "status": "COMPLETED"}},
    {"worker": {"name": "worker_host1_12345", "host": "host1"}},
    {"title": "Daily Log Analysis", "rows": 1234567, "started": "2026-11-25T10:00:00Z", "seconds": 1.25},
    {"id": "550e8400-e29b-41d4-a716-446655440000", "version": "1.2.3", "address": "10.0.0.1:5432"},
    {"user": "ops", "userId": "user123", "owner": "team-data", "username": "svc_report"},
    {"fileName": "report-2026-11-25.csv", "hostname": "db1", "table_name": "jobs", "columnName": "id"},
    {"token_type": "bearer", "password_changed_at": "2026-11-25", "secretName": "db-creds", "passed": True},
    {"contact": None, "phone": "", "customers": 25, "emails": 12, "phones": 3, "recipients": 125},
    {"eventsProcessed": 25, "duration": 1500, "ids": [1, 2, 3], "ratio": 0.25, "epoch": 1640995200123},
]


@pytest.mark.parametrize(("result", "expected"), RESULTS)
def test_results_are_masked(result: Any, expected: Any) -> None:
    assert masked(result) == expected
    assert shown_result(json.dumps(result)) == expected
    assert masked(expected) == expected


@pytest.mark.parametrize("result", PLAIN)
def test_results_without_persons_stay(result: Any) -> None:
    assert masked(result) == result


@pytest.mark.parametrize("log_format", ["json", "logfmt", "console"])
def test_no_sink_gets_any_of_it(log_format: Any, tmp_path: Path) -> None:
    stream = io.StringIO()
    told: list[logs.ErrorEvent] = []
    logs.configure(logs.LogSettings(format=log_format, directory=str(tmp_path), console=True), stream)
    end = logs.on_error(told.append)
    log = structlog.get_logger(component="test")
    for line in LEAKS:
        text = plain(line)
        log.error(f"failed: {text}", error=text, nested={"deep": [text]}, text={text: 1})
        log.info(text)
        try:
            raise ValueError(text)
        except ValueError:
            log.exception(f"unexpected: {text}", about=text)
    end()
    logs.tend(everything=True)
    files = "".join(file.read_text() for file in tmp_path.iterdir())
    written = {"stdout": stream.getvalue(), "files": files, "events": json.dumps([dict(e.fields) for e in told])}
    assert len(told) > 200
    for where, text in written.items():
        for line in LEAKS:
            for secret in secrets(line):
                if len(secret) >= 6 and "\n" not in secret:
                    assert secret not in text, f"{where}: {secret}"
                    assert json.dumps(secret)[1:-1] not in text, f"{where}: {secret}"


#: Texts that make careless patterns try each beginning with each end.
HOSTILE = (
    "://a:",
    "://a:@x",
    "a@",
    "1 ",
    "0123456789",
    "+1 2 3 4 5 6 7",
    "password=",
    'password="\\',
    "authorization:",
    "bearer ",
    "cookie: a=",
    "basic QUJD",
    "-----BEGIN PRIVATE KEY",
    "eyJ",
    "first_name ",
    "Key (",
    "failing row contains (",
    "phone ",
    "<a",
    "--a-",
    "DE12 ABCD ",
    "a/b@//",
    '"a ',
    "M",
    "s.",
    " -u 'a:",
    "mysql ",
    "redis-cli -a",
    "a:b@tcp(",
    "://aB1",
    'name="pass" ',
    "password '",
)


@pytest.mark.parametrize("part", HOSTILE)
def test_no_text_takes_long(part: str) -> None:
    def seconds(length: int) -> float:
        text = (part * (length // len(part)))[:length]
        began = time.process_time()
        masked_text(text)
        return time.process_time() - began

    # On a slow processor it may: then twice the text is to take about twice as long, not four times.
    took = seconds(100_000)
    assert took < 5 or took < 3 * seconds(50_000)
