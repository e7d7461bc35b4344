"""Which scheduler is in a database: the profile whose tables are there, its variant, the version of its schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from exporter.config.model import HttpTrigger, PostgresStore, Profile
from exporter.config.problems import nearest
from exporter.errors import ProfileError, StoreError, StoreTooSlow, StoreUnavailable
from exporter.stores.checking.columns import refused
from exporter.stores.checking.plans import unquoted
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.profile import PLACEHOLDER, Shipped, fill, named, names, shipped, triggered_by, varied
from exporter.stores.session import Transaction
from exporter.stores.sql import statement

log = structlog.get_logger(component="store")

_REQUIREMENT: Final = re.compile(r"^(?P<relation>.+?)\((?P<columns>[^()]*)\)$")
#: A column as it is called, with quotation marks round it or without.
_LISTED: Final = re.compile(r'"(?:[^"]|"")+"|[^,]+')


class Recognised(msgspec.Struct, frozen=True):
    """A profile that fits, parameters and variant in place. ``variant`` is None where there is one form only."""

    profile: Profile
    variant: str | None = None


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a scheduler's schema. ``releases`` have it, None where it was not tried.

    ``version`` is None where the scheduler writes none down, or ``problem`` says why it could not be read.
    """

    version: str | None = None
    releases: str | None = None
    problem: str | None = None
    known: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def told(self) -> str | None:
        """The version and who has it, in words; None where none is known."""
        return self.version if self.releases is None else f"{self.version} ({self.releases})"

    @property
    def doubt(self) -> str | None:
        """What there is to say against this version, in words; None for one that was tried, or where none is told."""
        if self.problem is not None:
            return f"the version of the scheduler's schema is not known: {self.problem}"
        if self.version is None or self.releases is not None:
            return None
        tried = "; ".join(f"{version} ({releases})" for version, releases in self.known.items())
        return (
            f"schema version {self.version} is none of those that were tried: {tried}. Its tables have what the profile"
            " reads; whether they mean the same is not known"
        )


async def opened(transaction: Transaction, store: PostgresStore) -> Profile:
    """The profile in force, told in the log with its variant and version. Raises ProfileError."""
    found = await resolve(transaction, store)
    profile, schema = found.profile, await schema_version(transaction, found.profile)
    log.info(
        "store opened",
        store=store.name,
        profile=profile.name,
        parameters=profile.parameters,
        **{k: v for k, v in (("variant", found.variant), ("schema_version", schema.version)) if v is not None},
    )
    if schema.doubt is not None:
        log.warning("the scheduler's schema has not been tried", store=store.name, reason=schema.doubt)
    return profile


async def resolve(transaction: Transaction, store: PostgresStore) -> Recognised:
    """The profile in force. Raises ProfileError when none fits or something is missing."""
    found = await _resolved(transaction, store)
    if isinstance(store.trigger, HttpTrigger):
        return found
    return Recognised(triggered_by(found.profile, store.trigger.statement), found.variant)


async def _resolved(transaction: Transaction, store: PostgresStore) -> Recognised:
    if store.profile == "auto":
        return await detect(transaction, store.parameters)
    profile = chosen(store)
    lacking = await missing(transaction, profile.requires)
    found = None if lacking else await _variant(transaction, profile)
    if isinstance(found, Recognised):
        return found
    raise ProfileError(
        f"profile {profile.name!r} does not fit this database: {'; '.join(lacking or found or ())}."
        f" Is `parameters` ({_listed(profile.parameters)}) right, and may this role see the tables?"
    )


def chosen(store: PostgresStore) -> Profile:
    """The profile that the configuration names or holds, with its parameters in place.

    Raises ProfileError for a name that is wrong, with the nearest one.
    """
    known: Iterable[str] = ("auto", *names())
    wrong = str(store.profile)
    try:
        profile = store.profile if isinstance(store.profile, Profile) else named(store.profile)
        known = profile.parameters
        wrong = next((name for name in sorted(store.parameters) if name not in known), "")
        return fill(profile, store.parameters)
    except ProfileError as e:
        raise ProfileError(f"{e}{nearest(wrong, known)}") from e


async def _variant(transaction: Transaction, profile: Profile) -> Recognised | list[str]:
    """The profile in its first variant that fits, or as it is; what the variants lack where it is nothing alone."""
    if not isinstance(profile, Shipped):
        return Recognised(profile)
    lacking: list[str] = []
    for variant in profile.variants:
        lacks = await missing(transaction, variant.requires)
        if not lacks:
            return Recognised(varied(profile, variant), variant.name)
        lacking.append(f"not its variant {variant.name!r}: {', '.join(lacks)}")
    if profile.variants and profile.jobs is None and profile.executions is None:
        return lacking
    return Recognised(profile)


