"""Writes the dashboards: ``python -m dashboards.src [--exporter URL] [--runbooks URL] [--output DIR]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.src import NAMES
from dashboards.src.board import EXPORTER_URL, RUNBOOKS_URL, Addresses, assemble

FOLDER: Final = Path(__file__).parents[1]


def text(name: str, addresses: Addresses) -> str:
    """A dashboard's file."""
    made = assemble(importlib.import_module(f"dashboards.src.{name}").build(), addresses)
    plain = json.loads(json.dumps(made, cls=JSONEncoder))
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description="Write the Grafana dashboards.")
    parser.add_argument(
        "--exporter", default=EXPORTER_URL, help="address of the exporter, for links (default: %(default)s)"
    )
    parser.add_argument("--runbooks", default=RUNBOOKS_URL, help="address of rules/runbooks, for links")
    parser.add_argument("--output", type=Path, default=FOLDER, help="directory to write to (default: dashboards/)")
    given = parser.parse_args()
    addresses = Addresses(exporter=given.exporter.rstrip("/"), runbooks=given.runbooks.rstrip("/"))
    given.output.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (given.output / f"{name}.json").write_text(text(name, addresses), encoding="utf-8")
    sys.stdout.write(f"{len(NAMES)} dashboards written to {given.output}\n")


if __name__ == "__main__":
    main()
