-- A day of history, as much as fills what the state file bounds by number (recent executions, jobs that failed).
-- Beside it workers, jobs that recur, an execution that is stuck, operations.

INSERT INTO workers (id, host) SELECT 'worker-' || i, 'host-' || i FROM generate_series(0, 5) i;
INSERT INTO operations (operation_id) SELECT 'operation-' || i FROM generate_series(1, 20) i;
INSERT INTO jobs (name, task_type, status, type, schedule)
SELECT 'every minute ' || i, 'backup', 'SCHEDULED', 'RECURRING', '* * * * *' FROM generate_series(1, 20) i;

WITH drawn AS MATERIALIZED (
    SELECT i, (ARRAY['mail', 'report', 'import', 'export', 'billing', 'backup'])[1 + trunc(random() * 6)::int] AS task_type,
           CASE WHEN random() < 0.8 THEN 'SUCCESS'
                ELSE (ARRAY['FAILED', 'FAILED', 'TIMEOUT', 'CANCELLED'])[1 + trunc(random() * 4)::int] END AS status,
           now() - interval '1 min' - random() * interval '1 day' AS ended
    FROM generate_series(1, 15000) i
)
INSERT INTO executions (job_id, task_type, queue, status, scheduled_at, started_at, completed_at, worker_id,
                        error_message, error_code)
-- The first hundred are those of the jobs that recur.
SELECT CASE WHEN i > 100 THEN 1000000 + i ELSE 1 + i % 20 END, task_type, 'default', status,
       ended - interval '5 s', ended - random() * interval '2 s', ended, 'worker-' || i % 6,
       CASE WHEN status IN ('FAILED', 'TIMEOUT') THEN 'order ' || i || ': '
            || (ARRAY['card declined', 'cannot reach host 10.0.0.7', 'no such file'])[1 + trunc(random() * 3)::int] END,
       CASE WHEN status = 'FAILED' THEN 'E' || i % 5 END
FROM drawn;

INSERT INTO executions (job_id, task_type, started_at, worker_id)
VALUES (1, 'report', now() - interval '3 h', 'worker-1');
