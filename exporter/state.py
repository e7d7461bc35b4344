"""``scheduler-exporter state show|export|verify``: the state file for people, for programs, and held against itself."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from exporter.config.load import NOT_ASKED, load_file
from exporter.config.unasked import refuse_open
from exporter.ledger.inspection import Inspected, inspect, overview, rows
from exporter.ledger.verification import verify
from exporter.logs import masked

#: The flags of `serve` that say where the state is, with the same variables.
_VARIABLES: Final = {"state_path": "SCHEDULER_EXPORTER_STATE_PATH", "config_file": "SCHEDULER_EXPORTER_CONFIG_FILE"}


def run(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Run one of the commands; its exit status. Raises LedgerError and ConfigError."""
    commands: dict[str, Callable[[Inspected, argparse.Namespace], int]] = {
        "show": _show,
        "export": _export,
        "verify": _verify,
    }
    with inspect(_directory(args, environ)) as state:
        return commands[args.action](state, args)


def _directory(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """As `serve` finds it: flag, variable, configuration."""
    given: str | None = args.state_path or (None if args.config_file else environ.get(_VARIABLES["state_path"]))
    if given:
        return given
    file = args.config_file or environ.get(_VARIABLES["config_file"]) or "config.yaml"
    state = load_file(file, answers=NOT_ASKED).state
    refuse_open(state, ("state",), file=file, instead="give the directory by --state.path")
    return state.path


def _export(state: Inspected, args: argparse.Namespace) -> int:  # noqa: ARG001
    encode = msgspec.json.Encoder().encode
    write = sys.stdout.buffer.write
    try:
        write(encode({"table": "state", "schema": state.version, "exported_at": time.time()}) + b"\n")
        for row in rows(state):
            # Through JSON: keys are texts then, as the masker has them.
            write(encode(masked(msgspec.json.decode(encode(row)))) + b"\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read it has had enough. Python would complain about what it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
    return 0


def _verify(state: Inspected, args: argparse.Namespace) -> int:  # noqa: ARG001
    print(f"{state.path}, schema {state.version}")
    wrong = 0
    for result in verify(state):
        wrong += result.wrong
        print(f"{'ok   ' if not result.wrong else 'WRONG'}  {result.name} ({result.looked_at:,} looked at)")
        for fault in result.faults:
            print(f"         {fault}")
        if result.wrong > len(result.faults):
            print(f"         ... and {result.wrong - len(result.faults):,} more")
        if result.wrong:
            print(f"         What to do: {result.remedy}.")
    return 1 if wrong else 0


def _show(state: Inspected, args: argparse.Namespace) -> int:
    found = overview(state)
    if args.as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return 0
    schema = f"schema {found['schema']}"
    if found["schema"] < found["schema_of_this_version"]:
        schema += f" (brought to {found['schema_of_this_version']} when the exporter next opens it)"
    print(found["file"])
    print(f"  {schema}, {_bytes(found['bytes'])}, log {_bytes(found['log_bytes'])}, free {_bytes(found['free_bytes'])}")
    print(f"  in use by {found['in_use_by']}" if found["in_use_by"] else "  in use by no process")
    for name, text in _records(found):
        print(f"  {name:<16}{text}")
    for store in found["stores"]:
        print()
        for name, text in _lines(store):
            print(f"  {name:<16}{text}" if name else text)
    if not found["stores"]:
        print("  no store has been read yet")
    return 0


def _records(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, value) of what belongs to no store."""
    if "alerts" not in found:
        return []
    alerts, audit = found["alerts"], found["audit"]
    return [
        (
            "alerts",
            f"{alerts['alerts']:,}, {alerts['firing']:,} of them not over: "
            f"{_moment(alerts['first'])} to {_moment(alerts['last'])}",
        ),
        ("audit trail", f"{audit['entries']:,} entries: {_moment(audit['first'])} to {_moment(audit['last'])}"),
        ("idempotency", f"{found['idempotency_keys']:,} keys"),
    ]


def _lines(store: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, value) of a store, for people."""
    identity, cursor, totals = store["identity"], store["cursor"], store["totals"]
    system = identity["system"] or "unknown (the role may not see it)"
    lines = [
        ("", f"store {store['name']}"),
        ("database", f"{identity['database']!r} of system {system}"),
        ("since", _moment(store["since"])),
        ("read", _reading(cursor)),
        ("executions", ", ".join(f"{n:,} {status.lower()}" for status, n in store["executions"].items())),
        ("", f"{'':18}{totals['late']:,} came late, {totals['duplicate']:,} were read again and not counted again"),
        ("newest ended", _moment(totals["newest"])),
        ("series", ", ".join(f"{n:,} {metric}" for metric, n in store["series"].items()) or "none"),
        ("keys", f"{store['keys']:,}"),
        ("jobs", f"{store['jobs']:,}"),
    ]
    if "rollups" not in store:
        return lines
    lines.append(("history", _history(store["backfill"])))
    lines += [
        (
            "statistics",
            f"{cells['cells']:,} {scope.replace('_', ' ')}: {_moment(cells['first'])} to {_moment(cells['last'])}",
        )
        for scope, cells in store["rollups"].items()
    ] or [("statistics", "none")]
    recent = store["recent"]
    lines.append(
        ("recent", f"{recent['executions']:,} executions: {_moment(recent['first'])} to {_moment(recent['last'])}")
    )
    lines.append(("errors", f"{store['error_groups']:,} groups, {store['error_hours']:,} of their hours"))
    return lines


def _reading(cursor: Mapping[str, Any] | None) -> str:
    if cursor is None:
        return "not yet"
    upto = f"up to id {cursor['upto']:,}" if cursor["by"] == "id" else f"up to {_moment(cursor['upto'])}"
    waits = f"; {cursor['open_transactions']} open transactions may add to it" if cursor["open_transactions"] else ""
    return f"{upto}, at {_moment(cursor['read_at'])}{waits}"


def _history(backfill: Mapping[str, Any] | None) -> str:
    if backfill is None:
        return "not read yet"
    if backfill["problem"]:
        return f"not read: {backfill['problem']}"
    state = "complete" if backfill["done"] else f"{backfill['ratio']:.1%} read"
    return f"{state}, {backfill['executions']:,} executions, back to {_moment(backfill['reached'])}"


def _moment(at: float | None) -> str:
    if at is None:
        return "-"
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s"


def _bytes(number: int) -> str:
    return f"{number:,} bytes" if number < 1 << 20 else f"{number / (1 << 20):,.1f} MiB"
