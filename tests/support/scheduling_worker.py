"""The scheduling worker's tables, as docs/packs.md has them, and rows in them, of which the truth is kept."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg

DOCUMENT = Path(__file__).parents[2] / "docs" / "packs.md"

#: Every metric of the worker's monitoring specification: its type.
SPECIFIED = {
    "scheduling_api_requests_total": "counter",
    "scheduling_api_request_duration_seconds": "histogram",
    "scheduling_api_request_size_bytes": "histogram",
    "scheduling_api_response_size_bytes": "histogram",
    "scheduling_calendar_sync_total": "counter",
    "scheduling_calendar_sync_duration_seconds": "histogram",
    "scheduling_calendar_events_processed_total": "counter",
    "scheduling_calendar_api_calls_total": "counter",
    "scheduling_calendar_api_errors_total": "counter",
    "scheduling_goals_created_total": "counter",
    "scheduling_goals_completed_total": "counter",
    "scheduling_habits_created_total": "counter",
    "scheduling_habits_completed_total": "counter",
    "scheduling_habit_streaks_current": "gauge",
    "scheduling_habit_reminders_sent_total": "counter",
    "scheduling_ml_recommendations_total": "counter",
    "scheduling_ml_recommendation_confidence": "histogram",
    "scheduling_ml_model_inference_duration_seconds": "histogram",
    "scheduling_ml_training_duration_seconds": "histogram",
    "scheduling_db_connections_active": "gauge",
    "scheduling_db_query_duration_seconds": "histogram",
    "scheduling_redis_operations_total": "counter",
    "scheduling_kafka_messages_produced_total": "counter",
    "scheduling_kafka_messages_consumed_total": "counter",
}

Series = tuple[str, frozenset[tuple[str, str]]]


def create(connection: psycopg.Connection[Any]) -> None:
    """The tables that the document shows."""
    [ddl] = re.findall(r"^```sql\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    connection.execute(ddl.encode())


class Worker:
    """Writes what a worker writes. ``truth`` is what counters, and counts and sums of histograms, have to say."""

    def __init__(self, connection: psycopg.Connection[Any], seed: int = 1) -> None:
        self._connection = connection
        self._picked = random.Random(seed)
        self.truth: Counter[Series] = Counter()

    def work(self, rows: int) -> None:
        """So many rows in each table, ending now."""
        pick = self._picked
        for _ in range(rows):
            self._request(pick.choice(("GET", "POST")), pick.choice(("/calendars", "/events")), pick.choice((200, 503)))
            self._sync(pick.choice(("success", "failed")), pick.randint(0, 5000), pick.randint(0, 50))
            self._call(pick.choice(("events.list", "events.insert")), pick.choice((200, 200, 403)))
            self._goal(pick.choice(("health", "work")), pick.random() < 0.5)
            self._habit(pick.choice(("daily", "weekly")), pick.randint(0, 200))
            self._reminder(pick.choice(("email", "push")), pick.choice(("delivered", "failed")))
            self._recommend(pick.choice(("v1", "v2")), pick.random(), pick.randint(1, 900))
            self._train(pick.choice(("ranking", "duration")), pick.randint(1000, 90_000))
            self._system(pick.choice(("get", "set")), pick.randint(1, 100))

    def _insert(self, table: str, **columns: Any) -> int:
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        row = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", list(columns.values())
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.truth[name, frozenset(labels.items())] += amount  # type: ignore[assignment]

    def _observe(self, name: str, value: float, **labels: str) -> None:
        self._count(f"{name}_count", 1, **labels)
        self._count(f"{name}_sum", value, **labels)

    def _request(self, method: str, endpoint: str, status: int) -> None:
        duration, size = self._picked.randint(1, 8000), self._picked.randint(0, 5000)
        self._insert(
            "api_requests", method=method, endpoint=endpoint, status=status, duration_ms=duration, request_bytes=size,
            response_bytes=2 * size,
        )  # fmt: skip
        labels = {"method": method, "endpoint": endpoint}
        self._count("scheduling_api_requests_total", status=str(status), **labels)
        self._observe("scheduling_api_request_duration_seconds", duration / 1000, **labels)
        self._observe("scheduling_api_request_size_bytes", size, **labels)
        self._observe("scheduling_api_response_size_bytes", 2 * size, **labels)

    def _sync(self, status: str, duration: int, events: int) -> None:
        self._insert("calendar_sync_logs", user_id="u1", status=status, duration_ms=duration, events_processed=events)
        self._count("scheduling_calendar_sync_total", status=status)
        self._observe("scheduling_calendar_sync_duration_seconds", duration / 1000)
        self._count("scheduling_calendar_events_processed_total", events)

    def _call(self, operation: str, status: int) -> None:
        self._insert("calendar_api_calls", operation=operation, status=status)
        self._count("scheduling_calendar_api_calls_total", operation=operation)
        self._count("scheduling_calendar_api_errors_total", int(status >= 400), operation=operation)

    def _goal(self, category: str, completed: bool) -> None:
        goal = self._insert("goals", user_id="u1", category=category)
        self._count("scheduling_goals_created_total", category=category)
        if completed:
            self._connection.execute("UPDATE goals SET completed_at = clock_timestamp() WHERE id = %s", [goal])
            self._count("scheduling_goals_completed_total", category=category)

    def _habit(self, frequency: str, streak: int) -> None:
        habit = self._insert("habits", user_id="u1", frequency=frequency, current_streak=streak)
        self._count("scheduling_habits_created_total", frequency=frequency)
        self._insert("habit_completions", habit_id=habit)
        self._count("scheduling_habits_completed_total", frequency=frequency)

    def _reminder(self, channel: str, status: str) -> None:
        self._insert("habit_reminders", habit_id=1, channel=channel, status=status)
        self._count("scheduling_habit_reminders_sent_total", channel=channel, status=status)
        self._insert("email_logs", template="reminder", status="sent")
        self._count("scheduling_emails_sent_total", template="reminder", status="sent")
        self._insert("user_actions", user_id=f"u{self._picked.randint(1, 5)}", action="reminder_opened")
        self._count("scheduling_user_actions_total", action="reminder_opened")

    def _recommend(self, version: str, confidence: float, duration: int) -> None:
        self._insert(
            "ml_recommendations", model_version=version, confidence_score=confidence, processing_time_ms=duration
        )
        self._count("scheduling_ml_recommendations_total", model_version=version)
        self._observe("scheduling_ml_recommendation_confidence", confidence, model_version=version)
        self._observe("scheduling_ml_model_inference_duration_seconds", duration / 1000, model_version=version)

    def _train(self, model: str, duration: int) -> None:
        run = self._insert("ml_training_runs", model=model, duration_ms=duration)
        self._connection.execute("UPDATE ml_training_runs SET completed_at = clock_timestamp() WHERE id = %s", [run])
        self._observe("scheduling_ml_training_duration_seconds", duration / 1000, model=model)

    def _system(self, operation: str, amount: int) -> None:
        self._insert("db_query_logs", query="load_events", duration_ms=amount)
        self._observe("scheduling_db_query_duration_seconds", amount / 1000, query="load_events")
        self._insert("redis_operation_logs", operation=operation, operations=amount)
        self._count("scheduling_redis_operations_total", amount, operation=operation)
        for direction in ("produced", "consumed"):
            self._insert("kafka_message_logs", direction=direction, topic="events", messages=amount)
            self._count(f"scheduling_kafka_messages_{direction}_total", amount, topic="events")

    def streaks(self) -> dict[str, int]:
        """Habits by the length of their streak."""
        found = self._connection.execute("SELECT current_streak FROM habits").fetchall()
        bands = {"1-6": range(1, 7), "7-29": range(7, 30), "30-99": range(30, 100), "100+": range(100, 10_000)}
        return {name: sum(streak in band for (streak,) in found) for name, band in bands.items()}


def differences(truth: Mapping[Series, float], shown: Mapping[Series, float], store: str) -> Iterable[str]:
    """What a page says that is not true, or does not say."""
    for (name, labels), value in truth.items():
        found = shown.get((name, labels | {("store", store)}))
        if found is None or abs(found - value) > 1e-6 * max(1.0, abs(value)):
            yield f"{name}{dict(labels)}: {value} is true, {found} is shown"
