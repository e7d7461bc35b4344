"""Values that hide themselves: in repr, in str, in JSON, in logs, in tracebacks."""

from __future__ import annotations

from typing import Final

from exporter.config.references import Template

REDACTED: Final = "<secret>"


class Secret:
    """A secret text, or where it is to be had. Only ``reveal()`` gives it away; everything else shows ``<secret>``.

    One with a ``template`` is followed each time it is needed (``exporter.vault.references.Secrets.value``). Two are
    equal if they refer to the same: a secret that rotates is no other configuration.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | Template) -> None:
        self._value = value

    @property
    def template(self) -> Template | None:
        """The text with references that has to be followed; None where the text is known."""
        return None if isinstance(self._value, str) else self._value

    def reveal(self) -> str:
        """The secret itself, for the driver that needs it. TypeError for one that has to be followed first."""
        if not isinstance(self._value, str):
            raise TypeError("a secret with references has no text of its own; Secrets.value follows them")
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
