-- Finished executions over the past days, busier by day than by night, in the order in which they ended but for half
-- a minute. Durations are log-normal round a median of the task type; 30 error messages.
INSERT INTO {schema}.executions (id, job_id, task_type, queue, status, attempt, scheduled_at, started_at, completed_at,
                                 worker_id, result, error_message, error_code)
SELECT n, job_id, task_types[kind], queues[1 + mod(job_id, 4)], status,
       CASE WHEN retried < 0.94 THEN 0 WHEN retried < 0.99 THEN 1 ELSE 2 END,
       completed_at - lasted * interval '1 second' - waited * interval '1 second',
       completed_at - lasted * interval '1 second',
       completed_at,
       'worker-' || worker,
       CASE WHEN status = 'SUCCESS' THEN jsonb_build_object('rows', worker * 37) END,
       CASE status WHEN 'FAILED' THEN errors[1 + mod(fault, 10)] || hosts[1 + fault / 10]
                   WHEN 'TIMEOUT' THEN 'no result within 300 s' END,
       CASE status WHEN 'FAILED' THEN 'E' || 100 + fault WHEN 'TIMEOUT' THEN 'TIMEOUT' END
FROM (
  SELECT n, job_id, kind, status, retried, waited, fault, worker, completed_at, task_types, queues, errors, hosts,
         CASE status WHEN 'TIMEOUT' THEN 300 ELSE exp(ln(medians[kind]) + 0.8 * gauss) END AS lasted
  FROM (
    SELECT n, job_id, retried, gauss, 5 * waited * waited AS waited, floor(30 * fault)::int AS fault,
           1 + floor(20 * worker)::int AS worker,
           1 + width_bucket(mod(job_id * 7919, 100), ARRAY[30, 50, 65, 75, 83, 89, 94, 97, 99]::bigint[]) AS kind,
           CASE WHEN outcome < 0.92 THEN 'SUCCESS' WHEN outcome < 0.97 THEN 'FAILED'
                WHEN outcome < 0.985 THEN 'TIMEOUT' ELSE 'CANCELLED' END AS status,
           least(now(), now() - %(days)s * interval '1 day'
             * (1 - share + 0.08 * sin(2 * pi() * nights * share) / nights) - spread * interval '30 seconds')
             AS completed_at
    FROM (
      SELECT n, 1 + floor(random() * %(jobs)s::bigint)::bigint AS job_id, random() AS retried, random() AS waited,
             random() AS fault, random() AS worker, random() AS outcome, random() AS spread,
             sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS gauss,
             n / %(executions)s::float8 AS share, greatest(1, %(days)s::float8) AS nights
      FROM generate_series(1, %(executions)s::bigint) n
      OFFSET 0  -- each number is drawn once
    ) AS drawn
  ) AS shaped,
  (SELECT ARRAY['send_email', 'invoice', 'sync_inventory', 'thumbnail', 'webhook', 'reindex', 'report', 'import',
                'render_video', 'nightly_export'] AS task_types,
          ARRAY[0.4, 1.2, 3, 0.8, 0.3, 20, 15, 45, 90, 600] AS medians,
          ARRAY['default', 'mail', 'reports', 'bulk'] AS queues,
          ARRAY['connection refused by ', 'certificate expired at ', 'no space left on ', 'bad gateway from ',
                'constraint violated in ', 'rate limit reached at ', 'unexpected answer of ', 'file missing on ',
                'permission denied by ', 'checksum differs on '] AS errors,
          ARRAY['north.example', 'south.example', 'east.example'] AS hosts) AS words
  OFFSET 0
) AS timed
