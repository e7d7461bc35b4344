"""scheduler-exporter: a job scheduler's tables as true, cheap and fresh Prometheus metrics.

The folders follow the data: ``config`` is read once, ``stores`` and ``connections`` ask PostgreSQL, ``poller``
gives each question its clock and its error boundary, ``ledger`` counts what finished exactly once, ``snapshot``
holds the last known truth, ``metrics`` and ``api`` turn it into answers, ``httpd`` serves them.
"""

import os
import sys
from importlib.metadata import PackageNotFoundError, version

# zoneinfo, which psycopg imports, asks sysconfig for this path, and that loads all of the build's variables: 0.6 MB.
# Elsewhere time zones come from the package tzdata.
_unset = "PYTHONTZPATH" not in os.environ
if _unset:
    os.environ["PYTHONTZPATH"] = "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo"
try:
    import zoneinfo  # noqa: F401
finally:
    if _unset:
        del os.environ["PYTHONTZPATH"]

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
