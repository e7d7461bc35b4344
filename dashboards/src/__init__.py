"""Grafana dashboards as code: ``python -m dashboards.src`` writes ``dashboards/*.json``.

Belongs here: one module a dashboard, each with ``build()``; what they share: queries, panels, the frame around them. To
add a dashboard, write its module and name it in ``NAMES``. Does not: anything that the exporter needs to run.
"""

from typing import Final

NAMES: Final = (
    "overview",
    "executions",
    "jobs",
    "workers",
    "connections",
    "api",
    "system",
    "calendar",
    "goals",
    "ml",
    "slo",
    "exporter",
)
"""Modules, files and (behind ``scheduling-``) uids, in the order in which people look at them."""
