"""Writes docs/schedulers.md: ``python tools/schedulers_doc.py``. A test holds the file to this output.

From what the contract suite runs (tests/contract/contracts.py), what it compares with the schedulers' tables
(tests/contract/truth, tests/contract/answers), and the profiles themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from contract.answers import ANSWERS, OTHERWISE  # noqa: E402
from contract.contracts import AT_WORK, SCHEMA_ONLY  # noqa: E402
from contract.truth import TRUTHS, WRITTEN  # noqa: E402
from contract.truth.families import FAMILIES  # noqa: E402
from support.schedulers import Contract  # noqa: E402

from exporter.config.profile import Profile  # noqa: E402
from exporter.stores.profile import Shipped, Variant, named, varied  # noqa: E402

TARGET = ROOT / "docs" / "schedulers.md"

INTRODUCTION = """\
# Schedulers

<!-- Written by tools/schedulers_doc.py from tests/contract/contracts.py. Change that, then run it again. -->

Each row is what the [contract suite](../tests/contract/) runs.

- **live**: the scheduler is installed from its registry and does known work in processes of its own (successes, a
  failure, retries, a job for later, one that recurs, a worker that is killed), and what its handlers say they ran is
  what has to be counted. `make schedulers` installs them, every run of the tests has them; those marked with a star
  run with `make contract`, and as a schema, with all that is compared, in every run.
- **schema**: the scheduler cannot be installed here. Its tables are made as its own migrations make them, and written
  as its own statements write them (successes, failures, retries, snoozes, jobs for later, what recurs, cancelled and
  discarded ones, a worker that is lost, pruning), with a sidecar that watches.

*Attempts*: `each` one is kept and counted, or a job's `last` one, or `none`. *Exact*: nothing stands against counting
each execution that is kept once. *Index*: `own` where one of the scheduler's own serves each poll; `to add` where
`profile check` prints the one that would. *Recurring*: what is known of recurring jobs. *Trigger*: whether a job is
triggered by SQL (`stores[].trigger` has other ways). *Compared*: how many families of metrics and of JSON are held
[against its own tables](#what-is-compared).

Each profile begins with what is exact and what cannot be known:
[exporter/stores/profiles/](../exporter/stores/profiles/).

| scheduler | tried | how | profile | attempts | exact | index | workers | recurring | trigger | compared |
|---|---|---|---|---|---|---|---|---|---|---|
"""
COMPARED = """
## What is compared

With plain SQL, written apart from the profiles, the suite reads what a scheduler's own tables say
([truth](../tests/contract/truth/)) and works out what each family has to tell
([metrics](../tests/contract/truth/families.py), [JSON](../tests/contract/answers/)). Every series and every value has
to be that: what the tables cannot say has to be absent, or null. Quantiles of the statistics have to be within 2% of
what the durations in the tables give, those of a histogram in the same bucket. A sidecar that comes when the work is
done has to tell the same of what it has read of history. A job has one status, and is found by its id, in every state
that its tables can have; of Airflow's task instances that is the status alone, for their ids change with each retry.
"""


def profile_of(contract: Contract) -> Profile:
    """The profile in the variant that the scheduler has."""
    profile: Shipped = named(contract.profile)
    variant: Variant | None = next((v for v in profile.variants if v.name == contract.variant), None)
    return profile if variant is None else varied(profile, variant)


def row(contract: Contract, *, live: bool) -> str:
    """One scheduler's line."""
    profile = profile_of(contract)
    counted = profile.executions is not None
    attempts = {"per_attempt": "each", "final": "last", "none": "none"}[profile.history]
    if counted and profile.outcomes == ("FAILED",):
        attempts = "last, failures only"
    cells = (
        contract.title,
        contract.tried,
        ("live" + ("*" if contract.seldom else "")) if live else "schema",
        f"`{contract.profile}`",
        attempts,
        ("yes" if contract.exact else "no") if counted else "-",
        ("own" if contract.indexed else "to add") if counted else "-",
        "yes" if profile.workers is not None else "no",
        contract.recurs,
        "yes" if profile.trigger is not None else "no",
        f"{len(FAMILIES)} + {len(ANSWERS)}" if contract.name in {**TRUTHS, **WRITTEN} else "-",
    )
    return "| " + " | ".join(cells) + " |"


def compared() -> str:
    """The families, and where something else is expected of one."""
    lines = ["", "Metrics:", "", *(f"- `{family}`" for family in sorted(FAMILIES))]
    lines += [
        "",
        "Answers, below `/api/` unless they begin with a slash:",
        "",
        *(f"- {_path(family)}" for family in ANSWERS),
    ]
    titles = {contract.name: contract.title for contract in (*AT_WORK, *SCHEMA_ONLY)}
    lines += ["", "Where something else is expected:", ""]
    lines += [f"- {titles[name]}, {_path(family)}: {ask.__doc__}" for (name, family), ask in OTHERWISE.items()]
    return "\n".join(lines) + "\n"


def _path(family: str) -> str:
    path, _, rest = family.partition(" ")
    return f"`{path}`{' ' if rest else ''}{rest}"


def document() -> str:
    """The whole file."""
    rows = [row(contract, live=True) for contract in AT_WORK] + [
        row(contract, live=False) for contract in SCHEMA_ONLY if contract not in AT_WORK
    ]
    return INTRODUCTION + "\n".join(sorted(rows, key=str.lower)) + "\n" + COMPARED + compared()


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
