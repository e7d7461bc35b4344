"""docs/metrics.md is what the code says, the code has what is promised, and the queries shown work."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import yaml

from exporter.metrics.family import Family

if TYPE_CHECKING:
    from docs.conftest import Documents

ROOT = Path(__file__).parents[2]

#: name -> (type, labels): the public interface. Add to it; a name, a type or a label that is there stays.
STORE_METRICS = {
    "scheduling_jobs": ("gauge", "store status type"),
    "scheduling_queue_jobs": ("gauge", "store queue state"),
    "scheduling_queue_oldest_ready_timestamp_seconds": ("gauge", "store queue"),
    "scheduling_executions_total": ("counter", "store task_type status"),
    "scheduling_execution_retries_total": ("counter", "store task_type"),
    "scheduling_execution_duration_seconds": ("histogram", "store task_type"),
    "scheduling_execution_wait_seconds": ("histogram", "store task_type"),
    "scheduling_executions_running": ("gauge", "store task_type"),
    "scheduling_execution_oldest_running_timestamp_seconds": ("gauge", "store task_type"),
    "scheduling_executions_stuck": ("gauge", "store task_type"),
    "scheduling_executions_orphaned": ("gauge", "store task_type"),
    "scheduling_job_consecutive_failures": ("gauge", "store job_id job_name task_type critical"),
    "scheduling_job_last_success_timestamp_seconds": ("gauge", "store job_id job_name task_type"),
    "scheduling_job_next_run_timestamp_seconds": ("gauge", "store job_id job_name task_type"),
    "scheduling_job_overdue_seconds": ("gauge", "store job_id job_name task_type"),
    "scheduling_jobs_overdue": ("gauge", "store"),
    "scheduling_last_execution_timestamp_seconds": ("gauge", "store"),
    "scheduling_workers": ("gauge", "store state"),
    "scheduling_worker_running": ("gauge", "store worker"),
    "scheduling_worker_last_seen_timestamp_seconds": ("gauge", "store worker"),
    "scheduling_worker_executions_total": ("counter", "store worker status"),
    "scheduling_operations": ("gauge", "store stage"),
}
CONNECTION_METRICS = {
    "scheduling_connection_up": ("gauge", "connection"),
    "scheduling_connection_info": ("gauge", "connection host port database server_version role"),
    "scheduling_connection_response_seconds": ("gauge", "connection"),
    "scheduling_connection_check_stage_seconds": ("gauge", "connection stage"),
    "scheduling_connection_check_duration_seconds": ("histogram", ""),
    "scheduling_connection_check_lateness_seconds": ("histogram", ""),
    "scheduling_connection_checks_total": ("counter", "connection"),
    "scheduling_connection_check_failures_total": ("counter", "connection result"),
    "scheduling_connection_failing": ("gauge", "connection result"),
    "scheduling_connection_last_check_timestamp_seconds": ("gauge", "connection"),
    "scheduling_connection_last_success_timestamp_seconds": ("gauge", "connection"),
    "scheduling_connection_last_login_timestamp_seconds": ("gauge", "connection"),
    "scheduling_connection_tls_expiry_timestamp_seconds": ("gauge", "connection"),
    "scheduling_db_connections": ("gauge", "connection state"),
    "scheduling_db_connections_active": ("gauge", "connection"),
    "scheduling_db_connections_limit": ("gauge", "connection"),
    "scheduling_db_oldest_transaction_timestamp_seconds": ("gauge", "connection"),
    "scheduling_db_size_bytes": ("gauge", "connection"),
    "scheduling_db_replication_lag_seconds": ("gauge", "connection"),
    "scheduling_db_transaction_id_age": ("gauge", "connection"),
    "scheduling_db_deadlocks_total": ("counter", "connection"),
    "scheduling_db_query_duration_seconds": ("histogram", "query"),
}
VAULT_METRICS = {
    "scheduling_vault_up": ("gauge", ""),
    "scheduling_vault_token_expiry_timestamp_seconds": ("gauge", ""),
    "scheduling_vault_requests_total": ("counter", "operation result"),
    "scheduling_vault_lease_expiry_timestamp_seconds": ("gauge", "connection"),
}
DEPENDENCY_METRICS = {
    "scheduling_dependency_up": ("gauge", "name kind"),
    "scheduling_dependency_response_seconds": ("gauge", "name kind"),
    "scheduling_dependency_last_success_timestamp_seconds": ("gauge", "name kind"),
    "scheduling_redis_operations_total": ("counter", "name"),
    "scheduling_redis_keyspace_hits_total": ("counter", "name"),
    "scheduling_redis_keyspace_misses_total": ("counter", "name"),
    "scheduling_kafka_messages_produced_total": ("counter", "name topic"),
    "scheduling_kafka_messages_consumed_total": ("counter", "name group topic"),
}
API_METRICS = {
    "scheduling_api_requests_total": ("counter", "method endpoint status"),
    "scheduling_api_request_duration_seconds": ("histogram", "method endpoint"),
    "scheduling_api_request_size_bytes": ("histogram", "method endpoint"),
    "scheduling_api_response_size_bytes": ("histogram", "method endpoint"),
}
SIDECAR_METRICS = {
    "scheduling_store_up": ("gauge", "store"),
    "scheduling_exporter_build_info": ("gauge", "version revision python"),
    "scheduling_exporter_collector_success": ("gauge", "collector source"),
    "scheduling_exporter_collector_duration_seconds": ("gauge", "collector source"),
    "scheduling_exporter_collector_last_success_timestamp_seconds": ("gauge", "collector source"),
    "scheduling_exporter_collector_interval_seconds": ("gauge", "collector source"),
    "scheduling_exporter_db_seconds_total": ("counter", "store query"),
    "scheduling_exporter_remediations_total": ("counter", "rule result"),
    "scheduling_exporter_memory_limit_bytes": ("gauge", ""),
    "scheduling_exporter_late_executions_total": ("counter", "store"),
    "scheduling_exporter_duplicate_executions_total": ("counter", "store"),
    "scheduling_exporter_counting_exact": ("gauge", "store"),
    "scheduling_exporter_backfill_ratio": ("gauge", "store"),
    "scheduling_exporter_pack_cursor_timestamp_seconds": ("gauge", "store pack query"),
    "scheduling_exporter_pack_counting_exact": ("gauge", "store pack query"),
    "scheduling_exporter_oldest_open_transaction_timestamp_seconds": ("gauge", "store"),
    "scheduling_exporter_cursor_timestamp_seconds": ("gauge", "store"),
    "scheduling_exporter_state_up": ("gauge", ""),
    "scheduling_exporter_state_bytes": ("gauge", ""),
    "scheduling_exporter_series_dropped": ("gauge", "store metric"),
    "scheduling_exporter_config_last_reload_successful": ("gauge", ""),
    "scheduling_exporter_config_last_reload_success_timestamp_seconds": ("gauge", ""),
    "scheduling_exporter_event_loop_lag_seconds": ("gauge", ""),
    "scheduling_exporter_event_loop_tasks": ("gauge", ""),
    "scheduling_exporter_memory_private_bytes": ("gauge", ""),
    "scheduling_exporter_state_writes_total": ("counter", "result"),
    "scheduling_alert_threshold": ("gauge", "name store task_type"),
    "scheduling_slo_objective_ratio": ("gauge", "store task_type"),
    "scheduling_system_memory_usage_ratio": ("gauge", ""),
    "scheduling_system_cpu_cores": ("gauge", ""),
    "scheduling_system_load1": ("gauge", ""),
    "scheduling_system_load5": ("gauge", ""),
    "scheduling_system_load15": ("gauge", ""),
}
#: The names of the scheduling worker's specification, and what stands beside them.
PACK_METRICS = {
    "scheduling_api_requests_total": ("counter", "store method endpoint status"),
    "scheduling_api_request_duration_seconds": ("histogram", "store method endpoint"),
    "scheduling_api_request_size_bytes": ("histogram", "store method endpoint"),
    "scheduling_api_response_size_bytes": ("histogram", "store method endpoint"),
    "scheduling_calendar_sync_total": ("counter", "store status"),
    "scheduling_calendar_sync_duration_seconds": ("histogram", "store"),
    "scheduling_calendar_events_processed_total": ("counter", "store"),
    "scheduling_calendar_api_calls_total": ("counter", "store operation"),
    "scheduling_calendar_api_errors_total": ("counter", "store operation"),
    "scheduling_calendar_api_quota_used": ("gauge", "store quota"),
    "scheduling_calendar_api_quota_limit": ("gauge", "store quota"),
    "scheduling_goals_created_total": ("counter", "store category"),
    "scheduling_goals_completed_total": ("counter", "store category"),
    "scheduling_habits_created_total": ("counter", "store frequency"),
    "scheduling_habits_completed_total": ("counter", "store frequency"),
    "scheduling_habit_streaks_current": ("gauge", "store days"),
    "scheduling_habit_reminders_sent_total": ("counter", "store channel status"),
    "scheduling_emails_sent_total": ("counter", "store template status"),
    "scheduling_user_actions_total": ("counter", "store action"),
    "scheduling_users_active": ("gauge", "store"),
    "scheduling_ml_recommendations_total": ("counter", "store model_version"),
    "scheduling_ml_recommendation_confidence": ("histogram", "store model_version"),
    "scheduling_ml_model_inference_duration_seconds": ("histogram", "store model_version"),
    "scheduling_ml_training_duration_seconds": ("histogram", "store model"),
    "scheduling_db_connections_active": ("gauge", "store"),
    "scheduling_db_query_duration_seconds": ("histogram", "store query"),
    "scheduling_redis_operations_total": ("counter", "store operation"),
    "scheduling_kafka_messages_produced_total": ("counter", "store topic"),
    "scheduling_kafka_messages_consumed_total": ("counter", "store topic"),
}
TOLD_METRICS = {
    "scheduling_store_healthy": ("gauge", "store component"),
    "scheduling_store_start_timestamp_seconds": ("gauge", "store"),
    "scheduling_store_requests_total": ("counter", "store endpoint result"),
    "scheduling_period_executions": ("gauge", "store period task_type"),
    "scheduling_period_failures": ("gauge", "store period task_type"),
    "scheduling_period_retries": ("gauge", "store period task_type"),
    "scheduling_period_duration_mean_seconds": ("gauge", "store period task_type"),
    "scheduling_period_duration_max_seconds": ("gauge", "store period task_type"),
}
PROMISED = (
    TOLD_METRICS
    | STORE_METRICS
    | CONNECTION_METRICS
    | VAULT_METRICS
    | DEPENDENCY_METRICS
    | API_METRICS
    | SIDECAR_METRICS
)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """tools/metrics_doc.py."""
    spec = importlib.util.spec_from_file_location("metrics_doc", ROOT / "tools" / "metrics_doc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def families(generator: ModuleType) -> dict[str, Family]:
    """Every family of the code by name."""
    found = [family for _, section in generator.sections() for family in section]
    by_name = {family.name: family for family in found}
    assert len(by_name) == len(found), "a family is declared twice"
    return by_name


@pytest.fixture(scope="module")
def of_packs(generator: ModuleType) -> dict[str, Family]:
    """Every family of the shipped packs by name."""
    return {family.name: family for _, found in generator.packs() for family in found}


def test_the_shipped_packs_give_what_is_promised(of_packs: dict[str, Family]) -> None:
    given = {name: (family.kind, frozenset(family.labels)) for name, family in of_packs.items()}
    assert given == {name: (kind, frozenset(labels.split())) for name, (kind, labels) in PACK_METRICS.items()}


def test_the_file_is_current(generator: ModuleType, documents: Documents) -> None:
    current = documents.texts["docs/metrics.md"] == generator.document()
    assert current, "python tools/metrics_doc.py writes it anew"


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_metric_exists(families: dict[str, Family], name: str) -> None:
    kind, labels = PROMISED[name]
    assert name in families
    assert families[name].kind == kind
    assert sorted(families[name].labels) == sorted(labels.split())


def test_every_metric_is_promised(families: dict[str, Family]) -> None:
    """A new one is public from its first release on: write it down here."""
    new = families.keys() - PROMISED.keys()
    assert not new, f"public from now on: write {sorted(new)} into PROMISED"


def test_sections_have_headings(generator: ModuleType) -> None:
    for heading, _ in generator.sections():
        assert heading in generator.HEADINGS.values(), f"give {heading} a heading in tools/metrics_doc.py"


def names_in(query: str) -> set[str]:
    """The metrics that a query reads, a histogram's samples as the histogram."""
    found = re.findall(r"\b(?:scheduling|process)_[a-z0-9_]+", query)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def test_metrics_named_in_the_documents_exist(
    families: dict[str, Family], of_packs: dict[str, Family], documents: Documents
) -> None:
    for file, text in documents.texts.items():
        for name in re.findall(r"\bscheduling_[a-z0-9_]+\b(?!\*)", text):
            plain = re.sub(r"_(bucket|sum|count)$", "", name)
            assert plain in families.keys() | of_packs.keys() or name.endswith("_"), f"{file}: {name}"


def test_the_labels_that_queries_group_by_exist(families: dict[str, Family], documents: Documents) -> None:
    for block in documents.blocks("promql"):
        known = {label for name in names_in(block.text) for label in families[name].labels} | {"le", "job", "instance"}
        used = {label.strip() for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", block.text) for label in by.split(",")}
        used |= set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!=|!~|=)", block.text))
        assert used <= known, f"{block}: {used - known}"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_every_query(documents: Documents, tmp_path: Path) -> None:
    blocks = documents.blocks("promql")
    assert len(blocks) >= 10
    rules = [{"record": f"query:{number}", "expr": block.text} for number, block in enumerate(blocks)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "documents", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(blocks)} rules found" in done.stdout
