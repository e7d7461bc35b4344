"""One store held against its profile, from the connection to the plan of every statement. Read-only throughout."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from exporter.config.dsn import parse_dsn, redact_dsn
from exporter.config.model import PostgresStore
from exporter.errors import ProfileError, StoreError, StoreUnavailable
from exporter.instruments import QueryInstruments
from exporter.stores import catalog, recognition
from exporter.stores.checking import plans
from exporter.stores.checking.absent import NOT_MAPPED, without
from exporter.stores.checking.columns import Described, SqlFault, describe
from exporter.stores.checking.explain import Explainer
from exporter.stores.checking.hidden import hidden
from exporter.stores.checking.report import EntityReport, Finding, StoreReport, fault, note, warning
from exporter.stores.checking.sample import sample
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.checking.statements import asked
from exporter.stores.credentials import StoreCredentials
from exporter.stores.profile import ENTITIES, OPTIONAL
from exporter.stores.queries import COLUMNS, Wrapped
from exporter.stores.reader import CLOCK, greatest_id
from exporter.stores.session import Session, Transaction
from exporter.stores.sql import statement
from exporter.vault.references import Secrets

_SURELY_MEANT: Final = 0.8


async def examine(store: PostgresStore, secrets: Secrets, *, budget: int, analyze: bool) -> StoreReport:
    """All that can be found out; what keeps the check from going on is a fault in the report, never an exception.

    ``budget`` is the configuration's limits.series_per_metric; ``analyze`` runs the statements too.
    """
    report = StoreReport(store=store.name, server=_address(store))
    credentials = StoreCredentials(store, secrets, "scheduler-exporter profile check")
    session = Session(store.name, credentials, store.timeout, QueryInstruments())
    try:
        await _examine(store, session, report, budget, analyze)
    except (StoreError, ProfileError) as e:
        report.findings.append(fault(" ".join(str(e).split())))
    finally:
        await session.close()
        await credentials.close()
    return report


def _address(store: PostgresStore) -> str:
    parameters = parse_dsn(store.dsn)
    if not parameters:
        return redact_dsn(store.dsn)
    host = parameters.get("host") or parameters.get("hostaddr") or "the default socket"
    return f"{host}:{parameters.get('port', 5432)}"


async def _examine(store: PostgresStore, session: Session, report: StoreReport, budget: int, analyze: bool) -> None:
    async with session.transaction() as transaction:
        server = await catalog.server(transaction)
        report.database = server.identity.database
        report.role, report.version = (await transaction.fetch("check", statement("role")))[0]
        recognised = await recognition.resolve(transaction, store)
        profile, report.variant = recognised.profile, recognised.variant
        schema = await recognition.schema_version(transaction, profile)
        report.schema_version = schema.told
        report.history = profile.history
        report.findings += [warning(schema.doubt)] if schema.doubt is not None else []
        report.profile, report.parameters = profile.name, dict(profile.parameters)
        if store.profile == "auto":
            report.recognised_by = list(dict.fromkeys(wanted.partition("(")[0] for wanted in profile.requires))
        listed = not await recognition.missing(transaction, profile.connections_require)
        described = await describe(transaction, profile, (*ENTITIES, *OPTIONAL) if listed else ENTITIES)
        wrapped = described.wrapped
        names = await _type_names(transaction, described)
        for entity in [*described.columns, *(e for e in described.faults if e not in described.columns)]:
            report.entities.append(await _entity(transaction, described, entity, names))
        report.not_mapped = {
            name: cost
            for name, cost in NOT_MAPPED.items()
            if getattr(profile, name) is None or (name in OPTIONAL and not listed)
        }
        report.findings += await _hidden(transaction, wrapped, report.role)
        if wrapped.has("executions"):
            exactness = await catalog.exactness(transaction, wrapped, server, store)
            report.not_exact = list(exactness.reasons)
            report.findings += [warning(f"counting is not provably exact: {reason}") for reason in exactness.reasons]
        now = float((await transaction.fetch("check", CLOCK))[0][0])
        greatest = await _greatest(transaction, wrapped)
    explainer = Explainer(session, store, analyze=analyze)
    for one in asked(wrapped, store, now, greatest, budget):
        report.statements.append(await explainer.explain(one))
    async with session.transaction() as transaction:
        report.findings += await _guessed(transaction, explainer)
        newest = "executions" not in explainer.scanned
        for part in report.entities:
            if wrapped.has(part.name):
                await sample(transaction, wrapped, part, now=now, newest=newest)


async def _guessed(transaction: Transaction, explainer: Explainer) -> list[Finding]:
    """Tables with rows of which the planner knows nothing: its plans, and the numbers in them, are guesses."""
    schemas, names = [schema for schema, _ in explainer.read], [name for _, name in explainer.read]
    found = [
        relation for (relation,) in await transaction.fetch("explain", statement("never_analysed"), schemas, names)
    ]
    if not found:
        return []
    return [
        note(
            f"never analysed, so rows in the plans are guesses, and the plans may change: {', '.join(found)}. Run this,"
            " then check again:",
            *(f"ANALYZE {relation};" for relation in found),
        )
    ]


async def _type_names(transaction: Transaction, described: Described) -> Mapping[str, str]:
    """Types that the driver shows as a number -> their names."""
    numbers = {kind for columns in described.columns.values() for kind in columns.values() if kind.isdigit()}
    if not numbers:
        return {}
    return dict(await transaction.fetch("check", statement("type_names"), [int(number) for number in numbers]))


async def _entity(
    transaction: Transaction, described: Described, entity: str, types: Mapping[str, str]
) -> EntityReport:
    columns = described.columns.get(entity, {})
    report = EntityReport(name=entity, columns={name: types.get(kind, kind) for name, kind in columns.items()})
    report.findings = [_finding(found) for found in described.faults.get(entity, ())]
    if not columns:
        return report
    report.absent = without(entity, columns, has_live_jobs="live_jobs" in described.columns)
    lacking = [name for name in COLUMNS[entity] if name not in columns]
    for name in columns:
        close = get_close_matches(name, lacking, n=1, cutoff=_SURELY_MEANT) if name not in COLUMNS[entity] else []
        report.findings += [warning(f"column {name!r} is not read; did you mean {meant!r}?") for meant in close]
    if not report.findings:
        sql = f"EXPLAIN (FORMAT JSON) SELECT * FROM ({getattr(described.profile, entity)}\n) q"
        async with savepoint(transaction):
            rows = await transaction.fetch("explain", sql)
        plan = rows[0][0][0]["Plan"]
        report.rows = int(plan["Plan Rows"])
        if entity != "executions" and plans.limited(plan):  # of executions the proof tells
            report.findings.append(warning("it ends with LIMIT: what that leaves out is not counted. Leave it out"))
    return report


def _finding(found: SqlFault) -> Finding:
    text, *lines = found.lines()
    return fault(text, lines=tuple(lines), remedy=found.grants)


async def _hidden(transaction: Transaction, wrapped: Wrapped, role: str) -> list[Finding]:
    """Relations whose rows row-level security may hide from us, and what would show them."""
    name = '"' + role.replace('"', '""') + '"'
    return [
        warning(
            f"row-level security may hide rows of {relation} from role {role}, in silence: {', '.join(entities)} would"
            " be too few. Let a policy show them all, let the role bypass security, or read a view of the scheduler's:",
            f"CREATE POLICY scheduler_exporter ON {relation} FOR SELECT TO {name} USING (true);",
            f"ALTER ROLE {name} BYPASSRLS;",
        )
        for relation, entities in (await hidden(transaction, wrapped, wrapped.columns)).items()
    ]


async def _greatest(transaction: Transaction, wrapped: Wrapped) -> int:
    """The greatest id of an id cursor; 0 where it cannot be had: its own statement tells why."""
    if not wrapped.has("executions") or wrapped.cursor.position is None:
        return 0
    try:
        async with savepoint(transaction):
            return await greatest_id(transaction, wrapped.cursor.position)
    except StoreUnavailable:
        raise
    except StoreError:
        return 0
