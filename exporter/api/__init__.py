"""What the sidecar answers over HTTP: one family of paths a module, wire shapes included.

Belongs here: paths, parameters, shapes. Does not: what is true of every request (``exporter.httpd``),
rendering (``exporter.metrics``, ``exporter.pages``; they come in through the ``Context``).

A new family is a module with ``register(router, context)`` and a line in ``FAMILIES``.
"""

from __future__ import annotations

from typing import Final

from exporter.api import exposition, health, lifecycle, scheduler_monitoring, system, workers
from exporter.httpd.server import Register

FAMILIES: Final[tuple[Register, ...]] = (
    exposition.register,
    health.register,
    lifecycle.register,
    system.register,
    workers.register,
    scheduler_monitoring.register,
)
