"""A pack's file, in either form, to the pack. Every fault of the file is told, with its line and key."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from exporter.config.convert import Reader
from exporter.config.follow import Verbatim
from exporter.config.model import Cursor
from exporter.config.problems import BROKEN, KeyPath, Report, Where, nearest, quote
from exporter.config.shapes import Shape, shape_of
from exporter.config.sql import one_statement
from exporter.config.yaml_lines import Mapping as YamlMapping
from exporter.config.yaml_lines import Node, Scalar
from exporter.packs.model import Condition, Kind, Metric, Pack, Query, Usage
from exporter.packs.names import label_fault, metric_fault
from exporter.packs.sections import ForeignColumn, ForeignQuery, OwnMetric, OwnPack, OwnQuery
from exporter.packs.versions import matches

#: Characters of a query's name: it is in labels and in the state file.
LONGEST_NAME: Final = 100
#: Label sets of one metric that are named in advance.
MOST_SETS: Final = 1_000
#: Buckets of one histogram: each is a series.
MOST_BUCKETS: Final = 50
_USAGES: Final[dict[str, tuple[Kind, Usage]]] = {
    "GAUGE": ("gauge", "number"),
    "COUNTER": ("counter", "number"),
    "MAPPEDMETRIC": ("gauge", "mapped"),
    "DURATION": ("gauge", "duration"),
    "HISTOGRAM": ("histogram", "histogram"),
}
_OTHER_USAGES: Final = ("LABEL", "DISCARD")
#: What takes a metric's name: why it cannot be had, or None.
Take = Callable[[str, str, str], str | None]


def parse(
    root: Node, name: str, file: str, report: Report, *, take: Take, skip: Collection[str] = ()
) -> tuple[Pack, tuple[str, ...]] | None:
    """The pack in a YAML tree, and its queries' names with those in ``skip``, which are left out.

    None, or less than the file says, when the report has faults.
    """
    if not isinstance(root, YamlMapping):
        report.add((), "expected a mapping: queries: {...}, or postgres_exporter's queries by name")
        return None
    form = (_Own if _is_own(root) else _Foreign)(file, report, take, skip)
    queries = form.queries(root)
    return Pack(name=name, file=file, queries=queries), tuple(form.known)


def _is_own(root: YamlMapping) -> bool:
    """Whether a file has our own form: ``queries`` is a section of it. Elsewhere every name is a query's."""
    for entry in root.entries:
        if isinstance(entry.key, Scalar) and entry.key.text == "queries":
            inner = entry.value.entries if isinstance(entry.value, YamlMapping) else ()
            return not any(isinstance(e.key, Scalar) and e.key.text == "query" for e in inner)
    return False