async def detect(transaction: Transaction, parameters: Mapping[str, str]) -> Recognised:
    """The shipped profile whose tables are here. Raises ProfileError when none or several fit."""
    found, near = await search(transaction, parameters)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ProfileError(none_found(near))
    fits = "; ".join(f"{one.profile.name} ({_listed(one.profile.parameters)})" for one in found)
    raise ProfileError(f"profile auto finds more than one scheduler here: {fits}. Set `profile` and `parameters`")


def none_found(near: Sequence[str]) -> str:
    """What there is to say where no scheduler was recognised."""
    return (
        f"profile auto recognises no scheduler in this database (known: {', '.join(names())}). Name a profile, write"
        " one (docs/profiles.md), or set `parameters: {schema: ...}`; may this role see the tables?"
        + "".join(f" {one}." for one in near)
    )


async def search(transaction: Transaction, parameters: Mapping[str, str]) -> tuple[list[Recognised], list[str]]:
    """Every shipped profile that fits, in every schema, and in words what those that nearly fit lack."""
    found: list[Recognised] = []
    near: list[str] = []
    for profile in shipped().values():
        if not profile.requires:
            continue  # it would fit everything
        wanted = {name: value for name, value in parameters.items() if name in profile.parameters}
        for values in await _candidates(transaction, profile, wanted):
            filled = fill(profile, values)
            lacking = await missing(transaction, filled.requires)
            one = None if lacking else await _variant(transaction, filled)
            if isinstance(one, Recognised):
                found.append(one)
            elif len(lacking) < max(2, len(filled.requires) / 2):
                told = "; ".join(lacking or one or ())
                near.append(f"{filled.name} ({_listed(filled.parameters)}) nearly fits: {told}")
    return found, near


async def _candidates(transaction: Transaction, profile: Profile, wanted: dict[str, str]) -> list[dict[str, str]]:
    """Parameter sets to try: as given, else every schema, and prefix, that holds the profile's first table."""
    open_ones = [name for name in ("schema", "prefix") if name in profile.parameters and name not in wanted]
    if not open_ones or not profile.requires:
        return [wanted]
    # Without a prefix of its own the table's name is the whole of it.
    relation = _parse(profile.requires[0])[0].rpartition(".")[2]
    match = PLACEHOLDER.fullmatch(relation)
    name = (match[2] or "") if match else relation
    fixed = "" if match is None or "prefix" in open_ones else wanted.get("prefix", "")
    rows = await transaction.fetch("detect", statement("schemas"), fixed + name, "prefix" in open_ones)
    schema = wanted.get("schema")
    candidates = []
    for found_in, prefix in rows:
        values = {"schema": found_in} if "schema" in profile.parameters else {}
        if "prefix" in open_ones:
            values["prefix"] = prefix
        if schema in (None, found_in) and wanted | values not in candidates:
            candidates.append(wanted | values)
    return candidates or ([wanted] if schema is not None else [])


async def missing(transaction: Transaction, requires: Sequence[str]) -> list[str]:
    """What a profile requires and the database does not show, in words: tables, columns, privileges."""
    wanted = dict(_parse(requirement) for requirement in requires)
    try:
        async with savepoint(transaction):
            rows = await transaction.fetch("detect", statement("relations"), list(wanted))
    except (StoreUnavailable, StoreTooSlow):
        raise
    except StoreError as e:  # a name that is none
        return [str(await refused(transaction, " ".join(wanted), e))]
    present = {name: set(columns) for name, columns, _ in rows}
    lacking = []
    for relation, columns in wanted.items():
        if relation not in present:
            lacking.append(f"there is no table {relation}")
            continue
        has = present[relation]
        lacking += [f"{relation} has no column {name}{nearest(name, has)}" for name in columns if name not in has]
    grants = dict.fromkeys(grant for _, _, needed in rows for grant in needed)
    if grants and not lacking:
        return [f"this role may not look at it. Run: {' '.join(grants)}"]
    return lacking


async def schema_version(transaction: Transaction, profile: Profile) -> Schema:
    """Which version of the scheduler's schema the store has, as far as the scheduler writes it down."""
    asked = profile.schema_version if isinstance(profile, Shipped) else None
    if asked is None:
        return Schema()
    try:
        async with savepoint(transaction):
            rows = await transaction.fetch("detect", asked.select)
    except (StoreUnavailable, StoreTooSlow):
        raise
    except StoreError as e:
        return Schema(problem=str(e), known=asked.known)
    version = str(rows[0][0]) if rows and rows[0][0] is not None else None
    return Schema(version=version, releases=asked.known.get(version or ""), known=asked.known)


def _parse(requirement: str) -> tuple[str, tuple[str, ...]]:
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return requirement, ()
    listed = (name.strip() for name in _LISTED.findall(match["columns"]))
    return match["relation"].strip(), tuple(unquoted(name) for name in listed if name)


def _listed(parameters: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in parameters.items()) or "no parameters"
