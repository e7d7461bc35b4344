"""Writes docs/sbom.json, a bill of materials in CycloneDX's form: ``python -m tools.sbom``.

It has what is installed with the exporter and with each of its extras, at the versions of constraints.txt. It has no
time and no serial number: the same dependencies make the same file, and a test holds the file to this output.
"""

from __future__ import annotations

import json
from typing import Any

from tools.requirements import ROOT, Package, asked, packages, project

TARGET = ROOT / "docs" / "sbom.json"


def document() -> str:
    """The file's text."""
    return json.dumps(bill(), indent=2) + "\n"


def bill() -> dict[str, Any]:
    """The bill of materials, as CycloneDX 1.6 has it."""
    table, found = project(), packages()
    root = f"pkg:pypi/{table['name']}@{table['version']}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": table["name"],
                "version": table["version"],
                "description": table["description"],
                "licenses": [{"expression": table["license"]}],
                "purl": root,
            }
        },
        "components": [_component(package) for package in found.values()],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(_reference(found[name]) for name in asked())},
            *(_dependency(package, found) for package in found.values()),
        ],
    }


def _reference(package: Package) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"


def _component(package: Package) -> dict[str, Any]:
    # Which extras bring it; of what is required, too, so that each can be listed by itself.
    extras = [{"name": "scheduler-exporter:extra", "value": extra} for extra in sorted(package.parts - {""})]
    return {
        "type": "library",
        "bom-ref": _reference(package),
        "name": package.name,
        "version": package.version,
        "scope": "required" if "" in package.parts else "optional",
        "licenses": [{"expression": package.licence}],
        "purl": _reference(package),
        **({"properties": extras} if extras else {}),
    }


def _dependency(package: Package, found: dict[str, Package]) -> dict[str, Any]:
    needs = sorted(_reference(found[name]) for name in package.needs)
    return {"ref": _reference(package), **({"dependsOn": needs} if needs else {})}


if __name__ == "__main__":
    TARGET.write_text(document())
