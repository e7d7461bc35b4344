"""What a scheduler leans on beside its store: Redis, Kafka, mail, HTTP, TCP and PostgreSQL servers, checked one by one.

Belongs here: one protocol a module, what a check says, the rhythm of the checks. Does not: metrics (``metrics``), the
scheduler's own store (``stores``), the list of PostgreSQL targets (``connections``).
"""

from exporter.dependencies.manager import Dependencies
from exporter.dependencies.results import COLLECTOR, CONSUMED, HITS, MISSES, OPERATIONS, PRODUCED, DependencyState
from exporter.dependencies.sight import Sight, sights

__all__ = [
    "COLLECTOR",
    "CONSUMED",
    "HITS",
    "MISSES",
    "OPERATIONS",
    "PRODUCED",
    "Dependencies",
    "DependencyState",
    "Sight",
    "sights",
]
