"""Panels in the house style: a title, a description, a unit and, where an alert watches it, a link to its runbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.src.queries import THRESHOLD, Query

DATASOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
GOOD, WARN, BAD, CALM, QUIET = "green", "orange", "red", "blue", "#8e8e8e"
OUTCOMES: Final = {"success": GOOD, "failed": BAD, "timeout": WARN, "cancelled": QUIET}
Steps = Sequence[tuple[float | None, str]]
UP: Final = {"1": ("up", GOOD), "0": ("DOWN", BAD)}
YES_IS_GOOD: Final = {"1": ("yes", GOOD), "0": ("NO", BAD)}
NONE_IS_GOOD: Final[Steps] = ((None, GOOD), (1, BAD))
PLAIN: Final[Steps] = ((None, CALM),)


def properties(**values: Any) -> list[model.DynamicConfigValue]:
    """Override properties; ``custom_x`` stands for ``custom.x``."""
    return [model.DynamicConfigValue(id_val=k.replace("custom_", "custom.", 1), value=v) for k, v in values.items()]


def target(query: Query, ref: str) -> prometheus.Dataquery:
    """The query as Grafana keeps it."""
    made = prometheus.Dataquery().datasource(DATASOURCE).expr(query.expr).ref_id(query.ref or ref)
    made = made.legend_format(query.legend) if query.shape != "table" else made
    made = made.range() if query.shape in ("lines", "heatmap") else made.instant()
    if query.shape in ("table", "heatmap"):
        made = made.format(PromQueryFormat.TABLE if query.shape == "table" else PromQueryFormat.HEATMAP)
    return made.exemplar(query.exemplars)


def colour(fixed: str) -> dict[str, str]:
    """One colour whatever the value."""
    return {"mode": "fixed", "fixedColor": fixed}


def steps_of(steps: Steps) -> dashboard.ThresholdsConfig:
    """Colours from values on."""
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=shade) for value, shade in steps])
    )


def words(mapping: Mapping[str, tuple[str, str]]) -> list[Any]:
    """Values shown as a word in a colour."""
    return [
        model.ValueMap(
            options={
                value: model.ValueMappingResult(text=text, color=shade, index=index)
                for index, (value, (text, shade)) in enumerate(mapping.items())
            }
        )
    ]


def link(title: str, url: str) -> dashboard.DashboardLink:
    """A link of a panel or a value."""
    return dashboard.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url).target_blank(True)


def job_links() -> tuple[dict[str, Any], ...]:
    """From a row with a job to its page (the timeline of its attempts) and to its log, as the exporter serves them."""
    job, store = "${__data.fields.job_id:percentencode}", "?store=${__data.fields.store:percentencode}"
    return (
        {"title": "The job's page", "url": f"${{exporter}}/jobs/{job}{store}", "targetBlank": True},
        {"title": "Log of its executions", "url": f"${{exporter}}/api/jobs/{job}/logs{store}", "targetBlank": True},
    )


def dressed(panel: Any, title: str, description: str, queries: Sequence[Query], size: tuple[int, int]) -> Any:
    """What every panel has. ``size``: columns of 24, rows."""
    panel = panel.title(title).description(description).datasource(DATASOURCE).span(size[0]).height(size[1])
    for index, query in enumerate(queries):
        panel = panel.with_target(target(query, chr(ord("A") + index)))
    return panel


def with_runbooks(panel: Any, alerts: Sequence[str]) -> Any:
    """Links to the runbooks of alerts that watch what the panel shows."""
    return panel.links([link(f"Runbook: {alert}", f"${{runbooks}}/{alert}.md") for alert in alerts])


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    size: tuple[int, int] = (12, 8),
    stack: bool = False,
    bars: bool = False,
    top: float | None = None,
    every: str = "",
    colours: Mapping[str, str] | None = None,
    legend: str = "bottom",
    decimals: int | None = None,
    logarithmic: bool = False,
    runbooks: Sequence[str] = (),
) -> Any:
    """Lines over time; stacked areas or bars where parts add up to a whole. The axis begins at 0, or is logarithmic."""
    panel = dressed(timeseries.Panel(), title, description, queries, size).unit(unit)
    if logarithmic:
        scale = common.ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG).log(10)
        panel = panel.scale_distribution(scale)
    else:
        panel = panel.min(0)
    shown = common.VizLegendOptions().show_legend(True)
    if legend == "right":
        shown = shown.display_mode(shapes.LegendDisplayMode.TABLE).placement(shapes.LegendPlacement.RIGHT)
        shown = shown.calcs(["lastNotNull", "max"]).sort_by("Last *").sort_desc(True)
    else:
        shown = shown.display_mode(shapes.LegendDisplayMode.LIST).placement(shapes.LegendPlacement.BOTTOM).calcs([])
    panel = (
        panel.legend(shown)
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
        .line_width(1 if stack else 2)
        .fill_opacity(80 if bars else 30 if stack else 0)
        .show_points(shapes.VisibilityMode.NEVER)
        .draw_style(shapes.GraphDrawStyle.BARS if bars else shapes.GraphDrawStyle.LINE)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    )
    if stack:
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    if top is not None:
        panel = panel.max(top)
    if every:
        panel = panel.interval(every)
    if decimals is not None:
        panel = panel.decimals(decimals)
    if decimals == 0:
        panel = panel.axis_soft_max(1)  # an axis for nothing would go to 100
    for name, shade in (colours or {}).items():
        panel = panel.override_by_name(name, properties(color=colour(shade)))
    if any(query.ref == THRESHOLD for query in queries):
        line = properties(
            color=colour(BAD),
            custom_lineStyle={"fill": "dash", "dash": [8, 6]},
            custom_lineWidth=1,
            custom_fillOpacity=0,
            custom_stacking={"mode": "none", "group": "T"},
        )
        panel = panel.override_by_query(THRESHOLD, line)
    return with_runbooks(panel, runbooks)


def hours(title: str, description: str, *queries: Query, **options: Any) -> Any:
    """A graph with a bar for each hour; ``options`` are those of ``graph``."""
    return graph(title, description, "locale", *queries, bars=True, every="1h", decimals=0, **options)


def number(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps = PLAIN,
    mapping: Mapping[str, tuple[str, str]] | None = None,
    size: tuple[int, int] = (3, 4),
    decimals: int | None = None,
    empty: str | None = None,
    runbooks: Sequence[str] = (),
) -> Any:
    """A number in large letters, of now; ``empty`` stands where the series is absent because all is well."""
    panel = (
        dressed(stat.Panel(), title, description, [query.instant() for query in queries], size)
        .unit(unit)
        .thresholds(steps_of(steps))
    )
    panel = (
        panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .graph_mode(shapes.BigValueGraphMode.NONE)
        .color_mode(shapes.BigValueColorMode.BACKGROUND if mapping else shapes.BigValueColorMode.VALUE)
        .text_mode(shapes.BigValueTextMode.AUTO)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    if mapping:
        panel = panel.mappings(words(mapping)).thresholds(steps_of(((None, QUIET),)))
    if decimals is not None:
        panel = panel.decimals(decimals)
    if empty is not None:
        panel = panel.no_value(empty)
    return with_runbooks(panel, runbooks)


def bars(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps = PLAIN,
    colours: Mapping[str, str] | None = None,
    size: tuple[int, int] = (6, 8),
    top: float | None = None,
    runbooks: Sequence[str] = (),
) -> Any:
    """The latest value of each series as a bar."""
    panel = dressed(bargauge.Panel(), title, description, queries, size).unit(unit).min(0)
    panel = (
        panel.thresholds(steps_of(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .orientation(shapes.VizOrientation.HORIZONTAL)
        .display_mode(shapes.BarGaugeDisplayMode.BASIC)
        .text(common.VizTextDisplayOptions().title_size(13).value_size(18))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    if top is not None:
        panel = panel.max(top)
    for name, shade in (colours or {}).items():
        panel = panel.override_by_name(name, properties(color=colour(shade)))
    return with_runbooks(panel, runbooks)


def spread(
    title: str, description: str, unit: str, query: Query, *, size: tuple[int, int] = (12, 8), scheme: str = "Blues"
) -> Any:
    """A heatmap of a histogram's buckets."""
    return (
        dressed(heatmap.Panel(), title, description, [query], size)
        .calculate(False)
        .cell_gap(1)
        .unit(unit)
        .color(heat_colours(scheme))
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(shapes.AxisPlacement.LEFT))
        .show_legend()
        .mode(shapes.TooltipDisplayMode.SINGLE)
    )


