-- GoodJob's tables as 4.19 installs them with Rails (datetime: timestamp(6), in UTC), as far as anything uses them.
-- 4.0 has no lock_type in good_jobs; nothing else here differs.
CREATE TABLE good_jobs (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), queue_name text, priority int, serialized_params jsonb,
  scheduled_at timestamp(6), performed_at timestamp(6), finished_at timestamp(6), error text,
  created_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()),
  updated_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()), active_job_id uuid, concurrency_key text, cron_key text,
  retried_good_job_id uuid, cron_at timestamp(6), batch_id uuid, batch_callback_id uuid, is_discrete boolean,
  executions_count int, job_class text, error_event smallint, labels text[], locked_by_id uuid, locked_at timestamp(6),
  lock_type smallint);
CREATE INDEX ON good_jobs (scheduled_at) WHERE finished_at IS NULL;
CREATE INDEX ON good_jobs (queue_name, scheduled_at) WHERE finished_at IS NULL;
CREATE INDEX ON good_jobs (active_job_id, created_at);
CREATE INDEX ON good_jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ON good_jobs (locked_by_id) WHERE locked_by_id IS NOT NULL;
CREATE TABLE good_job_executions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()),
  updated_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()), active_job_id uuid NOT NULL, job_class text,
  queue_name text, serialized_params jsonb, scheduled_at timestamp(6), finished_at timestamp(6), error text,
  error_event smallint, error_backtrace text[], process_id uuid, duration interval);
CREATE INDEX ON good_job_executions (active_job_id, created_at);
CREATE INDEX ON good_job_executions (process_id, created_at);
CREATE TABLE good_job_processes (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL,
  state jsonb, lock_type smallint);
