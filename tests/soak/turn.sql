-- What happens within 0.4 s: some six executions end in a second, as many begin.

WITH taken AS (
    UPDATE jobs SET status = 'RUNNING', updated_at = now()
    WHERE id IN (SELECT id FROM jobs WHERE status = 'QUEUED' ORDER BY id LIMIT 3) RETURNING id, task_type, created_at
)
INSERT INTO executions (job_id, task_type, queue, scheduled_at, started_at, worker_id)
SELECT id, task_type, 'default', created_at, clock_timestamp(), 'worker-' || id % 6 FROM taken;

WITH drawn AS MATERIALIZED (
    SELECT id, CASE WHEN random() < 0.8 THEN 'SUCCESS'
                    ELSE (ARRAY['FAILED', 'FAILED', 'TIMEOUT', 'CANCELLED'])[1 + trunc(random() * 4)::int] END AS status
    FROM executions WHERE status = 'RUNNING' AND started_at > now() - interval '1 h' AND random() < 0.3
), ended AS (
    UPDATE executions e SET status = d.status, completed_at = clock_timestamp(),
           error_message = CASE WHEN d.status IN ('FAILED', 'TIMEOUT') THEN 'order ' || e.id || ': '
               || (ARRAY['card declined', 'cannot reach host 10.0.0.7', 'no such file'])[1 + trunc(random() * 3)::int] END,
           error_code = CASE WHEN d.status = 'FAILED' THEN 'E' || e.id % 5 END
    FROM drawn d WHERE e.id = d.id RETURNING e.job_id, e.status
)
UPDATE jobs j SET updated_at = now(),
       status = CASE WHEN j.type = 'RECURRING' THEN 'SCHEDULED' WHEN e.status = 'SUCCESS' THEN 'COMPLETED'
                     WHEN e.status = 'CANCELLED' THEN 'CANCELLED' ELSE 'FAILED' END
FROM ended e WHERE j.id = e.job_id;

INSERT INTO jobs (name, task_type, status)
SELECT 'job ' || n,
       (ARRAY['mail', 'report', 'import', 'export', 'billing', 'backup'])[1 + trunc(random() * 6)::int], 'QUEUED'
FROM generate_series(1, 2) n;

WITH due AS (
    UPDATE jobs SET status = 'RUNNING', updated_at = now()
    WHERE id = (SELECT id FROM jobs WHERE type = 'RECURRING' AND status = 'SCHEDULED' AND random() < 0.05 LIMIT 1)
    RETURNING id, task_type
)
INSERT INTO executions (job_id, task_type, queue, scheduled_at, started_at, worker_id)
SELECT id, task_type, 'default', now(), clock_timestamp(), 'worker-' || id % 6 FROM due;

UPDATE workers SET last_seen = now();
UPDATE operations
SET stage = (ARRAY['queued', 'cache_check', 'executing', 'completed'])[1 + trunc(random() * 4)::int];
