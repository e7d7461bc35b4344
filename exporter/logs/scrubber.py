"""Secrets that are known: they are learned when a configuration is read and as they are fetched, and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

import msgspec

from exporter.config.dsn import secrets_of_dsn
from exporter.config.model import Config, Dsn
from exporter.config.secrets import REDACTED, Secret

#: Shorter secrets are not searched for: they would tear ordinary words apart.
SHORTEST: Final = 4
#: Secrets that rotate are new ones each time. A thousand targets' passwords and their predecessors fit.
MOST_FETCHED: Final = 5_000
#: Stands for a secret until all are found: a short one may be part of what is shown instead ("secret", say).
_MARK: Final = "\ufdd0"


class Scrubber:
    """Replaces every known secret in what is about to be shown."""

    def __init__(self) -> None:
        #: Those that a configuration spells out, and those that were fetched: the ones used last at the end.
        self._configured: set[str] = set()
        self._fetched: dict[str, None] = {}
        self._longest_first: _Known | None = _Known()

    def learn(self, config: Config) -> None:
        """Know the secrets of ``config`` too; those of earlier ones are not forgotten."""
        self._configured.update(form for secret in secrets_of(config) for form in _forms(secret))
        self._longest_first = None

    def add(self, *secrets: str) -> None:
        """Know secrets that were fetched: passwords, tokens, lease ids. The ``MOST_FETCHED`` used last are kept."""
        for form in (form for secret in secrets for form in _forms(secret)):
            if form not in self._fetched:
                self._longest_first = None
            self._fetched.pop(form, None)
            self._fetched[form] = None
        while len(self._fetched) > MOST_FETCHED:
            del self._fetched[next(iter(self._fetched))]
            self._longest_first = None

    def finds(self, text: str) -> bool:
        """Whether ``text`` holds a known secret."""
        return any(secret in text for known in self._known() for secret in known)

    def text(self, text: str) -> str:
        """``text`` without known secrets."""
        return self.without_words(self.without_others(text))

    def without_others(self, text: str) -> str:
        """``text`` without those that are no word.

        Before anybody looks for keys: of a value with blanks or quotes he would take a part.
        """
        return _replaced(text, self._known().others)

    def without_words(self, text: str) -> str:
        """``text`` without those that are a word.

        A password "secret" is a part of ``client_secret=abc``: who would look for a key afterwards finds none.
        """
        return _replaced(text, self._known().words)

    def _known(self) -> _Known:
        known = self._longest_first
        if known is None:
            words: dict[bool, list[str]] = {True: [], False: []}
            for secret in sorted({*self._configured, *self._fetched}, key=len, reverse=True):
                words[secret.isalpha()].append(secret)
            known = self._longest_first = _Known(tuple(words[False]), tuple(words[True]))
        return known


class _Known(NamedTuple):
    """The secrets, the longest first."""

    others: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def _replaced(text: str, secrets: tuple[str, ...]) -> str:
    if not any(secret in text for secret in secrets):
        return text
    marked = text.replace(REDACTED, _MARK)
    for secret in secrets:
        marked = marked.replace(secret, _MARK)
    return marked.replace(_MARK, REDACTED)


#: The process's scrubber.
scrubber: Final = Scrubber()


def _forms(secret: str) -> set[str]:
    """A secret as it is, as URIs and forms have it, and within JSON; without what is too short to be searched for."""
    forms = (
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        msgspec.json.encode(secret)[1:-1].decode(),
    )
    return {form for form in forms if len(form) >= SHORTEST}


def secrets_of(value: object) -> Iterator[str]:
    """Every secret text inside a configuration. What references stand for is learned as they are followed."""
    if isinstance(value, Secret):
        if value.template is None:
            yield value.reveal()
    elif isinstance(value, Dsn):
        yield from secrets_of_dsn(value)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from secrets_of(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from secrets_of(inner)
