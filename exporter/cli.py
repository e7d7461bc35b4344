"""The command ``scheduler-exporter`` and its subcommands."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Final, TypeAlias

from exporter import __version__
from exporter.errors import ConfigError, ExporterError
from exporter.imports import environment
from exporter.options import SERVE, add_serve_arguments, options_from


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status. 1: it failed and said why; 2: the command line is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0].startswith("--") and arguments[0] not in ("--help", "--version"):
        arguments.insert(0, "serve")  # as other exporters are called: flags alone
    try:
        args = _parser().parse_args(arguments)
        status: int = args.run(args)
    except ConfigError as e:
        for problem in e.problems:
            print(problem, file=sys.stderr)
        return 1
    except ExporterError as e:
        print(f"scheduler-exporter: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return status


_CONFIG_FILE: Final = "configuration file (default: config.yaml)"
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scheduler-exporter",
        description="Prometheus exporter for job schedulers that keep their state in PostgreSQL.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"scheduler-exporter {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="run the exporter", description=SERVE, allow_abbrev=False)
    add_serve_arguments(serve)
    serve.set_defaults(run=_serve)
    _add_demo(_command(commands, "demo", "run a scheduler, the exporter and Prometheus to look at"))
    _add_profile(_command(commands, "profile", "work with store profiles"))
    _add_pack(_command(commands, "pack", "work with packs of SQL metrics"))
    _add_targets(_command(commands, "targets", "look at the PostgreSQL servers that are checked"))
    _add_state(_command(commands, "state", "look at the state file, also while the exporter runs"))
    _add_alertmanager_config(
        _command(commands, "alertmanager-config", "write Alertmanager's configuration and templates")
    )
    for name, described in (
        ("rules", "write the rules for Prometheus and their runbooks"),
        ("dashboards", "write the dashboards for Grafana"),
    ):
        shipped = _command(commands, name, described)
        shipped.add_argument(
            "--output", default=name, metavar="DIR", help="directory to write to (default: %(default)s)"
        )
        shipped.set_defaults(run=_shipped, name=name)
    schema = _command(commands, "schema", "print the DDL of the native schema")
    schema.add_argument("--schema", default="public", help="schema to put the tables into (default: public)")
    schema.set_defaults(run=_schema)
    return parser


def _command(commands: _Commands, name: str, says: str) -> argparse.ArgumentParser:
    """A command of which ``--help`` says the same as its parent's."""
    description = f"{says[0].upper()}{says[1:]}."
    return commands.add_parser(name, help=says, description=description, allow_abbrev=False)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    from exporter.demo.options import add_arguments  # noqa: PLC0415 - only the demo's user pays for the demo

    add_arguments(parser)
    parser.set_defaults(run=_demo)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="action")
    check = _command(commands, "check", "run each store's profile against its database and explain it")
    check.add_argument("--config.file", dest="config_file", default="config.yaml", metavar="FILE", help=_CONFIG_FILE)
    check.add_argument("store", nargs="*", help="only these stores")
    check.add_argument("--analyze", action="store_true", help="run the polls' statements too: time, buffers, rows")
    check.add_argument("--json", dest="as_json", action="store_true", help="print the report as JSON")
    check.set_defaults(run=_profile_check)
    detect = _command(commands, "detect", "tell which schedulers are in a database, and their versions")
    detect.add_argument("--dsn", default="", help="the database; what it does not say comes from libpq's PG* variables")
    detect.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a profile's, such as schema=jobs",
    )
    detect.add_argument("--json", dest="as_json", action="store_true", help="print what was found as JSON")
    detect.set_defaults(run=_profile_detect)
    new = _command(commands, "new", "print a commented skeleton of a profile of your own")
    new.add_argument("name", nargs="?", default="my-scheduler", help="the profile's name (default: my-scheduler)")
    new.add_argument("--output", metavar="FILE", help="write it into this file, which must not be there yet")
    new.set_defaults(run=_profile_new)


def _add_pack(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="action")
    check = _command(commands, "check", "run each query of each pack once on its store; counts nothing")
    check.add_argument("--config.file", dest="config_file", default="config.yaml", metavar="FILE", help=_CONFIG_FILE)
    check.add_argument("store", nargs="*", help="only these stores")
    check.add_argument("--json", dest="as_json", action="store_true", help="print the report as JSON")
    check.set_defaults(run=_pack_check)


def _add_targets(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="action")
    check = _command(commands, "check", "check targets once, stage by stage; exit status 1 if one fails")
    check.add_argument("name", nargs="*", metavar="NAME", help="only these targets, by name or id")
    check.add_argument("--config.file", dest="config_file", metavar="FILE", help=_CONFIG_FILE)
    check.add_argument("--json", dest="as_json", action="store_true", help="print the results as JSON")
    check.set_defaults(run=_targets_check)


def _add_state(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="action", dest="action")
    for name, described in (
        ("show", "what is in it, for people"),
        ("export", "everything in it, as a JSON object on each line"),
        ("verify", "whether it holds together; exit status 1 if not"),
    ):
        command = _command(commands, name, described)
        command.add_argument("--state.path", dest="state_path", metavar="DIR", help="directory of the state file")
        command.add_argument(
            "--config.file", dest="config_file", metavar="FILE", help="or the configuration file that names it"
        )
        if name == "show":
            command.add_argument("--json", dest="as_json", action="store_true", help="print the summary as JSON")
        command.set_defaults(run=_state)


