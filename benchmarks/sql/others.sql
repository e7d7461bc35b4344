-- What is there in small numbers: 20 workers, executions that run, 50 operations.
INSERT INTO {schema}.workers (id, host, actions_completed)
SELECT 'worker-' || n, 'host-' || n, n * 1000 FROM generate_series(1, 20) n;
INSERT INTO {schema}.executions (id, job_id, task_type, queue, started_at, worker_id)
SELECT %(executions)s::bigint + n, n, 'report', 'reports', now() - n * interval '10 seconds', 'worker-' || 1 + mod(n, 20)
FROM generate_series(1, %(running)s::int) n;
INSERT INTO {schema}.operations (operation_id, stage, worker_id)
SELECT 'operation-' || n, (ARRAY['queued', 'cache_check', 'executing', 'completed'])[1 + mod(n, 4)],
       'worker-' || 1 + mod(n, 20)
FROM generate_series(1, 50) n
