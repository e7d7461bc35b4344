"""``scheduler-exporter targets check``: each target checked once, stage by stage, for people and for programs."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from shutil import get_terminal_size
from typing import Final, TextIO

import msgspec

from exporter import logs
from exporter.config.load import load_file
from exporter.config.model import Config, PostgresStore, Target
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.roster import Merged, merge
from exporter.connections.target import CheckTarget
from exporter.connections.telling import Checked, Style, as_object, summary, text
from exporter.directory import StoreConnection
from exporter.errors import ExporterError
from exporter.stores.connections import list_connections
from exporter.vault import Vault
from exporter.vault.references import Secrets, load

#: So many names are told to somebody who gave one that no target has.
NAMES_SHOWN: Final = 10
#: What `serve` takes too.
_CONFIG_FILE: Final = "SCHEDULER_EXPORTER_CONFIG_FILE"


class UnknownTargetError(ExporterError):
    """The command line names a target that there is none of."""


class _Known(msgspec.Struct):
    """All targets; which stores could not be asked, and why."""

    merged: Merged
    silent: dict[str, str] = msgspec.field(default_factory=dict)

    def chosen(self, names: Sequence[str]) -> list[Target]:
        """The targets of these names or ids, all when there are none. Raises UnknownTargetError."""
        targets = self.merged.targets
        if not names:
            return list(targets.values())
        by_id = {str(target.id): target for target in targets.values() if target.id is not None}
        unknown = [name for name in names if name not in targets and name not in by_id]
        if unknown:
            raise UnknownTargetError("\n".join(_unknown(name, list(targets)) for name in unknown))
        found = {target.name: target for name in names for target in (targets.get(name) or by_id[name],)}
        return list(found.values())


def run(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command; its exit status: 0 all answer, 1 one does not, 2 a name is wrong. Raises ConfigError."""
    logs.configure(logs.LogSettings(level="error", format="console"), sys.stderr)
    file = args.config_file or environ.get(_CONFIG_FILE) or "config.yaml"
    try:
        return asyncio.run(_run(file, args.name, as_json=args.as_json))
    except UnknownTargetError as error:
        print(f"scheduler-exporter: {error}", file=sys.stderr)
        return 2


async def _run(file: str, names: Sequence[str], *, as_json: bool) -> int:
    config = await load(lambda answers: load_file(file, answers=answers), Vault)
    logs.scrubber.learn(config)
    async with Vault(config.vault) as vault:
        secrets = Secrets(vault)
        known = await _known(config, secrets, names)
        try:
            chosen = known.chosen(names)
        except UnknownTargetError:
            if not known.silent:
                raise
            chosen = []  # it may be one that a silent store lists
        done = await _check_all(config, secrets, chosen, known.merged, tell=not as_json)
    ok = not known.silent and all(checked.result.is_healthy for checked in done)
    if as_json:
        answer = {"ok": ok, "targets": [as_object(checked) for checked in done], "silent_stores": known.silent}
        _say(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
    else:
        _tell_end(done, known, remarks=not names)
    return 0 if ok else 1


def _style() -> Style:
    if not sys.stdout.isatty():
        return Style(colours=False)
    return Style(colours=not os.environ.get("NO_COLOR"), width=get_terminal_size().columns)


def _tell_end(done: Sequence[Checked], known: _Known, *, remarks: bool) -> None:
    """What concerns all targets, or none that was checked."""
    if not done and not known.silent:
        _say("no targets are known: nothing to check")
    if len(done) > 1:
        _say("\n" + summary(done, _style()))
    for store, reason in known.silent.items():
        _say(f"store {store} could not be asked for its connections: {reason}", sys.stderr)
    for store, texts in known.merged.remarks.items() if remarks else ():
        for row, remark in texts.items():
            _say(f"store {store}, connection {row}: {remark}", sys.stderr)


async def _known(config: Config, secrets: Secrets, names: Sequence[str]) -> _Known:
    """The targets; stores are asked for theirs, unless the configuration alone has all that is asked for."""
    configured = {name for target in config.connections.targets for name in (target.name, str(target.id))}
    rows: dict[str, Sequence[StoreConnection]] = {}
    silent: dict[str, str] = {}
    if config.connections.from_stores and not (names and configured.issuperset(names)):
        stores = [store for store in config.stores if isinstance(store, PostgresStore)]
        asked = [list_connections(store, secrets) for store in stores]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for store, answer in zip(stores, answers, strict=True):
            if isinstance(answer, ExporterError):
                silent[store.name] = " ".join(str(answer).split())
            elif isinstance(answer, BaseException):
                raise answer
            else:
                rows[store.name] = answer
    return _Known(merge(config.connections, rows), silent)


async def _check_all(
    config: Config, secrets: Secrets, targets: Sequence[Target], merged: Merged, *, tell: bool
) -> list[Checked]:
    """Check ``targets`` side by side, as many at a time as ``serve`` would; each is told in its turn."""
    slots, resolver = asyncio.Semaphore(config.connections.max_concurrent_checks), Resolver()

    async def check(target: Target) -> Checked:
        async with slots:
            lent = secrets.source(target.vault, user=target.user) if target.vault is not None else None
            source = lent or secrets.login(target.user, target.password)
            try:
                checker = Checker(CheckTarget.from_config(target, source), resolver)
                result = await checker.check(config.connections.timeout)
            finally:
                if lent is not None:
                    await secrets.release(lent)
        listed = target.name not in merged.configured
        store, row = merged.origins[target.name] if listed else (None, None)
        return Checked(target=target, result=result, store=store, row=row)

    done: list[Checked] = []
    async with asyncio.TaskGroup() as group:
        for task in [group.create_task(check(target)) for target in targets]:
            done.append(await task)
            if tell:
                _say(("\n" if len(done) > 1 else "") + text(done[-1], _style()))
    return done


def _unknown(name: str, known: Sequence[str]) -> str:
    by_folded: dict[str, str] = {other.lower(): other for other in known}
    near = [by_folded[other] for other in get_close_matches(name.lower(), by_folded, n=3, cutoff=0.5)]
    if near:
        return f"no target is named {name!r}; did you mean {' or '.join(map(repr, near))}?"
    shown = ", ".join(map(repr, known[:NAMES_SHOWN])) or "none"
    more = f" and {len(known) - NAMES_SHOWN} more" if len(known) > NAMES_SHOWN else ""
    return f"no target is named {name!r} (targets: {shown}{more})"


def _say(line: str, stream: TextIO | None = None) -> None:
    print(logs.masked_text(line), file=stream or sys.stdout, flush=True)
