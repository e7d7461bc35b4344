"""Where the demo's messages arrive: ``python -m exporter.demo.inbox HOST PORT [SMTP_PORT]``.

Takes what Slack's incoming webhooks take and, given a port for it, mail; keeps the newest and shows them at ``/``. The
log has a line for each.
"""

from __future__ import annotations

import email
import email.policy
import re
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import EmailMessage
from html import unescape
from typing import Any, Final

import jinja2
import msgspec
from aiohttp import web

KEPT: Final = 100
#: <https://a.example|a link>, <!date^1700000000^{date}|a moment>
_MARKUP: Final = re.compile(r"<(?P<to>[^<>|]+)\|(?P<shown>[^<>]+)>")
_PAGE: Final = jinja2.Environment(autoescape=True).from_string("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="10">
<title>Inbox</title>
<style>
  :root { color-scheme: light dark }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
  article { border-left: 4px solid #888; margin: 1rem 0; padding: .2rem 1rem; overflow-wrap: anywhere }
  article div { white-space: pre-wrap }
  header { color: #777 }
  iframe { background: #fff; border: 1px solid #8886; height: 22rem; width: 100% }
</style>
<h1>Inbox</h1>
{% for message in messages %}
<article>
<header>{{ message.at }} {{ message.kind }} to {{ message.to }}</header>
{% for part in message.parts %}
<strong>{{ part.title }}</strong>
<div>{% for text, link in part.text %}\
{% if link %}<a href="{{ link }}">{{ text }}</a>{% else %}{{ text }}{% endif %}\
{% endfor %}</div>
{% endfor %}
{% if message.html %}
<iframe sandbox title="{{ message.parts[0].title }}" srcdoc="{{ message.html }}"></iframe>
{% endif %}
</article>
{% else %}<p>No message so far. What fires has to last first: a minute or more.</p>
{% endfor %}
</html>
""")


class Part(msgspec.Struct, frozen=True):
    """A title and the text below it, in pieces: each with where it leads, if anywhere."""

    title: str
    text: tuple[tuple[str, str], ...] = ()


class Message(msgspec.Struct, frozen=True):
    """What arrived. ``at`` is the time of day; ``html`` a mail's body."""

    at: str
    kind: str
    to: str
    parts: tuple[Part, ...]
    html: str = ""


class Inbox:
    """The newest messages."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=KEPT)

    def take(self, message: Message) -> None:
        """Keep it, and say so."""
        self.messages.appendleft(message)
        print(message.kind, message.to, message.parts[0].title, flush=True)

    async def take_slack(self, request: web.Request) -> web.Response:
        """An incoming webhook: a message, or one with attachments."""
        sent: dict[str, Any] = await request.json()
        parts = tuple(
            Part(unescape(part.get("title") or part.get("fallback") or ""), tuple(pieces(part.get("text") or "")))
            for part in sent.get("attachments") or [sent]
        )
        self.take(Message(_now(), "Slack", sent.get("channel") or "", parts))
        return web.Response(text="ok")

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """A mail."""
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        html, plain = mail.get_body(("html",)), mail.get_body(("plain",))
        text = () if html is not None or plain is None else ((plain.get_content(), ""),)
        subject = Part(str(mail["Subject"]), text)
        body = "" if html is None else html.get_content()
        self.take(Message(_now(), "Mail", ", ".join(envelope.rcpt_tos), (subject,), body))
        return "250 OK"

    async def show(self, _: web.Request) -> web.Response:
        """The page."""
        return web.Response(text=_PAGE.render(messages=list(self.messages)), content_type="text/html")


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Slack's markup in pieces: what is shown, and the address that it leads to, if any."""
    end = 0
    for found in _MARKUP.finditer(text):
        yield unescape(text[end : found.start()]), ""
        to = unescape(found["to"])
        yield unescape(found["shown"]), to if to.startswith(("http://", "https://")) else ""
        end = found.end()
    yield unescape(text[end:]), ""


def application(host: str = "127.0.0.1", smtp_port: int | None = None) -> web.Application:
    """The inbox; it takes mail at ``smtp_port``, where that is given."""
    inbox = Inbox()
    app = web.Application()
    app.router.add_post("/services/{path:.*}", inbox.take_slack)
    app.router.add_get("/", inbox.show)
    if smtp_port is not None:
        app.cleanup_ctx.append(_taking_mail(inbox, host, smtp_port))
    return app


def _taking_mail(inbox: Inbox, host: str, port: int) -> Callable[[web.Application], AsyncIterator[None]]:
    from aiosmtpd.controller import Controller  # noqa: PLC0415 - of the demo's packages, and needed for mail alone

    async def mail(_: web.Application) -> AsyncIterator[None]:
        controller = Controller(inbox, hostname=host, port=port)
        controller.start()
        yield
        controller.stop()

    return mail


def _now() -> str:
    return time.strftime("%H:%M:%S")


if __name__ == "__main__":
    host, port, *smtp = sys.argv[1:]
    web.run_app(application(host, int(smtp[0]) if smtp else None), host=host, port=int(port), print=None)
