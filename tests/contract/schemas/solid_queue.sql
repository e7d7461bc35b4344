-- Solid Queue's tables as 1.5 installs them with Rails (datetime: timestamp(6), in UTC), as far as anything uses them.
-- 1.0 installs the same.
CREATE TABLE solid_queue_jobs (
  id bigserial PRIMARY KEY, queue_name varchar NOT NULL, class_name varchar NOT NULL, arguments text,
  priority int NOT NULL DEFAULT 0, active_job_id varchar, scheduled_at timestamp(6), finished_at timestamp(6),
  concurrency_key varchar, created_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()),
  updated_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()));
CREATE INDEX ON solid_queue_jobs (active_job_id);
CREATE INDEX ON solid_queue_jobs (class_name);
CREATE INDEX ON solid_queue_jobs (finished_at);
CREATE INDEX ON solid_queue_jobs (queue_name, finished_at);
CREATE INDEX ON solid_queue_jobs (scheduled_at, finished_at);
CREATE TABLE solid_queue_ready_executions (
  id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs ON DELETE CASCADE,
  queue_name varchar NOT NULL, priority int NOT NULL DEFAULT 0, created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_scheduled_executions (
  id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs ON DELETE CASCADE,
  queue_name varchar NOT NULL, priority int NOT NULL DEFAULT 0, scheduled_at timestamp(6) NOT NULL,
  created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_blocked_executions (
  id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs ON DELETE CASCADE,
  queue_name varchar NOT NULL, priority int NOT NULL DEFAULT 0, concurrency_key varchar NOT NULL,
  expires_at timestamp(6) NOT NULL, created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_claimed_executions (
  id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs ON DELETE CASCADE,
  process_id bigint, created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_failed_executions (
  id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs ON DELETE CASCADE, error text,
  created_at timestamp(6) NOT NULL);
CREATE TABLE solid_queue_processes (
  id bigserial PRIMARY KEY, kind varchar NOT NULL, last_heartbeat_at timestamp(6) NOT NULL, supervisor_id bigint,
  pid int NOT NULL, hostname varchar, metadata text, created_at timestamp(6) NOT NULL, name varchar NOT NULL);
CREATE TABLE solid_queue_recurring_tasks (
  id bigserial PRIMARY KEY, key varchar NOT NULL UNIQUE, schedule varchar NOT NULL, command varchar(2048),
  class_name varchar, arguments text, queue_name varchar, priority int DEFAULT 0, static boolean NOT NULL DEFAULT true,
  description text, created_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()),
  updated_at timestamp(6) NOT NULL DEFAULT timezone('UTC', now()));
CREATE TABLE solid_queue_recurring_executions (
  id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs ON DELETE CASCADE,
  task_key varchar NOT NULL, run_at timestamp(6) NOT NULL, created_at timestamp(6) NOT NULL, UNIQUE (task_key, run_at));
