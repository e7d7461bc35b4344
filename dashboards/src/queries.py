"""PromQL for panels: selectors that carry the variables, and the lines that alerts fire at."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

METRICS: Final = Path(__file__).parents[2] / "docs" / "metrics.md"
FOLLOWED: Final = ("store", "task_type", "connection")
"""Labels with a variable of their own, beside job and instance."""
THRESHOLD: Final = "threshold"
"""How legends of threshold lines begin; the panels draw what begins so as a dashed red line."""
RANGE: Final = "[$__rate_interval]"
MANY: Final = 20
"""Lines of a graph that can still be told apart."""


@dataclass(frozen=True)
class Query:
    """One query of a panel. ``shape``: lines, table, heatmap, or instant (the latest value)."""

    expr: str
    legend: str = "__auto"
    ref: str = ""
    shape: str = "lines"
    exemplars: bool = False

    def table(self, ref: str) -> Query:
        """The same for a table's column: its latest values."""
        return replace(self, shape="table", ref=ref)

    def instant(self) -> Query:
        """The same as its latest value."""
        return replace(self, shape="instant")


@functools.cache
def catalogue() -> dict[str, frozenset[str]]:
    """Metric -> its labels, from docs/metrics.md, which is generated from the code."""
    text = METRICS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:gauge|counter|histogram)[^|]*\| ([^|]*) \|", text, re.MULTILINE)
    found: dict[str, set[str]] = {}
    for name, labels in rows:  # a name that the pack scheduling-worker gives too has the labels of both
        found.setdefault(name, set()).update(() if labels == "(none)" else labels.split(", "))
    return {name: frozenset(labels) for name, labels in found.items()}


def labels_of(metric: str) -> frozenset[str]:
    """The metric's own labels; of a histogram's parts those of the histogram."""
    found = catalogue()
    return found.get(metric) or found.get(re.sub(r"_(bucket|sum|count)$", "", metric), frozenset())


def select(metric: str, *matchers: str) -> str:
    """A selector that follows every variable for which the metric has a label; ``matchers`` come first.

    A label that ``matchers`` names is left to them.
    """
    own = labels_of(metric)
    given = {re.split(r"[=!]", matcher)[0].strip() for matcher in matchers}
    followed = [label for label in ("job", "instance", *(x for x in FOLLOWED if x in own)) if label not in given]
    matching = ", ".join([*matchers, *(f'{label}=~"${label}"' for label in followed)])
    return f"{metric}{{{matching}}}"


def rate(metric: str, *matchers: str) -> str:
    """Its rate by the second."""
    return f"rate({select(metric, *matchers)}{RANGE})"


def increase(metric: str, *matchers: str, over: str = "$__rate_interval") -> str:
    """By how much it grew within ``over``."""
    return f"increase({select(metric, *matchers)}[{over}])"


def hourly(metric: str, *by: str) -> str:
    """By how much it grows within the hour that begins: what a bar of an hour shows."""
    return total(f"increase({select(metric)}[1h] offset -1h)", *by)


def hourly_share(metric: str, matcher: str, by: str) -> str:
    """What share of its growth within an hour has ``matcher``, by a label."""
    return share(total(increase(metric, matcher, over="1h"), by), total(increase(metric, over="1h"), by))


def total(inner: str, *by: str) -> str:
    """Added up by labels."""
    return f"sum by ({', '.join(by)}) ({inner})" if by else f"sum({inner})"


def most(inner: str, *by: str) -> str:
    """The highest by labels."""
    return f"max by ({', '.join(by)}) ({inner})" if by else f"max({inner})"


def least(inner: str, *by: str) -> str:
    """The lowest by labels."""
    return f"min by ({', '.join(by)}) ({inner})" if by else f"min({inner})"


def first(inner: str, by: str, rank: str, *, most_of: int = MANY) -> str:
    """``inner`` of those whose ``rank`` is highest: of a thousand those that somebody has to see."""
    return f"{inner}\n  and on ({by})\n  topk({most_of}, {rank})"


def peak(metric: str, by: str) -> str:
    """A rank: the highest value in the time range, so that the same ones are drawn from its beginning to its end."""
    return most(f"max_over_time({select(metric)}[$__range] @ end())", by)


def whole(metric: str, by: str, *matchers: str) -> str:
    """A rank: by how much a counter grew in the time range."""
    return total(f"increase({select(metric, *matchers)}[$__range] @ end())", by)


def share(part: str, whole: str) -> str:
    """One by the other, where there is a whole."""
    return f"{part}\n  /\n({whole} > 0)"


def quantile(q: float, histogram: str, *by: str, matchers: tuple[str, ...] = ()) -> str:
    """A quantile of a histogram's latest observations; nothing (rather than NaN) where there were none."""
    return f"histogram_quantile({q:g}, {total(rate(histogram + '_bucket', *matchers), *by, 'le')}) >= 0"


def mean(histogram: str, *by: str, over: str = "$__rate_interval") -> str:
    """The mean of a histogram's latest observations."""
    return share(
        total(increase(histogram + "_sum", over=over), *by), total(increase(histogram + "_count", over=over), *by)
    )


def age(timestamp: str) -> str:
    """Seconds since a start time."""
    return f"time() - {timestamp}"


def heatmap(histogram: str) -> Query:
    """How a histogram's observations are spread, over time."""
    return Query(total(rate(histogram + "_bucket"), "le"), "{{le}}", shape="heatmap")


def threshold(name: str, *, by_task_type: bool = False) -> Query:
    """The line at which an alert fires: the configuration's, as the exporter shows it.

    With ``by_task_type`` also the lines of task types that have one of their own, among those that are chosen.
    """
    chosen = 'task_type=~"$task_type|"' if by_task_type else 'task_type=""'
    series = select("scheduling_alert_threshold", f'name="{name}"', chosen)
    if not by_task_type:
        return Query(most(series), THRESHOLD, ref="threshold")
    return Query(most(series, "task_type"), THRESHOLD + " {{task_type}}", ref="threshold")


def firing(*matchers: str) -> str:
    """Alerts of the shipped rules that fire. Most have no instance: a replaced pod is the same alert."""
    own = ['alertstate="firing"', 'alertname=~"Scheduling.+"', *matchers, 'job=~"$job"', 'instance=~"$instance|"']
    return f"ALERTS{{{', '.join(own)}}}"
