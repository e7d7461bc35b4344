"""The sidecar itself: is it up, does it read its stores in time, are the counts exact, what does it cost."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, age, increase, least, most, quantile, rate, select, threshold, total

COLLECTOR = "scheduling_exporter_collector"
WHAT = "{{collector}} of {{source}}"
BY = ("collector", "source")
PACK = ("store", "pack", "query")


def health() -> list[Any]:
    """Up, and in what state."""
    yes_no = [
        (
            "State",
            "Whether the state file is open and its latest write succeeded. While not, nothing is counted, and "
            "nothing lost.",
            "scheduling_exporter_state_up",
            ["SchedulingStateWriteFailing"],
        ),
        (
            "Reload",
            "Whether the latest reload was accepted. If not, the last good one is in force.",
            "scheduling_exporter_config_last_reload_successful",
            ["SchedulingConfigReloadFailed"],
        ),
        (
            "Exact",
            "Whether nothing stands against counting every execution exactly once.",
            "scheduling_exporter_counting_exact",
            ["SchedulingCountingInexact"],
        ),
    ]
    return [
        p.number(
            "Exporter",
            "Whether Prometheus can scrape it.",
            "none",
            Query(least(select("up")), "exporter"),
            mapping=p.UP,
            runbooks=["SchedulingExporterDown", "SchedulingExporterAbsent"],
        ),
        p.number(
            "Stores",
            "Whether each store answered when it was last asked.",
            "none",
            Query(least(select("scheduling_store_up"), "store"), "{{store}}"),
            mapping=p.UP,
            runbooks=["SchedulingStoreDown"],
        ),
        *(
            p.number(
                title, text, "none", Query(least(select(name)), title.lower()), mapping=p.YES_IS_GOOD, runbooks=runbooks
            )
            for title, text, name, runbooks in yes_no
        ),
        p.number(
            "Uptime",
            "Time since the process started.",
            "s",
            Query(least(age(select("process_start_time_seconds"))), "since"),
            decimals=1,
            runbooks=["SchedulingExporterRestarted", "SchedulingExporterRestarting"],
        ),
        p.number(
            "History",
            "Share of the wanted history that has been read into the statistics.",
            "percentunit",
            Query(least(select("scheduling_exporter_backfill_ratio")), "read"),
            steps=((None, p.WARN), (1, p.GOOD)),
            decimals=0,
        ),
        p.number(
            "Dropped",
            "Series that limits.series_per_metric left out.",
            "short",
            Query(f"{total(select('scheduling_exporter_series_dropped'))} or vector(0)", "dropped"),
            steps=((None, p.GOOD), (1, p.WARN)),
            runbooks=["SchedulingSeriesDropped"],
        ),
    ]


def reading() -> list[Any]:
    """How it reads its stores."""
    late = age(select(f"{COLLECTOR}_last_success_timestamp_seconds"))
    return [
        p.states(
            "Collectors",
            "Whether each collector's latest attempt at its source succeeded.",
            Query(least(select(f"{COLLECTOR}_success"), *BY), WHAT),
            size=(12, 9),
            mapping={"1": ("ok", p.GOOD), "0": ("failed", p.BAD)},
            runbooks=["SchedulingCollectorFailing", "SchedulingStoreUnreadable"],
        ),
        p.graph(
            "Age of what is shown",
            "Since each collector last succeeded: how old its numbers are.",
            "s",
            Query(least(late, *BY), WHAT),
            legend="right",
            size=(12, 9),
            runbooks=["SchedulingStoreStale", "SchedulingCollectorFailing"],
        ),
        p.graph(
            "Duration of collection",
            "How long each collector's latest attempt took.",
            "s",
            Query(most(select(f"{COLLECTOR}_duration_seconds"), *BY), WHAT),
            legend="right",
        ),
        p.graph(
            "Interval in force",
            "Longer than configured while the load budget asks for it.",
            "s",
            Query(most(select(f"{COLLECTOR}_interval_seconds"), *BY), WHAT),
            legend="right",
        ),
        p.graph(
            "Cursor behind",
            "Up to when finished executions have been read, and since when the oldest transaction is "
            "open that may still add some.",
            "s",
            Query(most(age(select("scheduling_exporter_cursor_timestamp_seconds")), "store"), "cursor {{store}}"),
            Query(
                most(age(select("scheduling_exporter_oldest_open_transaction_timestamp_seconds")), "store"),
                "open transaction {{store}}",
            ),
            size=(8, 8),
            runbooks=["SchedulingStoreStale"],
        ),
        p.graph(
            "Late and read again",
            "Executions within a minute that appeared behind the cursor and were counted all the "
            "same, and those that were read again and not counted twice.",
            "cpm",
            Query(f"60 * {total(rate('scheduling_exporter_late_executions_total'), 'store')}", "late {{store}}"),
            Query(
                f"60 * {total(rate('scheduling_exporter_duplicate_executions_total'), 'store')}", "read again {{store}}"
            ),
            size=(8, 8),
        ),
        p.graph(
            "Time in the store",
            "Statement time of the exporter's own queries, as a share of one backend.",
            "percentunit",
            Query(total(rate("scheduling_exporter_db_seconds_total"), "query"), "{{query}}"),
            stack=True,
            size=(8, 8),
        ),
        p.graph(
            "Packs behind",
            "Up to when the rows of each counting query of a pack have been read.",
            "s",
            Query(most(age(select("scheduling_exporter_pack_cursor_timestamp_seconds")), *PACK), "{{pack}}: {{query}}"),
        ),
        p.states(
            "Packs exact",
            "Whether nothing stands against counting each row of a pack's query exactly once; the log says what does.",
            Query(least(select("scheduling_exporter_pack_counting_exact"), *PACK), "{{pack}}: {{query}}"),
            mapping=p.YES_IS_GOOD,
            size=(12, 8),
        ),
    ]


def cost() -> list[Any]:
    """What it costs."""
    memory = (
        f"{most(select('process_resident_memory_bytes'), 'job', 'instance')} / "
        f"{most(select('scheduling_exporter_memory_limit_bytes'), 'job', 'instance')}"
    )
    return [
        p.graph(
            "Memory",
            "Memory in use, of what the exporter may use, and the threshold memory_ratio.",
            "percentunit",
            Query(memory, "{{instance}}"),
            threshold("memory_ratio"),
            top=1,
            size=(6, 8),
            runbooks=["SchedulingExporterMemoryHigh"],
        ),
        p.graph(
            "Private memory",
            "Memory that would be free without the exporter, and the threshold exporter_memory_bytes. Each target may "
            "take 128 KiB more.",
            "bytes",
            Query(most(select("scheduling_exporter_memory_private_bytes"), "instance"), "{{instance}}"),
            threshold("exporter_memory_bytes"),
            size=(6, 8),
            runbooks=["SchedulingExporterMemoryOverBudget"],
        ),
        p.graph(
            "Processor",
            "Share of one core, and the threshold exporter_cpu_ratio. Each target may take 0.05% more.",
            "percentunit",
            Query(total(rate("process_cpu_seconds_total"), "instance"), "{{instance}}"),
            threshold("exporter_cpu_ratio"),
            size=(6, 8),
            runbooks=["SchedulingExporterCpuOverBudget"],
        ),
        p.graph(
            "Event loop lag",
            "How late the event loop woke a sleeping task.",
            "s",
            Query(most(select("scheduling_exporter_event_loop_lag_seconds"), "instance"), "{{instance}}"),
            size=(6, 8),
        ),
        p.graph(
            "Event loop tasks",
            "Tasks that have not ended: those that always run, checks and requests under way. Under the same work "
            "their number stays the same.",
            "short",
            Query(most(select("scheduling_exporter_event_loop_tasks"), "instance"), "{{instance}}"),
            size=(6, 8),
            decimals=0,
        ),
        p.graph(
            "Scrapes",
            "How long Prometheus' scrapes take.",
            "s",
            Query(most(select("scrape_duration_seconds"), "instance"), "{{instance}}"),
            size=(6, 8),
        ),
        p.graph(
            "State file",
            "Size of the state file and its log.",
            "bytes",
            Query(most(select("scheduling_exporter_state_bytes"), "instance"), "{{instance}}"),
            size=(6, 8),
        ),
        p.graph(
            "State writes",
            "Transactions that write the state file in a second, by result.",
            "wps",
            Query(total(rate("scheduling_exporter_state_writes_total"), "result"), "{{result}}"),
            size=(6, 8),
            colours={"success": p.GOOD, "failure": p.BAD},
            runbooks=["SchedulingStateWriteFailing"],
        ),
        p.graph(
            "Queries by name, 95th percentile",
            "One of twenty of the exporter's own queries takes longer.",
            "s",
            Query(quantile(0.95, "scheduling_db_query_duration_seconds", "query"), "{{query}}"),
            legend="right",
        ),
        p.graph(
            "Checks begin late",
            "95th percentile of how long after its time a connection's check began: they wait for "
            "connections.max_concurrent_checks.",
            "s",
            Query(quantile(0.95, "scheduling_connection_check_lateness_seconds"), "p95"),
        ),
        p.graph(
            "Remediations",
            "What the exporter did by itself within an hour because an alert fired, by rule and result.",
            "short",
            Query(
                total(increase("scheduling_exporter_remediations_total", over="1h"), "rule", "result"),
                "{{rule}}: {{result}}",
            ),
            size=(24, 6),
            decimals=0,
        ),
        p.listing(
            "Builds",
            "Which version runs where.",
            [
                p.Column("instance", "Instance"),
                p.Column("version", "Version"),
                p.Column("revision", "Revision"),
                p.Column("python", "Python"),
            ],
            Query(most(select("scheduling_exporter_build_info"), "instance", "version", "revision", "python")).table(
                "A"
            ),
            sort="Instance",
            descending=False,
            hidden=("Value", "Value #A"),
            size=(12, 6),
        ),
        p.listing(
            "Dropped series",
            "Metrics with more series than limits.series_per_metric allows.",
            [p.Column("metric", "Metric"), p.Column("store", "Store"), p.Column("Value", "Series", unit="short")],
            Query(most(select("scheduling_exporter_series_dropped"), "metric", "store")).table("A"),
            sort="Series",
            size=(12, 6),
            empty="none",
            runbooks=["SchedulingSeriesDropped"],
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="exporter",
        title="Scheduler exporter",
        description="The sidecar itself: whether it reads its stores in time and counts exactly, and what it costs.",
        rows=[("Health", health()), ("Reading the stores", reading()), ("Cost", cost())],
    )
