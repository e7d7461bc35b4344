"""A page of /metrics as values, read by the client library's parsers."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

Key = tuple[str, frozenset[tuple[str, str]]]


class Metrics(dict[Key, float]):
    """Every sample by name and labels. A page that says one twice is refused."""

    def __init__(self, page: str, *, openmetrics: bool = False) -> None:
        super().__init__()
        self.types: dict[str, str] = {}
        for family in (parse_openmetrics if openmetrics else parse_text)(page):
            self.types[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                if key in self:
                    raise AssertionError(f"twice on one page: {sample}")
                self[key] = sample.value

    def series(self, name: str, /, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        """The series of ``name`` that have these labels (and perhaps more)."""
        wanted = labels.items()
        return {found: value for (n, found), value in self.items() if n == name and wanted <= dict(found).items()}

    def value(self, name: str, /, **labels: str) -> float:
        """The one series of ``name`` with these labels; LookupError when there is none, or more."""
        found = self.series(name, **labels)
        if len(found) != 1:
            raise LookupError(f"{name}{labels}: {len(found)} series: {found}")
        return next(iter(found.values()))

    def by(self, label: str, name: str, /, **labels: str) -> dict[str, float]:
        """Sums of ``name`` by the values of ``label``, as PromQL's ``sum by`` gives them."""
        sums: dict[str, float] = {}
        for found, value in self.series(name, **labels).items():
            key = dict(found).get(label, "")
            sums[key] = sums.get(key, 0.0) + value
        return sums

    def names(self, prefixes: Iterable[str] = ("",)) -> set[str]:
        """Names of the samples that begin with one of ``prefixes``."""
        starts = tuple(prefixes)
        return {name for name, _ in self if name.startswith(starts)}