def _add_alertmanager_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", help=_CONFIG_FILE)
    parser.add_argument(
        "--output",
        default="alertmanager",
        metavar="DIR",
        help="directory to write to; - prints alertmanager.yml alone (default: %(default)s)",
    )
    parser.add_argument(
        "--secrets.path",
        dest="secrets_path",
        metavar="DIR",
        help="where Alertmanager finds secrets that are in no file yet (default: secrets below the output)",
    )
    parser.set_defaults(run=_alertmanager_config)


def _serve(args: argparse.Namespace) -> int:
    from exporter import logs  # noqa: PLC0415 - `schema` and `--version` answer without loading the server

    # aiohttp reads the system's certificates when it is imported, for a context of its client's: 2 MB. Our own requests
    # make a context each (``outbound``).
    with environment("SSL_CERT_FILE", os.devnull):
        from exporter.app import serve  # noqa: PLC0415
    from exporter.config.load import NOT_ASKED  # noqa: PLC0415
    from exporter.httpd.access import check_access  # noqa: PLC0415
    from exporter.open_stores import look_up  # noqa: PLC0415
    from exporter.vault import Vault  # noqa: PLC0415
    from exporter.vault.references import load  # noqa: PLC0415

    options = options_from(args)
    if args.config_check:
        config = options.load(NOT_ASKED)
        check_access(config)
        look_up(config, options.config_file)
        stores, targets = _number(config.stores, "store"), _number(config.connections.targets, "target")
        print(f"{options.config_file}: valid; {stores}, {targets}")
        return 0
    # How the configuration wants its logs is not known before it is read, and reading it may speak to Vault.
    logs.catch_all()
    logs.configure(logs.LogSettings(level=options.log_level or "info", format=options.log_format or "json"))
    config = asyncio.run(load(options.load, Vault))
    logs.scrubber.learn(config)
    logs.configure(config.log)
    return asyncio.run(serve(options, config))


def _number(of: Sized, name: str) -> str:
    return f"{len(of)} {name}" if len(of) == 1 else f"{len(of)} {name}s"


def _demo(args: argparse.Namespace) -> int:
    from exporter.demo.stack import run  # noqa: PLC0415

    return run(args)


def _profile_check(args: argparse.Namespace) -> int:
    from exporter import logs  # noqa: PLC0415
    from exporter.config.load import load_file  # noqa: PLC0415
    from exporter.stores.check import check_stores  # noqa: PLC0415
    from exporter.vault import Vault  # noqa: PLC0415
    from exporter.vault.references import Secrets, load  # noqa: PLC0415

    async def check() -> int:
        config = await load(lambda answers: load_file(args.config_file, answers=answers), Vault)
        logs.scrubber.learn(config)
        async with Vault(config.vault) as vault:
            return await check_stores(
                config, args.store, print, analyze=args.analyze, as_json=args.as_json, secrets=Secrets(vault)
            )

    logs.configure(logs.LogSettings(level="error", format="console"), sys.stderr)
    return asyncio.run(check())


def _pack_check(args: argparse.Namespace) -> int:
    from exporter import logs  # noqa: PLC0415
    from exporter.config.load import load_file  # noqa: PLC0415
    from exporter.open_stores import look_up  # noqa: PLC0415
    from exporter.packs.check import check_packs  # noqa: PLC0415
    from exporter.vault import Vault  # noqa: PLC0415
    from exporter.vault.references import Secrets, load  # noqa: PLC0415

    async def check() -> int:
        config = await load(lambda answers: load_file(args.config_file, answers=answers), Vault)
        logs.scrubber.learn(config)
        packs = look_up(config, Path(args.config_file))
        async with Vault(config.vault) as vault:
            return await check_packs(config, packs, args.store, print, as_json=args.as_json, secrets=Secrets(vault))

    logs.configure(logs.LogSettings(level="error", format="console"), sys.stderr)
    return asyncio.run(check())


def _profile_detect(args: argparse.Namespace) -> int:
    from exporter import logs  # noqa: PLC0415
    from exporter.stores.detecting import detect  # noqa: PLC0415

    wrong = [text for text in args.parameter if "=" not in text]
    if wrong:
        raise ConfigError([f"--parameter: expected NAME=VALUE, as schema=jobs; got {wrong[0]!r}"])
    logs.configure(logs.LogSettings(level="error", format="console"), sys.stderr)
    parameters = dict(text.split("=", 1) for text in args.parameter)
    return asyncio.run(detect(args.dsn, parameters, print, as_json=args.as_json))


def _profile_new(args: argparse.Namespace) -> int:
    from exporter.stores.profile import skeleton  # noqa: PLC0415

    text = skeleton(args.name)
    if args.output is None:
        print(text, end="")
        return 0
    try:
        with open(args.output, "x", encoding="utf-8") as file:  # noqa: PTH123 - "x" refuses what is there
            file.write(text)
    except OSError as e:
        raise ConfigError([f"--output: cannot write {args.output}: {e.strerror or e}"]) from e
    return 0


def _targets_check(args: argparse.Namespace) -> int:
    from exporter.targets import run  # noqa: PLC0415

    return run(args)


def _state(args: argparse.Namespace) -> int:
    from exporter.state import run  # noqa: PLC0415

    return run(args)


def _alertmanager_config(args: argparse.Namespace) -> int:
    from exporter.alerting.command import run  # noqa: PLC0415

    return run(args)


def _shipped(args: argparse.Namespace) -> int:
    from exporter.shipped import write  # noqa: PLC0415

    write(args.name, Path(args.output))
    return 0


def _schema(args: argparse.Namespace) -> int:
    from exporter.stores.native import ddl  # noqa: PLC0415

    print(ddl(args.schema))
    return 0
