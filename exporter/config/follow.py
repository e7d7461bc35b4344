"""Which references of a file are followed while it is read, and which are left to those who use the value.

A secret's references are followed at each use, so that it rotates without a reload. Everybody else's are followed
once: files here, fields in Vault by whoever reads the file, since nothing here may wait (``UnansweredError``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from exporter.config.expand import ExpandError, Parsed, parse, read_file
from exporter.config.problems import KeyPath, Report
from exporter.config.references import FileReference, Reference, VaultReference, filled

#: What Vault said: the text, or why there is none.
Answers = Mapping[VaultReference, str | ExpandError]

_VAULT = ("vault",)
_IN_VAULT_SECTION = "the vault section says how Vault is reached and cannot refer to it; use ${file:...} or ${VAR}"
_NO_VAULT_SECTION = "needs a vault section: vault: {address: ..., auth: {method: ...}}"


class LaterError(Exception):
    """A value cannot be known before Vault has been asked."""


class Follower:
    """Follows the references of one file. ``answers`` is None where nobody is going to ask Vault.

    ``unanswered`` are the references to Vault without an answer, of values that are needed to read the file.
    """

    def __init__(self, environ: Mapping[str, str], base_dir: Path, answers: Answers | None) -> None:
        self._environ = environ
        self._base_dir = base_dir
        self._answers: Answers = answers or {}
        self._vault_at: list[tuple[KeyPath, VaultReference]] = []
        self.unanswered: set[VaultReference] = set()

    def parse(self, text: str, path: KeyPath) -> Parsed:
        """Take the text of the key at ``path`` apart. Raises ExpandError."""
        parsed = parse(text, self._environ, self._base_dir)
        for reference in parsed.references:
            if isinstance(reference, VaultReference):
                if path[:1] == _VAULT:
                    raise ExpandError(f"{reference}: {_IN_VAULT_SECTION}")
                self._vault_at.append((path, reference))
        return parsed

    def is_late(self, parsed: Parsed, path: KeyPath) -> bool:
        """Whether the secret at ``path`` is followed at each use; its files have to be there now already.

        Raises ExpandError. How Vault is reached has to be known before anything can be followed.
        """
        for reference in parsed.references:
            if isinstance(reference, FileReference):
                read_file(reference)
        return bool(parsed.references) and path[:1] != _VAULT

    def follow(self, parsed: Parsed) -> str:
        """The text with all references followed. Raises ExpandError, LaterError."""
        unanswered = {
            reference
            for reference in parsed.references
            if isinstance(reference, VaultReference) and reference not in self._answers
        }
        if unanswered:
            self.unanswered |= unanswered
            raise LaterError
        return filled(parsed.template, {reference: self._value(reference) for reference in parsed.references})

    def _value(self, reference: Reference) -> str:
        if isinstance(reference, FileReference):
            return read_file(reference)
        answer = self._answers[reference]
        if isinstance(answer, ExpandError):
            raise answer
        return answer

    def refuse_without_vault(self, report: Report) -> None:
        """There is no vault section: every reference to Vault is a fault."""
        for path, reference in self._vault_at:
            report.add(path, f"{reference}: {_NO_VAULT_SECTION}")


class Verbatim(Follower):
    """Knows no references: every text is what it is."""

    def __init__(self) -> None:
        super().__init__({}, Path(), None)

    def parse(self, text: str, path: KeyPath) -> Parsed:  # noqa: ARG002 - the same everywhere
        """The text as it is."""
        return Parsed((text,), expanded=False)
