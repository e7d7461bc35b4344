"""Samples as bytes: the Prometheus text format 0.0.4 and OpenMetrics 1.0.

Both formats print the same sample lines, apart from exemplars, so a family's lines are made once for both;
only the HELP and TYPE lines differ. Lines, order and numbers are those of the client library's own writers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2s
from itertools import accumulate
from math import isfinite, isnan
from typing import Final, NamedTuple, cast

from exporter.domain import Exemplar, Histogram
from exporter.metrics.family import Family, Sample

EOF: Final = b"# EOF\n"

_INF: Final = float("inf")
#: From here on Go writes an exponent where Python does not.
_EXPONENT_FROM: Final = 1e6
#: Prefixes and values that are encoded at once: some 25 kB.
_BLOCK: Final = 512
#: Characters of a label value. What a scheduler's tables hold may be longer, and neither Prometheus' scrape limits
#: (which refuse the whole page) nor Mimir's 2,048 bytes (which lose the series) would have it.
_LONGEST: Final = 256
_DIGEST: Final = 16
#: The specification's limit for an exemplar's label names and values together, in characters.
_EXEMPLAR_LIMIT: Final = 128


def go_float(value: float) -> str:
    """``value`` as Go's %g and the client library's ``floatToGoString`` write it."""
    text = repr(value)
    if value in (_INF, -_INF):
        return "+Inf" if value > 0 else "-Inf"
    if isnan(value):
        return "NaN"
    point = text.find(".")
    if value < _EXPONENT_FROM or point <= 1:  # from 1e16 on Python writes an exponent too
        return text
    return f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.") + f"e+{point - 1:02d}"


def escape(value: str) -> str:
    """A label value, or a HELP text of OpenMetrics, between double quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def bounded(value: str) -> str:
    """A label value, or its beginning and a digest of the whole: two that begin alike remain two."""
    if len(value) <= _LONGEST:
        return value
    digest = blake2s(value.encode("utf-8", "replace"), digest_size=_DIGEST // 2).hexdigest()
    return f"{value[: _LONGEST - _DIGEST - 1]}…{digest}"


def openmetrics_name(family: Family) -> str:
    """The family's name in OpenMetrics, where a counter's has no ``_total``."""
    return family.name.removesuffix("_total") if family.kind == "counter" else family.name


@lru_cache(maxsize=2048)
def header(family: Family, *, openmetrics: bool) -> bytes:
    """The HELP and TYPE lines."""
    kind: str = family.kind
    if openmetrics:
        name, text = openmetrics_name(family), escape(family.help)
        if kind == "untyped" or (kind == "counter" and name == family.name):
            kind = "unknown"  # a counter's samples end in _total there; like Go's library: better no type than no name
    else:
        name, text = family.name, family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode("utf-8", "replace")


class _Plan(NamedTuple):
    """How a family's labels are laid out: positions sorted by name, those before and after ``le`` apart."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    bounds: tuple[str, ...]


@lru_cache(maxsize=2048)
def _plan(family: Family) -> _Plan:
    order = sorted(range(len(family.labels)), key=family.labels.__getitem__)
    if family.kind != "histogram":
        return _Plan(tuple(order), (), ())
    return _Plan(
        tuple(i for i in order if family.labels[i] < "le"),
        tuple(i for i in order if family.labels[i] > "le"),
        (*map(go_float, map(float, family.buckets)), "+Inf"),
    )


def prefixes(family: Family, series: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """What stands before each value, line by line: the end of the line before it, the name and the labels.

    A histogram's series has a line for each bucket, then ``_count`` and ``_sum``. ValueError for a series
    whose label values do not match the family's labels in number.
    """
    plan = _plan(family)
    lines: list[str] = []
    for values in series:
        pairs = [f'{k}="{escape(bounded(v))}"' for k, v in zip(family.labels, values, strict=True)]
        before = [pairs[i] for i in plan.before]
        if family.kind != "histogram":
            lines.append(f"\n{family.name}{_braced(before)} ")
            continue
        after = [pairs[i] for i in plan.after]
        for bound in plan.bounds:
            pairs = [*before, f'le="{bound}"', *after]
            lines.append(f"\n{family.name}_bucket{_braced(pairs)} ")
        labels = _braced(before + after)
        lines += (f"\n{family.name}_count{labels} ", f"\n{family.name}_sum{labels} ")
    lines[:1] = [line.removeprefix("\n") for line in lines[:1]]
    return tuple(lines)


def _braced(pairs: Sequence[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def texts(family: Family, samples: Iterable[Sample]) -> list[str]:
    """The value of each line, in the order of ``prefixes``."""
    numbers: list[float] = []
    if family.kind == "histogram":
        for _, value in samples:
            histogram = cast(Histogram, value)
            cumulative = [*accumulate(map(float, histogram.counts))]
            numbers += cumulative
            numbers += (cumulative[-1], float(histogram.sum))
    else:
        numbers = [float(cast(float, value)) for _, value in samples]
    return _go_floats(numbers)


def _go_floats(numbers: list[float]) -> list[str]:
    """``go_float`` of each. Most of a page's cost: a family's numbers are mostly of one kind, so ask once."""
    if len(numbers) > 8 and isfinite(sum(numbers)):  # which no list with a NaN or an infinity passes
        most = max(numbers)
        if most < _EXPONENT_FROM:
            return [*map(repr, numbers)]
        if most < 1e10 and min(numbers) >= 1e9:
            return [f"{t[0]}.{t[1:10]}{t[11:]}".rstrip("0.") + "e+09" for t in map(repr, numbers)]
    return [repr(n) if -_INF < n < _EXPONENT_FROM else go_float(n) for n in numbers]


def annotate(samples: Iterable[Sample], lines: list[str]) -> None:
    """Append a histogram's exemplars to its buckets' values in ``lines``, as OpenMetrics writes them."""
    start = 0
    for _, value in samples:
        histogram = cast(Histogram, value)
        for i, exemplar in enumerate(histogram.exemplars):
            if exemplar is not None:
                lines[start + i] += _exemplar(exemplar)
        start += len(histogram.counts) + 2


def _exemplar(exemplar: Exemplar) -> str:
    if len("execution_id") + len(exemplar.execution_id) > _EXEMPLAR_LIMIT:
        return ""
    labels = f'{{execution_id="{escape(exemplar.execution_id)}"}}'
    return f" # {labels} {go_float(float(exemplar.value))} {exemplar.timestamp}"


def body(before: tuple[str, ...], values: list[str]) -> bytes:
    """The sample lines. ValueError when prefixes and values do not match in number.

    A lone surrogate, which UTF-8 cannot say, becomes a question mark: one odd label must not cost the whole
    page.
    """
    parts = [""] * (2 * len(before))
    parts[::2] = before
    parts[1::2] = values
    parts.append("\n")
    if len(parts) <= _BLOCK:
        return "".join(parts).encode("utf-8", "replace")
    # By blocks: text of the whole would be memory fetched from the system and given back at every scrape.
    blocks = ["".join(parts[i : i + _BLOCK]).encode("utf-8", "replace") for i in range(0, len(parts), _BLOCK)]
    return b"".join(blocks)


def select(family: Family, lines: bytes, names: frozenset[str]) -> bytes:
    """Those of ``lines`` whose sample name is in ``names``; all of them when the family itself is."""
    if family.name in names or openmetrics_name(family) in names:
        return lines
    if family.kind != "histogram":
        return b""
    wanted = [f"{family.name}{s}" for s in ("_bucket", "_count", "_sum") if f"{family.name}{s}" in names]
    starts = tuple(f"{name}{sep}".encode() for name in wanted for sep in "{ ")
    # Not splitlines: a carriage return is no end of a line here.
    return b"".join(line + b"\n" for line in lines.split(b"\n") if line.startswith(starts))
