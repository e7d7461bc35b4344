"""scheduler-exporter: a job scheduler's tables as true, cheap and fresh Prometheus metrics.

The folders follow the data: ``config`` is read once, ``stores`` and ``connections`` ask PostgreSQL, ``poller``
gives each question its clock and its error boundary, ``ledger`` counts what finished exactly once, ``snapshot``
holds the last known truth, ``metrics`` and ``api`` turn it into answers, ``httpd`` serves them.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("scheduler-exporter")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0.0.0"