def heat_colours(scheme: str) -> heatmap.HeatmapColorOptions:
    """Few observations dim, many bright."""
    return (
        heatmap.HeatmapColorOptions()
        .mode(heat.HeatmapColorMode.SCHEME)
        .scheme(scheme)
        .steps(64)
        .reverse(False)
        .exponent(0.5)
        .fill("dark-blue")
    )


def states(
    title: str,
    description: str,
    *queries: Query,
    mapping: Mapping[str, tuple[str, str]] = UP,
    size: tuple[int, int] = (24, 6),
    runbooks: Sequence[str] = (),
) -> Any:
    """When each series was in which state."""
    panel = dressed(statetimeline.Panel(), title, description, queries, size).unit("none").mappings(words(mapping))
    panel = (
        panel.merge_values(True)
        .show_value(shapes.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(75)
        .line_width(0)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(shapes.LegendDisplayMode.LIST)
            .placement(shapes.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(steps_of(((None, QUIET),)))
    )
    return with_runbooks(panel, runbooks)


@dataclass(frozen=True)
class Column:
    """A column: the field of the answer (a label, or ``Value #REF``), its heading, and how it is shown."""

    field: str
    title: str
    unit: str = ""
    width: int = 0
    decimals: int | None = None
    steps: Steps = ()
    mapping: Mapping[str, tuple[str, str]] | None = None
    links: tuple[Mapping[str, Any], ...] = ()


def listing(
    title: str,
    description: str,
    columns: Sequence[Column],
    *queries: Query,
    sort: str,
    descending: bool = True,
    hidden: Sequence[str] = (),
    size: tuple[int, int] = (24, 8),
    empty: str | None = None,
    runbooks: Sequence[str] = (),
) -> Any:
    """A table: a row for each label set, a column for each query. ``hidden`` are labels to leave out."""
    panel = dressed(table.Panel(), title, description, queries, size)
    if len(queries) > 1:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    order = {column.field: index for index, column in enumerate(columns)}
    layout = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": order,
        "renameByName": {column.field: column.title for column in columns},
    }
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=layout))
    panel = (
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
        .filterable(True)
        .unit("none")
    )
    for column in columns:
        panel = panel.override_by_name(column.title, column_properties(column))
    if empty is not None:
        panel = panel.no_value(empty)
    return with_runbooks(panel, runbooks)


def column_properties(column: Column) -> list[model.DynamicConfigValue]:
    """How a table's column differs from the others."""
    values: dict[str, Any] = {}
    if column.unit:
        values["unit"] = column.unit
    if column.decimals is not None:
        values["decimals"] = column.decimals
    if column.width:
        values["custom_width"] = column.width
    if column.steps:
        values["thresholds"] = {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in column.steps]}
        values["custom_cellOptions"] = {"type": "color-text"}
    if column.mapping:
        values["mappings"] = words(column.mapping)
        values["custom_cellOptions"] = {"type": "color-text"}
    if column.links:
        values["links"] = [dict(found) for found in column.links]
    return properties(**values)
