-- Jobs 1 to 100 recur, the last 1,000 (at most a tenth) are unfinished, the others ended at some time of the span.
-- The task type follows from the job's id; executions.sql has the same expression.
INSERT INTO {schema}.jobs (id, name, task_type, queue, status, type, schedule, time_zone, priority, next_run_at,
                           created_at, updated_at)
SELECT n,
       'job ' || n,
       (ARRAY['send_email', 'invoice', 'sync_inventory', 'thumbnail', 'webhook', 'reindex', 'report', 'import',
              'render_video', 'nightly_export'])
         [1 + width_bucket(mod(n * 7919, 100), ARRAY[30, 50, 65, 75, 83, 89, 94, 97, 99]::bigint[])],
       (ARRAY['default', 'mail', 'reports', 'bulk'])[1 + mod(n, 4)],
       CASE WHEN n <= 100 THEN 'SCHEDULED'
            WHEN n > %(jobs)s::bigint - least(1000, %(jobs)s::bigint / 10)
            THEN (ARRAY['PENDING', 'SCHEDULED', 'SCHEDULED', 'QUEUED'])[1 + mod(n, 4)]
            WHEN outcome < 0.92 THEN 'COMPLETED'
            WHEN outcome < 0.98 THEN 'FAILED'
            ELSE 'CANCELLED' END,
       CASE WHEN n <= 100 THEN 'RECURRING' ELSE 'ONE_TIME' END,
       CASE WHEN n <= 100 THEN mod(n, 60) || ' ' || (ARRAY['*', '*/4', '3', '12'])[1 + mod(n, 4)] || ' * * *' END,
       CASE WHEN n <= 100 THEN 'Europe/Berlin' END,
       mod(n, 3)::int,
       CASE WHEN n > %(jobs)s::bigint - least(1000, %(jobs)s::bigint / 10) AND mod(n, 4) IN (1, 2)
            THEN now() + age * interval '7 days' END,
       now() - age * %(days)s * interval '1 day',
       now() - age * outcome * %(days)s * interval '1 day'
FROM (SELECT n, random() AS outcome, 1 - n / %(jobs)s::float8 AS age FROM generate_series(1, %(jobs)s::bigint) n) AS drawn
