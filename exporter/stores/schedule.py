"""When a recurring job runs next: cron text and a time zone, where the store does not say it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from exporter.errors import ExporterError

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class ScheduleError(ExporterError):
    """A cron text or a time zone that cannot be read."""


def next_run(cron: str, time_zone: str | None, after: float) -> float | None:
    """The first run after ``after`` (Unix seconds), None when there is none within 50 years.

    ``cron`` has five fields, or six with seconds first, or is a nickname such as @daily; ``time_zone`` is an IANA name
    (UTC when None). Around daylight-saving changes runs fall as Debian's cron has them: a fixed hour that is skipped
    runs right after the change, one that comes twice runs once. Raises ScheduleError.
    """
    start = datetime.fromtimestamp(after, UTC).astimezone(_zone(time_zone or "UTC"))
    try:
        found = next(CronSim(NICKNAMES.get(cron.strip().lower(), cron), start), None)
    except CronSimError as e:
        raise ScheduleError(f"cron text {cron!r} cannot be read: {e}") from e
    return None if found is None else found.timestamp()


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise ScheduleError(f"time zone {name!r} is not known") from e
