"""Profiles: a scheduler's tables as a few SELECTs with canonical columns. Loading them, filling in their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec
import yaml

from exporter.config.model import Profile
from exporter.errors import ProfileError

#: ``{schema}`` is a quoted identifier, ``{prefix:jobs}`` the quoted identifier of the prefix followed by "jobs".
PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
ENTITIES: Final = ("jobs", "live_jobs", "job_by_id", "executions", "running", "workers", "operations")
#: What a store of a fitting profile may be without: it is described apart, and its faults stop nothing else.
OPTIONAL: Final = ("connections",)


@cache
def shipped() -> dict[str, Profile]:
    """The profiles that come with the program, by name, in the order in which ``auto`` tries them."""
    folder = resources.files("exporter.stores.profiles")
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".yaml"))
    profiles = {}
    for name in files:
        raw = yaml.safe_load(folder.joinpath(name).read_text(encoding="utf-8"))
        profile = msgspec.convert({"name": name.removesuffix(".yaml"), **raw}, Profile)
        profiles[profile.name] = profile
    return profiles


def named(name: str) -> Profile:
    """The shipped profile of that name. Raises ProfileError that lists the known ones."""
    profile = shipped().get(name)
    if profile is None:
        raise ProfileError(f"no profile is named {name!r}; known: auto, {', '.join(sorted(shipped()))}")
    return profile


def fill(profile: Profile, parameters: dict[str, str]) -> Profile:
    """``profile`` with its parameters in place, as quoted identifiers. Raises ProfileError for an unknown one."""
    unknown = sorted(set(parameters) - set(profile.parameters))
    if unknown:
        known = ", ".join(sorted(profile.parameters)) or "none"
        raise ProfileError(f"profile {profile.name!r} has no parameter {unknown[0]!r}; known: {known}")
    values = {**profile.parameters, **parameters}

    def put(text: str | None) -> str | None:
        return None if text is None else _filled(text, values)

    cursor = profile.cursor
    if cursor is not None:
        cursor = msgspec.structs.replace(cursor, position=put(cursor.position))
    return msgspec.structs.replace(
        profile,
        **{name: put(getattr(profile, name)) for name in (*ENTITIES, *OPTIONAL, "connection_status", "trigger")},
        cursor=cursor,
        parameters=values,
        requires=tuple(put(r) or "" for r in profile.requires),
        connections_require=tuple(put(r) or "" for r in profile.connections_require),
    )


def triggered_by(profile: Profile, statement: str | None) -> Profile:
    """A profile that :func:`fill` gave, with another statement that triggers a job, if there is one."""
    if statement is None:
        return profile
    return msgspec.structs.replace(profile, trigger=_filled(statement, profile.parameters))


def _filled(text: str, values: Mapping[str, str]) -> str:
    def identifier(match: re.Match[str]) -> str:
        name, rest = match.groups()
        if name not in values:
            return match.group()  # not ours: '{a}' may be an array or JSON
        return '"' + (values[name] + (rest or "")).replace('"', '""') + '"'

    return PLACEHOLDER.sub(identifier, text).strip().rstrip(";")
