"""``profile detect``: which schedulers are in a database, told to people or, as JSON, to machines. Read-only."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from exporter.config.model import Dsn, PostgresStore
from exporter.instruments import QueryInstruments
from exporter.stores import catalog, recognition
from exporter.stores.checking.columns import describe
from exporter.stores.checking.render import KEPT, field
from exporter.stores.credentials import StoreCredentials
from exporter.stores.recognition import Recognised
from exporter.stores.session import Session, Transaction
from exporter.stores.sql import statement


class Detected(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A scheduler that was found: what to write into the configuration, and what is to be known of it.

    ``schema_version`` is as the scheduler wrote it down, ``releases`` those that have it: none where it was not tried,
    which ``doubt`` says. ``faults`` keep the profile from being read.
    """

    profile: str
    parameters: dict[str, str]
    description: str
    history: str
    variant: str | None = None
    schema_version: str | None = None
    releases: str | None = None
    doubt: str | None = None
    faults: list[str] = []


class Report(msgspec.Struct, kw_only=True):
    """What one database has; ``near`` says what profiles lack that nearly fit."""

    server: str
    database: str
    found: list[Detected]
    near: list[str]


async def detect(dsn: str, parameters: dict[str, str], say: Callable[[str], None], *, as_json: bool = False) -> int:
    """Look through the database; 0 when a scheduler was found, else 1. Raises StoreError.

    What ``dsn`` does not say comes from libpq's environment; it may be empty.
    """
    store = PostgresStore(name="detect", dsn=Dsn(dsn or "application_name=scheduler-exporter"), parameters=parameters)
    credentials = StoreCredentials(store, None, "scheduler-exporter profile detect")
    session = Session(store.name, credentials, store.timeout, QueryInstruments())
    try:
        async with session.transaction() as transaction:
            report = await _report(transaction, store)
    finally:
        await session.close()
        await credentials.close()
    say(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() if as_json else text(report))
    return 0 if report.found else 1


async def _report(transaction: Transaction, store: PostgresStore) -> Report:
    server = await catalog.server(transaction)
    found, near = await recognition.search(transaction, store.parameters)
    place = (await transaction.fetch("detect", statement("place")))[0][0]
    return Report(
        server=place,
        database=server.identity.database,
        found=[await _detected(transaction, one) for one in found],
        near=near,
    )


async def _detected(transaction: Transaction, found: Recognised) -> Detected:
    profile = found.profile
    schema = await recognition.schema_version(transaction, profile)
    described = await describe(transaction, profile)
    faults = [f"{entity}: {fault}" for entity, listed in described.faults.items() for fault in listed]
    return Detected(
        profile=profile.name,
        parameters=dict(profile.parameters),
        description=profile.description,
        history=profile.history,
        variant=found.variant,
        schema_version=schema.version,
        releases=schema.releases,
        doubt=schema.doubt,
        faults=faults,
    )


def text(report: Report) -> str:
    """For a terminal: each scheduler with the lines that a configuration needs for it."""
    lines = field("database", f"{report.database} at {report.server}")
    for one in report.found:
        variant = f", variant {one.variant!r}" if one.variant is not None else ""
        lines += ["", *field("scheduler", f"{one.description} (profile {one.profile}{variant})")]
        if one.schema_version is not None:
            known = f" ({one.releases})" if one.releases is not None else ""
            lines += field("schema", f"version {one.schema_version}{known}")
        lines += field("history", KEPT[one.history])
        if one.doubt is not None:
            lines += field("warning", one.doubt)
        for fault in one.faults:
            lines += field("FAULT", fault)
        lines += field("to configure", f"profile: {one.profile}")
        if one.parameters:
            # JSON is YAML: names of every kind are quoted rightly.
            lines += field("", f"parameters: {msgspec.json.encode(one.parameters).decode()}")
    if not report.found:
        lines += ["", *field("scheduler", "none that is known")]
        lines += field("", "`scheduler-exporter profile new` prints a skeleton for one of your own")
    if report.near:
        lines += [] if not report.found else [""]
        lines += [line for one in report.near for line in field("nearly", one)]
    return "\n".join(lines)
