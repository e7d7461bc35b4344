"""What is fuzzed: a sidecar in a process of its own, with a store full of jobs and executions, a target, tokens.

It has an Alertmanager, and jobs may be triggered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from psycopg import sql
from support.alerting import AlertmanagerServer, running
from support.polling import until
from support.ports import free_port
from support.postgres import fresh_database, running_server
from support.scheduler import native_store
from support.sidecar import PATIENT, Sidecar, one_store, target

from exporter.config.dsn import parse_dsn

ADMIN: Final = "the-admin-token-of-the-fuzzer"
#: Jobs and executions of each status, with results and errors; names with everything that breaks naive code.
FILL: Final = r"""
INSERT INTO jobs (name, task_type, queue, status, type, priority, schedule)
SELECT (ARRAY['mail', 'Отчёт', '=1+1', 'a"b''c', E'line\nbreak', '<b>', '%s'])[1 + i % 7] || i, 'type_' || i % 7,
       'default', (ARRAY['PENDING', 'SCHEDULED', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'])[1 + i % 7],
       (ARRAY['ONE_TIME', 'RECURRING'])[1 + (i % 10 = 0)::int], i % 3, CASE WHEN i % 10 = 0 THEN '*/5 * * * *' END
FROM generate_series(1, 200) i;
INSERT INTO executions (job_id, task_type, queue, status, attempt, scheduled_at, started_at, completed_at, worker_id,
                        result, error_message, error_code)
SELECT 1 + i % 200, 'type_' || i % 7, 'default', s.status, i % 3, t - interval '3 s', t - interval '2 s', t,
       'worker-12' || i % 5, CASE WHEN s.status = 'SUCCESS' THEN jsonb_build_object('sent', true, 'n', i) END,
       CASE WHEN s.status <> 'SUCCESS' THEN 'cannot reach host ' || i || E': "timed out"\n\tat line 7' END,
       CASE WHEN s.status <> 'SUCCESS' THEN 'E' || i % 9 END
FROM generate_series(1, 3000) i,
     LATERAL (SELECT (ARRAY['SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED'])[1 + i % 4] AS status,
                     clock_timestamp() - i * interval '10 s' AS t) s;
INSERT INTO executions (job_id, task_type, queue, started_at, worker_id)
SELECT i, 'type_' || i % 7, 'default', clock_timestamp() - i * interval '1 min', 'worker-12' || i % 5
FROM generate_series(1, 20) i;
INSERT INTO workers (id, host, platform_properties, is_paused)
SELECT 'worker-12' || i, 'host' || i, '{"cpu_count": "8", "OSFamily": "Linux"}', i = 2 FROM generate_series(0, 4) i;
INSERT INTO operations (operation_id, client_operation_id, stage, worker_id)
SELECT i::text, 'client-' || i, (ARRAY['queued', 'cache_check', 'executing', 'completed'])[1 + i % 4],
       'worker-12' || i % 5
FROM generate_series(1, 40) i
"""


@contextmanager
def fuzzed(directory: Path) -> Iterator[Sidecar]:
    """A sidecar that has read its store, without limits on how often it is asked."""
    alertmanager = AlertmanagerServer(directory / "alertmanager", "{url: http://127.0.0.1:1/}")
    with running_server() as server, fresh_database(server) as database, running(alertmanager):
        store = native_store(database)
        with database.connect() as connection:
            connection.execute(FILL)
            role = sql.Identifier(str(parse_dsn(store.dsn)["user"]))
            connection.execute(sql.SQL("GRANT UPDATE (status, next_run_at, updated_at) ON jobs TO {}").format(role))
        sections = {
            "auth": {"tokens": [{"name": "fuzzer", "role": "admin", "token": ADMIN}]},
            "api": {"rate_limit": {"per_second": 0}, "action_rate_limit": {"per_second": 0}},
            "actions": {"enabled": True},
            "alerting": {"alertmanager": {"url": alertmanager.url, "timeout": PATIENT}},
            "web": {"enable_lifecycle": True},
            "connections": {"targets": [{**target("Production DB", free_port()), "id": 1}]},
            "logging": {"level": "info", "format": "json"},
        }
        sidecar = Sidecar(directory, {**one_store(store.dsn), **sections})
        try:
            sidecar.start()
            login = {"Authorization": f"Bearer {ADMIN}"}
            ready = "/api/system/workers"
            until(lambda: sidecar.get(ready, headers=login).status == 200, 120, "the store has been read")
            yield sidecar
        finally:
            sidecar.cleanup()
