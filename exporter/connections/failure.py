"""Why a check failed: one exception, and the rules that turn SQLSTATEs and texts into result classes.

Belongs here: everything that reads an error's text. Does not: anything that waits.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Final

from exporter.connections.results import Result, Stage
from exporter.credentials import REFUSED

MAX_MESSAGE: Final = 300

#: libpq's verbose form is "SEVERITY:  SQLSTATE: text"; the severity is in the server's language.
_SQLSTATE: Final = re.compile(r":  ([0-9A-Z]{5}): ")

_BY_SQLSTATE: Final[dict[str, Result]] = {
    "28000": "auth",
    "28P01": "auth",
    "53300": "too_many_connections",
    "57014": "timeout",  # statement_timeout, or somebody's cancel request
}

# What has no SQLSTATE of its own: libpq's own texts (English: its wheels have no translations) and
# PgBouncer's, which calls nearly everything 08P01. The first that is found counts.
_BY_TEXT: Final[tuple[tuple[str, Result], ...]] = (
    ("no more connections allowed", "too_many_connections"),
    ("too many clients", "too_many_connections"),
    ("too many connections", "too_many_connections"),
    ("query_wait_timeout", "timeout"),
    ("query_timeout", "timeout"),
    ("no such user", "auth"),
    ("authentication failed", "auth"),
    ("no password supplied", "auth"),
    ("authentication method requirement", "auth"),
    ("server login has been failing", "auth"),
    ("SSL", "tls"),
    ("certificate", "tls"),
    (os.strerror(errno.ECONNREFUSED), "refused"),
    (os.strerror(errno.ENOENT), "refused"),  # the socket's file is gone: nobody listens
    (os.strerror(errno.ETIMEDOUT), "timeout"),
)

#: Where neither code nor text says more. A login cut short is no proof of wrong credentials, so auth is
#: "other".
_BY_STAGE: Final[dict[Stage, Result]] = {"vault": "vault", "dns": "dns", "tls": "tls", "query": "query"}


#: What libpq says of a server that ``target_session_attrs`` does not want.
_MISMATCHES: Final = (
    "session is read-only",
    "session is not read-only",
    "server is in hot standby mode",
    "server is not in hot standby mode",
)
#: What PgBouncer says, with SQLSTATE 08P01, of a login that it or the server behind it does not take.
_REFUSALS: Final = ("authentication failed", "no such user")


class CheckError(Exception):
    """A check did not reach the end. The text is safe to show. ``stage`` None is the one of the check's clock."""

    def __init__(
        self, result: Result, message: str, sqlstate: str | None = None, *, stage: Stage | None = None
    ) -> None:
        super().__init__(message)
        self.result = result
        self.message = message
        self.sqlstate = sqlstate
        self.stage = stage

    @property
    def is_mismatch(self) -> bool:
        """Whether a server was there, but not one that is wanted."""
        return self.sqlstate is None and any(text in self.message for text in _MISMATCHES)

    @property
    def is_refusal(self) -> bool:
        """Whether a server counted a failed login: the account may be locked out by too many of them."""
        if self.sqlstate in REFUSED:
            return True
        return self.sqlstate == "08P01" and any(text in self.message for text in _REFUSALS)


def failure_of(stage: Stage, text: str, sqlstate: str | None = None) -> CheckError:
    """The failure that ``text`` (of libpq or the server, several lines, perhaps a SQLSTATE) stands for."""
    if not sqlstate:
        found = _SQLSTATE.search(text)
        sqlstate = found.group(1) if found else None
    message = _SQLSTATE.sub(": ", text).strip()
    return CheckError(classify(stage, message, sqlstate), first_line(message), sqlstate)


def classify(stage: Stage, text: str, sqlstate: str | None) -> Result:
    """The result class of a failure in ``stage``. A missing database (3D000) is "other", not "auth"."""
    if sqlstate in _BY_SQLSTATE:
        return _BY_SQLSTATE[sqlstate]
    if sqlstate is None or sqlstate.startswith("08"):
        for needle, result in _BY_TEXT:
            if needle in text:
                return result
    return _BY_STAGE.get(stage, "other")


def first_line(text: str) -> str:
    """The first line of ``text``, printable and of bounded length: servers choose it, people read it."""
    line = text.strip().split("\n", 1)[0]
    printable = "".join(c if c.isprintable() else " " for c in line)
    return printable if len(printable) <= MAX_MESSAGE else printable[: MAX_MESSAGE - 1] + "…"
