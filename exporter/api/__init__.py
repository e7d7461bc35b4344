"""What the sidecar answers over HTTP: one family of paths a module, wire shapes included.

Belongs here: paths, parameters, shapes. Does not: what is true of every request (``exporter.httpd``),
rendering (``exporter.metrics``, ``exporter.pages``; they come in through the ``Context``).

A new family is a module with ``endpoints(context)``, which lists what it answers (``exporter.httpd.endpoint``), and a
line in ``FAMILIES``. Roles, parameters, limits and ``/openapi.json`` follow from that list.
"""

from __future__ import annotations

from typing import Final

from exporter.api import (
    alert_webhook,
    alerts,
    checking,
    dashboard,
    discovery,
    export,
    exposition,
    health,
    jobs,
    lifecycle,
    monitoring_connections,
    monitoring_tasks,
    nativelink,
    nativelink_operations,
    profile,
    reference,
    scheduler_errors,
    scheduler_health,
    scheduler_jobs,
    scheduler_metrics,
    scheduler_monitoring,
    system,
    system_health,
    triggering,
    workers,
)
from exporter.httpd.endpoint import Declare

FAMILIES: Final[tuple[Declare, ...]] = (
    exposition.endpoints,
    health.endpoints,
    lifecycle.endpoints,
    reference.endpoints,
    discovery.endpoints,
    system_health.endpoints,
    system.endpoints,
    workers.endpoints,
    jobs.endpoints,
    monitoring_tasks.endpoints,
    monitoring_connections.endpoints,
    nativelink.endpoints,
    nativelink_operations.endpoints,
    scheduler_monitoring.endpoints,
    scheduler_metrics.endpoints,
    scheduler_jobs.endpoints,
    scheduler_health.endpoints,
    scheduler_errors.endpoints,
    export.endpoints,
    dashboard.endpoints,
    triggering.endpoints,
    checking.endpoints,
    alerts.endpoints,
    alert_webhook.endpoints,
    profile.endpoints,
)
