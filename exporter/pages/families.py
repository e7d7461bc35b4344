"""Every family of pages: ``endpoints(context)`` in a module of its own, and a line here."""

from __future__ import annotations

from typing import Final

from exporter.httpd.endpoint import Declare
from exporter.pages import actions, home, job_page, live, signin

PAGES: Final[tuple[Declare, ...]] = (
    home.endpoints,
    live.endpoints,
    job_page.endpoints,
    signin.endpoints,
    actions.endpoints,
)
