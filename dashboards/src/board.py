"""The frame of every dashboard: uid, variables, links to the others, annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from dashboards.src.panels import DATASOURCE, link
from dashboards.src.queries import firing, select

TAG: Final = "scheduler-exporter"
EXPORTER_URL: Final = "http://127.0.0.1:9795"
RUNBOOKS_URL: Final = "https://runbooks.example.com"


@dataclass(frozen=True)
class Addresses:
    """Where links lead; the text boxes of each dashboard begin with them."""

    exporter: str = EXPORTER_URL
    runbooks: str = RUNBOOKS_URL


@dataclass(frozen=True)
class Frame:
    """What tells one dashboard from another, beside its rows."""

    name: str
    title: str
    description: str
    rows: Sequence[tuple[str, Sequence[Any]]]
    source: str = "scheduling_exporter_build_info"
    since: str = "now-6h"
    store: bool = True
    task_type: bool = False
    connection: bool = False
    runbooks: bool = True


def variable(
    name: str, label: str, description: str, query: str, *, every: str, shown: bool = True
) -> dashboard.QueryVariable:
    """A variable with the values of a label. ``every`` is the regular expression that "All" stands for."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(every)
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .hide(model.VariableHide.DONT_HIDE if shown else model.VariableHide.HIDE_VARIABLE)
    )


def text_box(name: str, label: str, description: str, value: str, *, shown: bool = True) -> dashboard.TextBoxVariable:
    """A variable that people type, for addresses."""
    return (
        dashboard.TextBoxVariable(name)
        .label(label)
        .description(description)
        .default_value(value)
        .current(model.VariableOption(text=value, value=value))
        .hide(model.VariableHide.DONT_HIDE if shown else model.VariableHide.HIDE_VARIABLE)
    )


def variables(frame: Frame, addresses: Addresses) -> list[Any]:
    """All dashboards have the same, so that a choice follows a link; what one has no use for is hidden there.

    "All" of job and instance leaves out what has none. That of the others takes it in: a scheduler without task types,
    a threshold for all of them.
    """
    source = frame.source
    stores = select("scheduling_store_up", 'store!=""')
    task_types = select("scheduling_executions_total", 'task_type!=""')
    made = [
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(model.VariableOption(selected=True, text="default", value="default")),
        variable("job", "Job", "The scrape job", f"label_values({source}, job)", every=".+"),
        variable("instance", "Instance", "The target", f'label_values({source}{{job=~"$job"}}, instance)', every=".+"),
        variable(
            "store",
            "Store",
            "The scheduler's store",
            f"label_values({stores}, store)",
            every=".*",
            shown=frame.store,
        ),
        variable(
            "task_type",
            "Task type",
            "The kind of job",
            f"label_values({task_types}, task_type)",
            every=".*",
            shown=frame.task_type,
        ),
    ]
    if frame.connection:
        targets = select("scheduling_connection_up", 'connection!=""')
        servers = f"label_values({targets}, connection)"
        made.append(variable("connection", "Connection", "A checked PostgreSQL server", servers, every=".*"))
    made.append(text_box("exporter", "Exporter", "Address of the exporter, for links to logs", addresses.exporter))
    text = "Address of the folder rules/runbooks, for links"
    made.append(text_box("runbooks", "Runbooks", text, addresses.runbooks, shown=frame.runbooks))
    return made


def annotations() -> list[Any]:
    """Restarts of the exporter, and alerts that fire, as marks over every graph."""
    restarts = f"changes({select('process_start_time_seconds')}[$__rate_interval]) > 0"
    by_severity = [
        dashboard.AnnotationQuery()
        .name(title)
        .datasource(DATASOURCE)
        .enable(shown)
        .hide(False)
        .icon_color(shade)
        .expr(firing(f'severity="{severity}"'))
        for title, severity, shade, shown in (
            ("Critical alerts", "critical", "red", True),
            ("Warnings", "warning", "orange", False),
        )
    ]
    restarted = dashboard.AnnotationQuery().name("Restarts").datasource(DATASOURCE).enable(True).hide(False)
    return [restarted.icon_color("blue").expr(restarts), *by_severity]


def links() -> list[Any]:
    """The other dashboards, with what is chosen and the time; and the exporter's own page."""
    others = (
        dashboard.DashboardLink("Scheduler dashboards")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )
    return [others, link("Status page", "${exporter}/")]


def assemble(frame: Frame, addresses: Addresses) -> model.Dashboard:
    """The dashboard; panels flow from left to right, rows stay open."""
    made = (
        dashboard.Dashboard(frame.title)
        .uid(f"scheduling-{frame.name}")
        .description(frame.description)
        .tags([TAG])
        .readonly()
        .time(frame.since, "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .links(links())
        .annotations(annotations())
        .variables(variables(frame, addresses))
    )
    for title, panels in frame.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return finished(made.build())


def finished(built: model.Dashboard) -> model.Dashboard:
    """Numbers for panels, to which links to one of them go; and nothing that newer versions of Grafana do not know."""
    for number, panel in enumerate(built.panels or (), start=1):
        panel.id_val = number
        if panel.type_val == "table":
            panel.options.footer = None
    for made in built.templating.list_val or ():
        made.auto = made.auto_min = made.auto_count = None
    return built
