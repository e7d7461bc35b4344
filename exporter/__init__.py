"""scheduler-exporter: a job scheduler's tables as true, cheap and fresh Prometheus metrics.

The folders follow the data: ``config`` is read once, ``stores`` and ``connections`` ask PostgreSQL, ``poller``
gives each question its clock and its error boundary, ``ledger`` counts what finished exactly once, ``snapshot``
holds the last known truth, ``metrics`` and ``api`` turn it into answers, ``httpd`` serves them.
"""

import os
from importlib.metadata import PackageNotFoundError, version

from exporter.imports import environment, without

# zoneinfo, which psycopg imports, asks sysconfig for this path, and that loads all of the build's variables: 0.6 MB.
# Elsewhere time zones come from the package tzdata.
_ZONES = "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo"
with environment("PYTHONTZPATH", os.environ.get("PYTHONTZPATH", _ZONES)):
    import zoneinfo  # noqa: F401

# structlog imports rich where it happens to be installed, for tracebacks that are not used here: 5 MB.
with without("rich"):
    import structlog  # noqa: F401

try:
    __version__ = version("scheduler-exporter")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0.0.0"
