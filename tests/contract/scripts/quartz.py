"""Quartz, as its JDBC delegate writes."""

from __future__ import annotations

from typing import Final

from contract.scripts.model import Script

_MS: Final = "(extract(epoch FROM now()) * 1000)::bigint"

QUARTZ: Final = Script(
    schema="quartz.sql",
    steps=(
        f"""INSERT INTO qrtz_triggers (sched_name, trigger_name, trigger_group, job_name, job_group, next_fire_time,
              prev_fire_time, priority, trigger_state, trigger_type, start_time)
            VALUES ('s', 'soon', 'g', 'j', 'g', {_MS} + 60000, {_MS} - 60000, 5, 'WAITING', 'CRON', {_MS} - 900000),
                   ('s', 'never', 'g', 'j', 'g', -1, -1, 5, 'COMPLETE', 'SIMPLE', {_MS}),
                   ('s', 'held', 'g', 'j', 'g', {_MS} - 600000, -1, 5, 'PAUSED', 'CRON', {_MS}),
                   ('s', 'late', 'g', 'j', 'g', {_MS} - 600000, -1, 5, 'WAITING', 'CRON', {_MS}),
                   ('s', 'runs', 'g', 'j', 'g', {_MS} - 600000, -1, 5, 'BLOCKED', 'CRON', {_MS}),
                   ('s', 'once', 'g', 'j', 'g', {_MS} + 3600000, -1, 5, 'WAITING', 'SIMPLE', {_MS}),
                   ('s', 'thrice', 'g', 'j', 'g', {_MS} + 3600000, -1, 5, 'WAITING', 'SIMPLE', {_MS}),
                   ('s', 'broken', 'g', 'gone', 'g', {_MS} - 600000, -1, 5, 'ERROR', 'CRON', {_MS})""",
        """INSERT INTO qrtz_simple_triggers
           VALUES ('s', 'never', 'g', 0, 0, 1), ('s', 'once', 'g', 0, 0, 0), ('s', 'thrice', 'g', 2, 60000, 0)""",
        f"""INSERT INTO qrtz_fired_triggers VALUES ('s', 'e1', 'runs', 'g', 'node-1', {_MS} - 1000, {_MS} - 2000, 5,
              'EXECUTING', 'j', 'g', false, false)""",
        f"""INSERT INTO qrtz_scheduler_state VALUES ('s', 'node-1', {_MS}, 7500),
              ('s', 'node-2', {_MS} - 3600000, 7500)""",
    ),
    later=(
        # What a dead node ran is taken away by another, with its state.
        """DELETE FROM qrtz_fired_triggers WHERE entry_id = 'e1';
           DELETE FROM qrtz_scheduler_state WHERE instance_name = 'node-1'""",
        "UPDATE qrtz_triggers SET trigger_state = 'WAITING' WHERE trigger_state = 'BLOCKED'",
        # A trigger's last run takes it away.
        """DELETE FROM qrtz_simple_triggers WHERE trigger_name = 'never';
           DELETE FROM qrtz_triggers WHERE trigger_name = 'never'""",
    ),
    live={"SCHEDULED": 1},
    running={"g.j": 1},
    workers={"active": 1, "lost": 1},
    recurring=frozenset({(f"g.{name}", True) for name in ("soon", "held", "late", "runs", "thrice", "broken")}),
    overdue=frozenset({"g.late"}),
)
