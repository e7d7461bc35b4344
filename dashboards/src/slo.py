"""Service level objectives: what is left of each error budget, and how fast it burns."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, increase, most, select, total

TOTAL, OBJECTIVE = "scheduling_executions_total", "scheduling_slo_objective_ratio"
BAD, COUNTED = 'status=~"failed|timeout"', 'status!="cancelled"'
SCOPES = (("job", "store"), ("job", "store", "task_type"))
LEGENDS = ("{{store}}", "{{store}}: {{task_type}}")


def errors(over: str, by: tuple[str, ...]) -> str:
    """Share of executions that failed or timed out; of a whole store whatever task types are chosen."""
    whole = () if "task_type" in by else ('task_type=~".*"',)
    failed, ended = (total(increase(TOTAL, status, *whole, over=over), *by) for status in (BAD, COUNTED))
    return f"({failed} / ({ended} > 0))"


def budget(by: tuple[str, ...]) -> str:
    """The share that may fail: of the whole store (task type ""), or of task types with an objective of their own."""
    scope = 'task_type!=""' if "task_type" in by else 'task_type=""'
    objective = (
        select(OBJECTIVE, scope) if scope != 'task_type!=""' else select(OBJECTIVE, scope, 'task_type=~"$task_type"')
    )
    return f"(1 - {most(objective, *by)})"


def burn(over: str, by: tuple[str, ...]) -> str:
    """How many times faster than allowed the budget burns."""
    return f"{errors(over, by)}\n  / on ({', '.join(by)})\n{budget(by)}"


def both(make: Any, over: str) -> list[Query]:
    """A query for whole stores and one for task types."""
    return [Query(make(over, by), legend) for by, legend in zip(SCOPES, LEGENDS, strict=True)]


def left(over: str, by: tuple[str, ...]) -> str:
    """What is left of the budget of ``over``."""
    return f"1 - {burn(over, by)}"


def now() -> list[Any]:
    """Objectives and what is left."""
    objectives = [
        Query(most(select(OBJECTIVE, 'task_type=""'), *SCOPES[0]), LEGENDS[0]),
        Query(most(select(OBJECTIVE, 'task_type!=""', 'task_type=~"$task_type"'), *SCOPES[1]), LEGENDS[1]),
    ]
    achieved = [
        Query(f"1 - {errors('$__range', by)} and on ({', '.join(by)}) {budget(by)}", legend)
        for by, legend in zip(SCOPES, LEGENDS, strict=True)
    ]
    return [
        p.bars(
            "Objectives",
            "The share of executions that shall succeed, from the configuration: of whole stores and of task types.",
            "percentunit",
            *(q.instant() for q in objectives),
            size=(8, 7),
            top=1,
        ),
        p.bars(
            "Achieved in this time range",
            "The share of executions that did succeed within the dashboard's time range. Each has an objective of "
            "its own: whether it is enough, the budget beside it tells.",
            "percentunit",
            *(q.instant() for q in achieved),
            size=(8, 7),
            top=1,
        ),
        p.number(
            "Budget left of this time range",
            "1 less the failures of the dashboard's time range by those that its "
            "objective allows. Below 0 the objective is missed.",
            "percentunit",
            *both(left, "$__range"),
            steps=((None, p.BAD), (0, p.WARN), (0.5, p.GOOD)),
            decimals=0,
            size=(8, 7),
            runbooks=["SchedulingErrorBudgetBurnFast", "SchedulingErrorBudgetBurnSlow"],
        ),
    ]


def speed() -> list[Any]:
    """Burn rates over the windows of the alerts."""
    windows = (
        ("5m", 14.4, "Fast"),
        ("1h", 14.4, "Fast"),
        ("6h", 6, "Fast"),
        ("1d", 3, "Slow"),
        ("3d", 1, "Slow"),
    )
    return [
        p.graph(
            f"Burn rate, {over}",
            f"How many times faster than allowed the budget burnt within {over}. The alert fires "
            f"above {limit:g} (dashed) "
            "where a shorter window confirms it.",
            "short",
            *both(burn, over),
            Query(f"vector({limit:g})", "alert", ref="threshold"),
            size=(12, 7) if over != "5m" else (24, 7),
            runbooks=[f"SchedulingErrorBudgetBurn{kind}"],
        )
        for over, limit, kind in windows
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="slo",
        title="Scheduler objectives",
        description=(
            "Service level objectives: what was achieved, what is left of each error budget, how fast it burns."
        ),
        rows=[("Objectives", now()), ("Burn rates", speed())],
        source=OBJECTIVE,
        since="now-24h",
        task_type=True,
    )
