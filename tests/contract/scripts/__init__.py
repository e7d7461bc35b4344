"""What schedulers that cannot be installed here write, statement by statement: one module each, one line here."""

from __future__ import annotations

from typing import Final

from contract.scripts.airflow import AIRFLOW
from contract.scripts.good_job import GOOD_JOB
from contract.scripts.model import Script
from contract.scripts.oban_elixir import OBAN_ELIXIR
from contract.scripts.quartz import QUARTZ
from contract.scripts.river import RIVER
from contract.scripts.solid_queue import SOLID_QUEUE

#: By a contract's name.
SCRIPTS: Final[dict[str, Script]] = {
    "airflow": AIRFLOW,
    "river": RIVER,
    "oban_elixir": OBAN_ELIXIR,
    "good_job": GOOD_JOB,
    "solid_queue": SOLID_QUEUE,
    "quartz": QUARTZ,
}
