"""The truth about each scheduler: what its own tables say after known work, read apart from the exporter's profiles.

``model`` has what is asked for, a module named after a scheduler the plain SQL that answers it, ``families`` the
metrics that this makes. Another scheduler is one more module and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contract.truth import apscheduler, celery, chancy, graphile, oban, pg_cron, pgboss, pgqueuer, procrastinate
from contract.truth.asking import Database
from contract.truth.model import Told

#: By the name of the contract.
TRUTHS: Final[dict[str, Callable[[Database], Told]]] = {
    "procrastinate": procrastinate.told,
    "pgqueuer": pgqueuer.told,
    "pgboss12": pgboss.twelve,
    "pgboss10": pgboss.ten,
    "graphile": graphile.told,
    "oban": oban.told,
    "celery": celery.told,
    "chancy": chancy.told,
    "apscheduler": apscheduler.told,
    "pg_cron": pg_cron.told,
}
