"""What reaches Sentry of what is logged: the same masks as in the log, places of exceptions without their variables."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from support.polling import until
from support.sentry_receiver import SentryServer, running_sentry

from exporter import logs
from exporter.config.model import Config
from exporter.config.references import VaultReference
from exporter.config.secrets import Secret
from exporter.config.telemetry import Sentry
from exporter.credentials import CredentialsError
from exporter.errors import ConfigError
from exporter.outbound import Reveal
from exporter.telemetry.errors import A_MINUTE, reporting

CORPUS = Path(__file__).parents[1] / "logs" / "corpus"
#: What must not get through, wherever it stands.
SECRETS = (
    "hunter22",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw",
    "AKIAIOSFODNN7EXAMPLE",
    "jane.doe@example.com",
    "4111 1111 1111 1111",
)
#: What must: it is what one looks for.
HARMLESS = ("2026-03-01", "10.0.0.7:5432", "nightly_report", "0af76519-16cd-43dd-8448-eb211c80319c")
TEXT = (
    "cannot reach postgresql://app:hunter22@10.0.0.7:5432/x with Bearer {1}; key {2}, asked by {3}, paid with {4}"
    " on 2026-03-01 for nightly_report 0af76519-16cd-43dd-8448-eb211c80319c"
).format(*SECRETS)


@pytest.fixture
def sentry() -> Iterator[SentryServer]:
    with running_sentry() as running:
        yield running


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    # What is on its way at the end gets there, however slow the machine is.
    monkeypatch.setattr("exporter.telemetry.errors.LAST", 60.0)
    stream = io.StringIO()
    logs.configure(logs.LogSettings(level="debug"), stream)
    yield stream
    logs.configure(logs.LogSettings())
    structlog.reset_defaults()


async def plain(secret: Secret) -> str:
    return secret.reveal()


@asynccontextmanager
async def reported(sentry: SentryServer, reveal: Reveal = plain, **options: str) -> AsyncIterator[None]:
    section = Sentry(dsn=Secret(sentry.dsn), **options)  # type: ignore[arg-type]
    async with reporting(Config(sentry=section), reveal, {}):
        yield


async def soon(check: Callable[[], bool]) -> None:
    """Wait for it, and let the loop go on meanwhile."""
    await asyncio.to_thread(until, check, 90)


def fail(password: str) -> None:
    local = f"a local variable with {password}"
    raise ValueError(TEXT + local[:0])


async def test_an_event_is_masked_as_the_log_is(sentry: SentryServer) -> None:
    async with reported(sentry):
        log = structlog.get_logger(component="store")
        try:
            try:
                fail("hunter22")
            except ValueError as error:
                raise RuntimeError(f"while asking: {TEXT}") from error
        except RuntimeError:
            log.exception("a request failed", error=TEXT, password="hunter22", found=[{"email": SECRETS[3]}])
    event = sentry.wait("a request failed")
    everything = "\n".join(sentry.bodies)
    for secret in SECRETS:
        assert secret not in everything
    for harmless in HARMLESS:
        assert harmless in everything
    assert event["level"] == "error"
    cause, outer = event["exception"]["values"]
    assert (cause["type"], outer["type"]) == ("ValueError", "RuntimeError")
    frame = cause["stacktrace"]["frames"][-1]
    assert (frame["function"], frame["filename"]) == ("fail", "test_reporting.py")
    assert frame.keys() == {"function", "filename", "lineno", "in_app"}
    assert "a local variable" not in everything


async def test_the_corpus_of_masking_does_not_leak_and_what_is_harmless_stays(sentry: SentryServer) -> None:
    marked = [line for line in (CORPUS / "leaks.txt").read_text().splitlines() if line and not line.startswith("# ")]
    harmless = [line for line in (CORPUS / "harmless.txt").read_text().splitlines() if line and line[0] != "#"]
    leaks = [line.removesuffix("~").replace("⟦", "").replace("⟧", "") for line in marked]
    assert len(leaks) >= 200
    # Every second one: only so many events leave in a minute.
    texts = [*leaks[::2], *harmless[::2]]
    async with reported(sentry):
        log = structlog.get_logger(component="tests")
        # Sentry's SDK keeps ten entries of a mapping.
        starts = range(0, len(texts), 10)
        for start in starts:
            about = {f"text{number}": text for number, text in enumerate(texts[start : start + 10])}
            log.error("corpus", batch=start, **about)
        await soon(lambda: len(sentry.with_message("corpus")) == len(starts))
    told = [value for event in sentry.with_message("corpus") for key, value in event["extra"].items() if key != "batch"]
    assert len(told) > 0.85 * len(texts)
    everything = "\n".join(text for text in told if text not in harmless)
    for line in marked:
        for secret in re.findall("⟦(.*?)⟧", line):
            assert len(secret) < 6 or secret not in everything, line
    assert sum(line in told for line in harmless[::2]) > 0.85 * len(harmless[::2])


async def test_a_request_and_its_trace_are_found_by_the_event(sentry: SentryServer) -> None:
    async with reported(sentry):
        with structlog.contextvars.bound_contextvars(request_id="r-17", trace_id="a" * 32, span_id="b" * 16):
            structlog.get_logger(component="http").error("request failed", endpoint="/api/jobs/{id}")
    event = sentry.wait("request failed")
    assert event["tags"]["correlationId"] == "r-17"
    assert event["tags"]["endpoint"] == "/api/jobs/{id}"
    assert event["contexts"]["trace"] == {"trace_id": "a" * 32, "span_id": "b" * 16}


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("critical", ["fatal"]),
        ("error", ["error", "fatal"]),
        ("warning", ["warning", "error", "fatal"]),
        ("info", ["info", "warning", "error", "fatal"]),
    ],
)
async def test_classes_are_levels_and_the_lowest_is_configured(
    level: str, expected: list[str], sentry: SentryServer
) -> None:
    async with reported(sentry, level=level):
        log = structlog.get_logger(component="tests")
        log.debug("m0")
        log.info("m1")
        log.warning("m2")
        log.error("m3")
        log.critical("m4")
    assert [event["level"] for event in sentry.with_message("m")] == expected


async def test_what_ends_the_process_is_told_and_what_its_operator_did_is_not(sentry: SentryServer) -> None:
    with pytest.raises(ExceptionGroup):
        async with reported(sentry), asyncio.TaskGroup() as group:

            async def core_loop() -> None:
                raise KeyError("hunter22-is-its-text")

            group.create_task(core_loop())
    event = sentry.wait("the process ends")
    assert event["level"] == "fatal"
    assert [value["type"] for value in event["exception"]["values"]] == ["KeyError", "ExceptionGroup"]
    with pytest.raises(ConfigError):
        async with reported(sentry):
            raise ConfigError(["web.listen_address: taken"])
    assert len(sentry.with_message("the process ends")) == 1


async def test_so_many_a_minute_and_no_more(sentry: SentryServer) -> None:
    async with reported(sentry):
        log = structlog.get_logger(component="tests")
        for number in range(3 * A_MINUTE):
            log.warning("m", target=f"t{number}")
    assert 1 <= len(sentry.with_message("m")) <= A_MINUTE


async def test_its_own_troubles_are_not_reported_to_it(sentry: SentryServer, log: io.StringIO) -> None:
    sentry.status = 503
    async with reported(sentry):
        structlog.get_logger(component="tests").warning("m")
        await soon(lambda: "errors cannot be reported to Sentry" in log.getvalue())
        sentry.status = 200
        structlog.get_logger(component="tests").warning("m2")
        await soon(lambda: bool(sentry.with_message("m2")))
    assert [e for e in sentry.events if e["logger"] == "sentry"] == []


async def test_a_dsn_that_cannot_be_had_yet_is_asked_for_again(
    sentry: SentryServer, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.telemetry.errors.PAUSE", 0.05)
    away = True

    async def reveal(_: Secret) -> str:
        if away:
            raise CredentialsError("Vault is sealed")
        return sentry.dsn

    section = Sentry(dsn=Secret((VaultReference("secret/data/sentry", "dsn"),)))
    async with reporting(Config(sentry=section), reveal, {}):
        structlog.get_logger(component="tests").warning("m")
        await soon(lambda: "Vault is sealed" in log.getvalue())
        away = False
        await soon(lambda: bool(sentry.with_message("m")))
