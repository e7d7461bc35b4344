"""Profiles: a scheduler's tables as a few SELECTs with canonical columns. Loading them, filling in their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, TypeVar

import msgspec
import yaml
from msgspec.structs import replace

from exporter.config.base import Duration, Name, Section, Sql, Text
from exporter.config.durations import parse_duration
from exporter.config.profile import History, Profile, Selects
from exporter.errors import ProfileError

#: ``{schema}`` is a quoted identifier, ``{prefix:jobs}`` the quoted identifier of the prefix followed by "jobs".
PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
ENTITIES: Final = ("jobs", "live_jobs", "job_by_id", "executions", "running", "workers", "operations")
#: What a store of a fitting profile may be without: it is described apart, and its faults stop nothing else.
OPTIONAL: Final = ("connections",)

Mapped = TypeVar("Mapped", bound=Selects)
AnyProfile = TypeVar("AnyProfile", bound=Profile)


class SchemaVersion(Section, frozen=True, kw_only=True):
    """Which version of the scheduler's schema this is: the SELECT of one text, and the texts that were tried.

    ``known`` maps each to the scheduler's releases that have it.
    """

    select: Sql
    known: dict[str, Text]


class Variant(Selects, frozen=True, kw_only=True):
    """What is otherwise in some versions of the scheduler, or with a part of it installed.

    It holds where its ``requires`` are there beside the profile's; what it has wins.
    """

    name: Name
    history: History | None = None


class Shipped(Profile, frozen=True, kw_only=True):
    """A profile that comes with the program. The first of ``variants`` that fits a database is taken."""

    schema_version: SchemaVersion | None = None
    variants: tuple[Variant, ...] = ()


@cache
def names() -> tuple[str, ...]:
    """The names of the profiles that come with the program, in the order in which ``auto`` tries them."""
    folder = resources.files("exporter.stores.profiles")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def shipped() -> dict[str, Shipped]:
    """The profiles that come with the program, by name."""
    return {name: named(name) for name in names()}


@cache
def named(name: str) -> Shipped:
    """The shipped profile of that name. Raises ProfileError that lists the known ones."""
    if name not in names():
        raise ProfileError(f"no profile is named {name!r}; known: auto, {', '.join(names())}")
    file = resources.files("exporter.stores.profiles").joinpath(f"{name}.yaml")
    # The C loader: a dozen of them are read where a store's profile is `auto`.
    raw = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return msgspec.convert({"name": name, **raw}, Shipped, dec_hook=_decode)


def _decode(kind: type, value: object) -> object:
    return Duration(parse_duration(str(value))) if kind is Duration else value


def fill(profile: AnyProfile, parameters: dict[str, str]) -> AnyProfile:
    """``profile`` with its parameters in place, as quoted identifiers. Raises ProfileError for an unknown one."""
    unknown = sorted(set(parameters) - set(profile.parameters))
    if unknown:
        known = ", ".join(sorted(profile.parameters)) or "none"
        raise ProfileError(f"profile {profile.name!r} has no parameter {unknown[0]!r}; known: {known}")
    values = {**profile.parameters, **parameters}
    filled = replace(
        _filled_selects(profile, values),
        parameters=values,
        connections_require=tuple(_filled(r, values) for r in profile.connections_require),
    )
    if isinstance(filled, Shipped):
        version = filled.schema_version
        if version is not None:
            version = replace(version, select=_filled(version.select, values))
        variants = tuple(_filled_selects(variant, values) for variant in filled.variants)
        filled = replace(filled, schema_version=version, variants=variants)
    return filled


def _filled_selects(selects: Mapped, values: Mapping[str, str]) -> Mapped:
    def put(text: str | None) -> str | None:
        return None if text is None else _filled(text, values)

    cursor = selects.cursor
    if cursor is not None:
        cursor = replace(cursor, position=put(cursor.position), unfinished=put(cursor.unfinished))
    return replace(
        selects,
        **{
            name: put(getattr(selects, name))
            for name in (*ENTITIES, *OPTIONAL, "connection_status", "connection_lease", "trigger")
        },
        cursor=cursor,
        requires=tuple(_filled(r, values) for r in selects.requires),
    )


def varied(profile: Shipped, variant: Variant) -> Shipped:
    """``profile`` as ``variant`` has it: what the variant says wins, what it needs is needed too."""
    given = {
        name: value
        for name in (*Selects.__struct_fields__, "history")
        if name != "requires" and (value := getattr(variant, name)) is not None
    }
    return replace(profile, **given, requires=(*profile.requires, *variant.requires), variants=())


def skeleton(name: str) -> str:
    """A commented profile to begin with, of this name."""
    file = resources.files("exporter.stores").joinpath("skeleton.yaml")
    # JSON is YAML: a name of any kind is quoted rightly.
    return file.read_text(encoding="utf-8").replace("name: NAME", f"name: {msgspec.json.encode(name).decode()}")


def triggered_by(profile: AnyProfile, statement: str | None) -> AnyProfile:
    """A profile that :func:`fill` gave, with another statement that triggers a job, if there is one."""
    if statement is None:
        return profile
    return replace(profile, trigger=_filled(statement, profile.parameters))


def _filled(text: str, values: Mapping[str, str]) -> str:
    def identifier(match: re.Match[str]) -> str:
        name, rest = match.groups()
        if name not in values:
            return match.group()  # not ours: '{a}' may be an array or JSON
        return '"' + (values[name] + (rest or "")).replace('"', '""') + '"'

    return PLACEHOLDER.sub(identifier, text).strip().rstrip(";")
