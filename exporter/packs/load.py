"""The packs that a configuration names: found, read, checked, and given to the stores that they are asked of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from exporter.config.load import read_text
from exporter.config.model import Config, PackUse, PostgresStore
from exporter.config.problems import Report, nearest, quote
from exporter.config.yaml_lines import YamlFaultError, compose
from exporter.errors import ConfigError
from exporter.packs.chosen import Packs
from exporter.packs.forms import parse
from exporter.packs.model import Pack
from exporter.packs.names import Taken

_FILE: Final = re.compile(r"[/\\]|\.ya?ml$")


@cache
def shipped() -> tuple[str, ...]:
    """Names of the packs that come with the program."""
    folder = resources.files("exporter.packs.files")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_packs(config: Config, directory: Path, ours: Mapping[str, str], *, filename: str = "config.yaml") -> Packs:
    """The packs of each store. Relative files are looked for in ``directory``; ``ours``: the exporter's own metrics.

    Raises ConfigError with every fault of every file: ``queries.yaml:12: calendar.sql: required; ...``.
    """
    problems: list[str] = []
    stores = [store.name for store in config.stores if isinstance(store, PostgresStore)]
    found: dict[str, list[Pack]] = {store: [] for store in stores}
    taken = {store: Taken(ours) for store in stores}
    names: dict[str, str] = {}
    for index, use in enumerate(_uses(config)):
        place = f"{filename}: packs[{index}]"
        asked = use.stores or tuple(stores)
        try:
            pack = _load(use, directory, place, [taken[store] for store in asked])
            if pack.name in names:
                raise ConfigError([f"{place}: a pack is named {quote(pack.name)} already, by {names[pack.name]}: counts"
                                   " are kept by that name. Rename the file"])  # fmt: skip
            names[pack.name] = f"packs[{index}]"
        except ConfigError as error:
            problems += error.problems
            continue
        for store in asked:
            found[store].append(pack)
    if problems:
        raise ConfigError(problems)
    return Packs({store: tuple(packs) for store, packs in found.items()}, taken)


def _uses(config: Config) -> Iterator[PackUse]:
    for use in config.packs:
        yield use if isinstance(use, PackUse) else PackUse(pack=use)


def _load(use: PackUse, directory: Path, place: str, taken: Sequence[Taken]) -> Pack:
    name = use.pack
    if _FILE.search(name):
        return _file(directory / name, Path(name).stem, use, place, taken)
    if name not in shipped():
        listed = ", ".join(shipped())
        raise ConfigError([f"{place}: no pack is named {quote(name)}{nearest(name, shipped())} (shipped: {listed}); a"
                           f" file is written with a / or with its ending: ./{name}.yaml"])  # fmt: skip
    file = resources.files("exporter.packs.files").joinpath(f"{name}.yaml")
    with resources.as_file(file) as path:
        return _file(path, name, use, place, taken)


def _file(path: Path, name: str, use: PackUse, place: str, taken: Sequence[Taken]) -> Pack:
    shown = use.pack if _FILE.search(use.pack) else f"{name}.yaml"
    report = Report(shown)
    text = read_text(path, report)
    try:
        report.raise_if_any()
    except ConfigError as error:
        raise ConfigError([f"{place}: {problem}" for problem in error.problems]) from None
    root = None
    try:
        root = compose(text)
    except YamlFaultError as fault:
        report.add_syntax(fault.text, line=fault.line, column=fault.column)
    else:
        # Comments alone are what became of postgres_exporter's own examples: a file of no queries.
        if root is None and not text.strip():
            report.add_syntax("the file is empty; docs/packs.md shows what it may hold")

    def take(metric: str, kind: str, by: str) -> str | None:
        refused = [page.take(metric, kind, by) for page in taken]
        return next((why for why in refused if why is not None), None)

    found = None
    if root is not None:
        report.locate((), root[0])
        found = parse(root[1], name, shown, report, take=take, skip=use.skip)
    elif text.strip():
        found = Pack(name=name, file=shown, queries=()), ()
    report.raise_if_any()
    if found is None:
        raise ConfigError([f"{place}: {shown} holds no pack"])
    pack, known = found
    unknown = [query for query in use.skip if query not in known]
    if unknown:
        raise ConfigError(
            [f"{place}.skip: the pack has no query {quote(query)}{nearest(query, known)} (queries: {', '.join(known)})"
             for query in unknown]
        )  # fmt: skip
    return pack
