"""What a driver tells the test: a JSON object on each line of its standard output.

A driver makes a scheduler do known work: four `add` succeed, `boom` fails, `flaky` fails twice and succeeds then,
`later` is due in an hour, `long` runs until the driver is killed, `tick` recurs; what a scheduler cannot do is left
out. Its arguments are DSN and stage: `install` makes the scheduler's tables, `work` enqueues and works, `drain` works
on what is there. Each handler tells each run itself: that is the truth that the exporter's numbers are held against.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

_lock = threading.Lock()


def say(**event: Any) -> None:
    """One line."""
    with _lock:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def ran(task: str, outcome: str, job: object, attempt: int | None = None) -> None:
    """A handler's run that is about to end."""
    say(ran=task, outcome=outcome, job=str(job), attempt=attempt)


def began(task: str, job: object) -> None:
    """A handler's run that will not end."""
    say(began=task, job=str(job))
