"""What the log has of jobs as they end: each failure of a commit by name, up to a number, and how many ended."""

from __future__ import annotations

import structlog

from exporter.ledger.slices import Slice

log = structlog.get_logger(component="ledger", category="jobs", operation="executions")


def tell(store: str, staged: Slice) -> None:
    """Log what was counted just now, once it is written."""
    for failure in staged.failures:
        log.info(
            "execution failed",
            store=store,
            job_id=failure.job_id,
            execution_id=failure.execution_id,
            task_type=failure.task_type or None,
            code=failure.code,
            error=failure.message,
        )
    if staged.failed > len(staged.failures):
        log.info("more executions failed", store=store, executions=staged.failed - len(staged.failures))
    if staged.rows:
        log.debug("executions counted", store=store, executions=staged.rows, late=staged.late)
