"""scheduler-exporter: a job scheduler's tables as true, cheap and fresh Prometheus metrics.

The folders follow the data: ``config`` is read once, ``stores`` and ``connections`` ask PostgreSQL, ``poller``
gives each question its clock and its error boundary, ``ledger`` counts what finished exactly once, ``snapshot``
holds the last known truth, ``metrics`` and ``api`` turn it into answers, ``httpd`` serves them.
"""

import sys
from importlib.metadata import PackageNotFoundError, version

# structlog imports rich where it happens to be installed, for tracebacks that are not used here: 5 MB of memory.
_rich = {} if "rich" in sys.modules else {"rich": None}
sys.modules.update(_rich)  # type: ignore[arg-type]
try:
    import structlog  # noqa: F401
finally:
    for _name in _rich:
        del sys.modules[_name]

try:
    __version__ = version("scheduler-exporter")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0.0.0"
