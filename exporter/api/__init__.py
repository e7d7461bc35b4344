"""What the sidecar answers over HTTP: one family of paths a module, wire shapes included.

Belongs here: paths, parameters, shapes. Does not: what is true of every request (``exporter.httpd``),
rendering (``exporter.metrics``, ``exporter.pages``; they come in through the ``Context``).

A new family is a module with ``endpoints(context)``, which lists what it answers (``exporter.httpd.endpoint``), and a
line in ``FAMILIES``. Roles, parameters, limits and ``/openapi.json`` follow from that list.
"""

from __future__ import annotations

from typing import Final

from exporter.api import exposition, health, lifecycle, scheduler_monitoring, system, workers
from exporter.httpd.endpoint import Declare

FAMILIES: Final[tuple[Declare, ...]] = (
    exposition.endpoints,
    health.endpoints,
    lifecycle.endpoints,
    system.endpoints,
    workers.endpoints,
    scheduler_monitoring.endpoints,
)
