"""What the paths of the reviewer's family share: where they are, how they write states.

snake_case, seconds, states in lower case. Times are UTC to the second and end in Z: the family's documentation leaves
it out, but the scripts in it read these times with jq's ``fromdateiso8601``, which takes no other form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.httpd.endpoint import Endpoint, Family, also_under, moved_from

PREFIX: Final = "/api/v1/monitoring"
#: Served in place, for the family's scripts follow no redirect.
SHORT: Final = "/monitoring"
#: Where the family was; redirects.
LEGACY: Final = "/api/monitoring"

FAMILY: Final = Family(
    name="monitoring",
    description="Task executions and PostgreSQL connections: snake_case, seconds, states in lower case",
    prefixes=(f"{PREFIX}/", f"{SHORT}/", f"{LEGACY}/"),
)
#: An execution's final status -> what this family calls it.
STATES: Final = {"SUCCESS": "completed", "FAILED": "failed", "TIMEOUT": "failed", "CANCELLED": "cancelled"}
RUNNING: Final = "running"


def everywhere(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Endpoints below PREFIX, under all of the family's addresses."""
    return [*endpoints, *also_under(endpoints, PREFIX, SHORT), *moved_from(endpoints, PREFIX, LEGACY)]
