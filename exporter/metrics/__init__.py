"""The snapshot as metrics: collectors that say what is shown, a renderer that keeps it as bytes.

Belongs here: collectors, and all that turns their families into a page. Does not: asking anything
(``stores``, ``connections``), serving (``httpd``).

A collector is one module and one line in COLLECTORS. It has

- ``SCOPE``: of what it is asked one by one: ``"store"``, ``"connection"``, ``"dependency"``, ``"pack"`` or
  ``"process"`` (once, for source ``""``),
- ``INPUTS``: the collector names of the parts it reads, all of that source; none: the source names its part, collector
  and source with U+001F between,
- ``collect(view) -> Families``: pure, called when one of those parts was published or grew stale, and also
  while a part is missing; a family without samples is not shown.

A module that reads every part of the snapshot has ``collect_snapshot(snapshot) -> Families`` in place of the
three; it is called after every publication. Families keep the order of COLLECTORS; a family belongs to one
module.
"""

from typing import Final

from exporter.metrics import (
    api,
    collectors,
    connection_checks,
    connections,
    dependencies,
    executions,
    jobs,
    packs,
    process,
    reported,
    running,
    sidecar,
    store,
    vault,
)
from exporter.metrics.render import AnyCollector

COLLECTORS: Final[tuple[AnyCollector, ...]] = (
    store,
    jobs,
    executions,
    running,
    reported,
    connections,
    connection_checks,
    vault,
    dependencies,
    packs,
    sidecar,
    collectors,
    process,
    api,
)
