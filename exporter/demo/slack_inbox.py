"""Where Slack's messages of the demo arrive: ``python -m exporter.demo.slack_inbox HOST PORT``.

Takes what an incoming webhook takes, keeps the newest and shows them at ``/``; the log has a line for each.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, Final

import jinja2
from aiohttp import web

KEPT: Final = 100
_PAGE: Final = jinja2.Environment(autoescape=True).from_string("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<title>Slack inbox</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
  article { border-left: 4px solid #888; margin: 1rem 0; padding: .2rem 1rem; white-space: pre-wrap }
  time { color: #777 }
</style>
<h1>Slack inbox</h1>
{% for at, message in messages %}
<article><time>{{ at }} {{ message.channel or "" }}</time>
{% for part in message.attachments or [message] %}<strong>{{ part.title or part.fallback or "" }}</strong>
{{ part.text or "" }}
{% endfor %}</article>
{% else %}<p>No message so far.</p>
{% endfor %}
""")


def application() -> web.Application:
    """The inbox."""
    messages: deque[tuple[str, dict[str, Any]]] = deque(maxlen=KEPT)

    async def take(request: web.Request) -> web.Response:
        message = await request.json()
        messages.appendleft((time.strftime("%H:%M:%S"), message))
        parts = message.get("attachments") or [message]
        print(message.get("channel", ""), parts[0].get("title") or parts[0].get("text", ""), flush=True)
        return web.Response(text="ok")

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE.render(messages=list(messages)), content_type="text/html")

    app = web.Application()
    app.router.add_post("/services/{path:.*}", take)
    app.router.add_get("/", show)
    return app


if __name__ == "__main__":
    web.run_app(application(), host=sys.argv[1], port=int(sys.argv[2]), print=None)
