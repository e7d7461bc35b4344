"""Who has signed in at the status page: sessions in memory, few, and ended by time, by signing out, or with the token.

A browser shows its session by a cookie that only pages read: JSON knows no cookies. What a page's form asks for needs
the session's own form token beside the cookie, and the admission's check of where it came from.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from exporter.config.model import Config
from exporter.config.secrets import Secret
from exporter.httpd.limits import Budgets, client_of
from exporter.httpd.roles import Caller
from exporter.httpd.tokens import Tokens, tokens_of

#: The cookie; browsers take one of the second name over TLS only, for this host and every path of it.
COOKIE: Final = "scheduler-exporter"
SECURE_COOKIE: Final = f"__Host-{COOKIE}"
#: Sessions at once: the one that was used least lately ends for another.
MOST: Final = 100
#: Seconds without a visit, and altogether, after which a session ends.
IDLE: Final = 1800.0
LONGEST: Final = 12 * 3600.0
#: How often one client may try to sign in: so many times at once, then once in so many seconds.
TRIES: Final = 10
TRY_EVERY: Final = 6.0
#: What a page's own script says of itself when it brings a page up to date: nobody is there for it.
BY_SCRIPT: Final = "X-Page-Update"
#: Visitors for whom a notice may wait, and its longest text.
_NOTICES: Final = 100
_NOTICE: Final = 500


class _Session(msgspec.Struct):
    token: bytes
    began: float
    used: float


class Notice(msgspec.Struct, frozen=True):
    """What became of an action, for the next page that its visitor sees."""

    good: bool
    text: str


class Sessions:
    """Those who are signed in. ``value`` gives the text of a secret, ``clock`` is monotonic."""

    def __init__(
        self,
        config: Callable[[], Config],
        value: Callable[[Secret], Awaitable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = Tokens(value)
        self._config = config
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._notices: OrderedDict[str, Notice] = OrderedDict()
        self._tries = Budgets()

    async def sign_in(self, request: web.Request, token: str) -> tuple[Caller, str] | None:
        """Whose token it is, and the new session's key for the cookie; None for none. HttpError 429."""
        await self._tries.pay("sign-in", client_of(request), per_second=1 / TRY_EVERY, burst=TRIES)
        digest = self.tokens.digest(token)
        caller = await self.tokens.caller(digest, tokens_of(self._config()))
        if caller is None:
            return None
        self.sign_out(request)
        key, now = secrets.token_urlsafe(32), self._clock()
        self._sessions[_named(key)] = _Session(digest, began=now, used=now)
        while len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return caller, key

    async def caller(self, request: web.Request) -> Caller | None:
        """Who has signed in with this browser: whoever has that token now, if anybody has."""
        key = key_of(request)
        name = _named(key) if key else b""
        session = self._sessions.get(name)
        if session is None:
            return None
        now = self._clock()
        caller = None
        if now - session.used <= IDLE and now - session.began <= LONGEST:
            caller = await self.tokens.caller(session.token, tokens_of(self._config()))
        if caller is None:
            self._sessions.pop(name, None)
        elif BY_SCRIPT not in request.headers and name in self._sessions:
            session.used = now
            self._sessions.move_to_end(name)
        return caller

    def sign_out(self, request: web.Request) -> None:
        """End this browser's session, if it has one."""
        key = key_of(request)
        if key:
            self._sessions.pop(_named(key), None)

    def form_token(self, request: web.Request, caller: Caller) -> str:
        """What the forms of this visitor have to send back; another site's page cannot know it."""
        return hmac.new(self._key, _visitor(request, caller).encode(), "sha256").hexdigest()

    def form_is_ours(self, request: web.Request, caller: Caller, given: str) -> bool:
        """Whether a form that was sent is one that this visitor was given."""
        return hmac.compare_digest(given.encode(), self.form_token(request, caller).encode())

    def leave(self, request: web.Request, caller: Caller, notice: Notice) -> None:
        """Have the visitor's next page say this."""
        self._notices[_visitor(request, caller)] = Notice(notice.good, notice.text[:_NOTICE])
        while len(self._notices) > _NOTICES:
            self._notices.popitem(last=False)

    def notice(self, request: web.Request, caller: Caller) -> Notice | None:
        """What the visitor has to be told; once."""
        if BY_SCRIPT in request.headers or not caller.known:
            return None
        return self._notices.pop(_visitor(request, caller), None)


def key_of(request: web.Request) -> str | None:
    """The key that a browser shows."""
    cookies = request.cookies
    return cookies.get(SECURE_COOKIE) or (None if request.secure else cookies.get(COOKIE))


def set_cookie(response: web.StreamResponse, request: web.Request, key: str | None) -> None:
    """Give a browser the key of its session, None: have it forget the key.

    A browser that came by TLS, also where a proxy ends that, shows it there only.
    """
    secure = request.secure or request.headers.get("Origin", "").startswith("https://")
    for name in (SECURE_COOKIE, COOKIE) if key is None else (SECURE_COOKIE if secure else COOKIE,):
        response.set_cookie(
            name,
            key or "",
            max_age=int(LONGEST) if key is not None else 0,
            path="/",
            secure=name == SECURE_COOKIE,
            httponly=True,
            samesite="Strict",
        )


def _named(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _visitor(request: web.Request, caller: Caller) -> str:
    """A session, or whoever shows a credential with each request."""
    key = key_of(request)
    return f"session {key}" if key else f"caller {caller.name}"
