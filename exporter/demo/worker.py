"""A worker of the shop: ``python -m exporter.demo.worker NAME CONCURRENCY QUEUE...``."""

from __future__ import annotations

import asyncio
import logging
import sys

from exporter.demo.workload import app


async def work(name: str, concurrency: int, queues: list[str]) -> None:
    """Run jobs until told to stop by a signal; what still runs after a second is aborted."""
    async with app.open_async():
        await app.run_worker_async(
            name=name,
            concurrency=concurrency,
            queues=queues,
            shutdown_graceful_timeout=1,
            fetch_job_polling_interval=2,
            update_heartbeat_interval=5,
            stalled_worker_timeout=30,
        )


if __name__ == "__main__":
    # Failed jobs with their tracebacks; a line for each that succeeds would fill the disk of a long demo.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
