"""Every JSON family about a live scheduler after its known work, against what the scheduler's own tables say of it."""

from __future__ import annotations

import psycopg
import pytest
from support.polling import until

from contract.answers import ANSWERS, OTHERWISE
from contract.answers.asking import Get, differing
from contract.conftest import Find
from contract.contracts import APSCHEDULER, LIVE, PG_CRON
from contract.truth import SECONDS, TRUTHS
from contract.truth.asking import Database
from contract.truth.model import Told


def tables_say(name: str, dsn: str) -> Told:
    with psycopg.connect(dsn) as connection:
        return TRUTHS[name](Database(connection))


@pytest.mark.parametrize("family", ANSWERS)
@pytest.mark.parametrize("name", [*(contract.name for contract in LIVE), APSCHEDULER.name, PG_CRON.name])
def test_an_answer_is_what_the_tables_say(name: str, family: str, at_work: Find) -> None:
    """Looked at until it is: polls are 2 s apart, and what waits becomes due meanwhile."""
    ask = OTHERWISE.get((name, family), ANSWERS[family])
    dsn, sidecar = at_work(name)

    def agrees() -> bool:
        expected, shown = ask(Get(sidecar, name), tables_say(name, dsn))
        different = "\n".join(differing(expected, shown))
        assert not different, different
        return True

    until(agrees, SECONDS, every=0.5)
