"""What a text of the configuration may refer to, for those who follow it later: a file, a field of a secret in Vault.

Values only: following them is the reader's affair for most keys (``load``), ``exporter.vault.references``' for
secrets.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class FileReference(msgspec.Struct, frozen=True):
    """``${file:name}``. ``path`` is where the file is; relative names begin at the configuration's directory."""

    name: str
    path: str

    def __repr__(self) -> str:  # without the place: it is this machine's affair
        return f"FileReference(name={self.name!r})"

    def __str__(self) -> str:
        return "${file:%s}" % escaped(self.name)  # noqa: UP031 - braces


class VaultReference(msgspec.Struct, frozen=True):
    """``${vault:path#field}``."""

    path: str
    field: str

    def __str__(self) -> str:
        return "${vault:%s#%s}" % (escaped(self.path), escaped(self.field))  # noqa: UP031 - braces


Reference = FileReference | VaultReference
#: A text taken apart: what is as it is, and what stands for something. No two texts follow each other.
Template = tuple[str | Reference, ...]


def written(template: Template) -> str:
    """The template as a file has it."""
    return "".join(part.replace("$", "$$") if isinstance(part, str) else str(part) for part in template)


def filled(template: Template, values: Mapping[Reference, str]) -> str:
    """The text with ``values`` in place of its references."""
    return "".join(part if isinstance(part, str) else values[part] for part in template)


def escaped(text: str) -> str:
    """A name on one line, in ASCII."""
    return text.encode("unicode_escape").decode("ascii")