class _Form:
    """What both forms share."""

    def __init__(self, file: str, report: Report, take: Take, skip: Collection[str]) -> None:
        self._file = file
        self._report = report
        self._take = take
        self._skip = skip
        #: The names of all queries of the file.
        self.known: list[str] = []

    def _wanted(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The queries that are read."""
        self.known += sections
        for name, section in sections.items():
            if section is not BROKEN and name not in self._skip:
                yield name, section

    def _read(self, shape: Shape, root: Node) -> Any:
        return Reader(self._report, Verbatim(), {Cursor: _check_cursor}).read(shape, root, ())

    def _place(self, path: KeyPath) -> str:
        line = self._report.line(path)
        return self._file if line is None else f"{self._file}:{line}"

    def _fault(self, path: KeyPath, text: str | None) -> bool:
        if text is not None:
            self._report.add(path, text)
        return text is not None

    def _name(self, name: str, path: KeyPath) -> None:
        if len(name) > LONGEST_NAME:
            self._fault(path, f"expected a query's name of at most {LONGEST_NAME} characters")

    def _labels(self, labels: tuple[str, ...], path: KeyPath) -> None:
        for label in labels:
            self._fault(path, label_fault(label))
        for label in sorted({label for label in labels if labels.count(label) > 1}):
            self._fault(path, f"duplicate label {quote(label)}")

    def _taken(self, name: str, kind: str, path: KeyPath) -> None:
        if not self._fault(path, metric_fault(name)):
            self._fault(path, self._take(name, kind, self._place(path)))


class _Own(_Form):
    """Our own form."""

    def queries(self, root: YamlMapping) -> tuple[Query, ...]:
        section = self._read(Shape(structs=(OwnPack,)), root)
        if section is BROKEN or section.queries is BROKEN:
            return ()
        if not section.queries:
            self._fault(("queries",), "expected at least one query")
        wanted = self._wanted(section.queries)
        return tuple(self._query(name, query, ("queries", name)) for name, query in wanted)

    def _query(self, name: str, section: OwnQuery, path: KeyPath) -> Query:
        self._name(name, path)
        cursor = None if section.cursor is BROKEN else section.cursor
        metrics: Mapping[str, OwnMetric] = {} if section.metrics is BROKEN else section.metrics
        if not metrics and section.metrics is not BROKEN:
            self._fault((*path, "metrics"), "expected at least one metric")
        found = []
        for metric, one in metrics.items():
            if one is not BROKEN and not any(getattr(one, key) is BROKEN for key in OwnMetric.__struct_fields__):
                found.append(self._metric(metric, one, (*path, "metrics", metric), counted=section.cursor is not None))
        return Query(
            name=name,
            sql="" if section.sql is BROKEN else section.sql,
            metrics=tuple(found),
            place=self._place(path),
            cursor=cursor,
            key=() if section.key is BROKEN or cursor is None else section.key,
            interval=None if section.interval is BROKEN else section.interval,
            timeout=None if section.timeout is BROKEN else section.timeout,
        )

    def _metric(self, name: str, section: OwnMetric, path: KeyPath, *, counted: bool) -> Metric:
        self._taken(name, section.type, path)
        self._labels(section.labels, (*path, "labels"))
        if section.type == "gauge":
            self._gauge(section, path, counted=counted)
        else:
            self._counted(name, section, path, counted=counted)
        if math.prod(map(len, section.values.values())) > MOST_SETS:
            self._fault((*path, "values"), f"more than {MOST_SETS} label sets: each is a series")
        for label in section.values:
            if label not in section.labels:
                text = f"is none of the metric's labels{nearest(label, section.labels)}"
                self._fault((*path, "values", label), text)
        return Metric(
            name=name,
            kind=section.type,
            help=section.help,
            labels=section.labels,
            column=section.value,
            buckets=section.buckets,
            values=section.values,
        )

    def _gauge(self, section: OwnMetric, path: KeyPath, *, counted: bool) -> None:
        if counted:
            self._fault((*path, "type"), "with a cursor rows are counted: expected counter or histogram; a gauge needs"
                        " a query of its own without cursor")  # fmt: skip
        if section.value is None:
            self._fault((*path, "value"), "required: the column that is the gauge's value")
        if section.values:
            self._fault((*path, "values"), "only what is counted has label values from the beginning")
        if section.buckets:
            self._fault((*path, "buckets"), "only a histogram has buckets")

    def _counted(self, name: str, section: OwnMetric, path: KeyPath, *, counted: bool) -> None:
        if not counted:
            self._fault((*path, "type"), f"a {section.type} needs a cursor, so that each row is counted once: cursor:"
                        " {column: ..., kind: timestamp}; without one only gauges are known")  # fmt: skip
        if section.type == "counter":
            if not name.endswith("_total"):
                self._fault(path, "a counter's name ends in _total")
            if section.buckets:
                self._fault((*path, "buckets"), "only a histogram has buckets")
            return
        if section.value is None:
            self._fault((*path, "value"), "required: the column that is observed")
        bounds = section.buckets
        if not bounds or len(bounds) > MOST_BUCKETS:
            self._fault((*path, "buckets"), f"required: 1 to {MOST_BUCKETS} upper bounds")
        if list(bounds) != sorted(set(bounds)) or not all(map(math.isfinite, bounds)):
            self._fault((*path, "buckets"), "expected finite upper bounds, each above the one before; +Inf is implied")


class _Foreign(_Form):
    """postgres_exporter's form. Like there a metric is called by its query and its column."""

    def queries(self, root: YamlMapping) -> tuple[Query, ...]:
        sections = self._read(Shape(value=shape_of(ForeignQuery)), root)
        if sections is BROKEN:
            return ()
        if not sections:
            self._fault((), "expected at least one query")
        found = [self._query(name, one, (name,)) for name, one in self._wanted(sections)]
        return tuple(query for query in found if query is not None)

    def _query(self, name: str, section: ForeignQuery, path: KeyPath) -> Query | None:
        if any(getattr(section, key) is BROKEN for key in ForeignQuery.__struct_fields__):
            return None
        self._name(name, path)
        prefix = section.name or name
        columns = {
            column: (one, (*path, "metrics", index, column))
            for index, entry in enumerate(section.metrics)
            if entry is not BROKEN
            for column, one in entry.items()
            if one is not BROKEN and not any(getattr(one, key) is BROKEN for key in ForeignColumn.__struct_fields__)
        }
        usages = {column: self._usage(one, (*where, "usage")) for column, (one, where) in columns.items()}
        labels = tuple(column for column, usage in usages.items() if usage == "LABEL")
        for label in labels:
            self._fault(columns[label][1], label_fault(label))
        metrics = [
            self._metric(prefix, column, one, where, labels)
            for column, (one, where) in columns.items()
            if usages[column] in _USAGES
        ]
        sql = self._sql(section.query, (*path, "query"))
        if not sql:
            return None  # as there: a query that is empty is switched off
        return Query(
            name=name,
            sql=sql,
            metrics=tuple(metrics),
            place=self._place(path),
            interval=float(section.cache_seconds) or None,
            prefix=prefix,
            labels=labels,
            discarded=tuple(column for column, usage in usages.items() if usage == "DISCARD"),
            condition=Condition(
                versions=self._versions(section.runonserver, (*path, "runonserver")),
                databases=() if "*" in section.target_databases else section.target_databases,
                predicate=self._sql(section.predicate_query, (*path, "predicate_query")) or None,
                primary=section.primary,
            ),
        )

    def _usage(self, section: ForeignColumn, path: KeyPath) -> str:
        usage = section.usage.upper()
        known = (*_USAGES, *_OTHER_USAGES)
        if usage not in known:
            text = f"expected one of {', '.join(known)}; got {quote(section.usage)}{nearest(usage, known)}"
            self._fault(path, text)
        return usage

    def _metric(
        self, prefix: str, column: str, section: ForeignColumn, path: KeyPath, labels: tuple[str, ...]
    ) -> Metric:
        kind, usage = _USAGES[section.usage.upper()]
        name = f"{prefix}_{section.name or column}" + ("_milliseconds" if usage == "duration" else "")
        # A histogram's samples take their names once it is shown: its columns may not be there.
        self._taken(name, "untyped" if kind == "histogram" else kind, path)
        mapping = {**section.mapping, **section.metric_mapping}
        if usage == "mapped" and not mapping:
            self._fault(path, "MAPPEDMETRIC needs metric_mapping: the number that each text stands for")
        return Metric(
            name=name,
            kind=kind,
            help=section.description or f"Column {column} of the query {prefix}.",
            labels=labels,
            column=column,
            usage=usage,
            mapping=mapping,
            versions=self._versions(section.pg_version or "", (*path, "pg_version")),
        )

    def _versions(self, wanted: str, path: KeyPath) -> str | None:
        if not wanted.strip():
            return None
        try:
            matches(wanted, (0, 0, 0))
        except ValueError as error:
            self._fault(path, str(error))
        return wanted

    def _sql(self, text: str, path: KeyPath) -> str:
        if not text.strip():
            return ""
        try:
            return one_statement(text)
        except ValueError as error:
            self._fault(path, str(error))
            return ""


def _check_cursor(cursor: Where) -> None:
    """An id cursor has a position, others have none."""
    kind, position = cursor.get("kind"), cursor.get("position")
    if kind == "id" and position is None:
        cursor.problem("position", "required with kind id: the SELECT of the greatest id")
    if kind not in (None, "id") and position is not None:
        cursor.problem("position", f"only a cursor of kind id has a position; this one is {kind}")
