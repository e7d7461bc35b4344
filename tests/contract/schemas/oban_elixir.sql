-- Oban's table after the migration 14 of its Elixir edition (2.21 to 2.23), as far as anything reads or writes it.
-- After migration 13 (2.20) a type made then has no 'suspended'; nothing else here differs.
CREATE TYPE oban_job_state AS ENUM
  ('available', 'suspended', 'scheduled', 'executing', 'retryable', 'completed', 'discarded', 'cancelled');
CREATE TABLE oban_jobs (
  id bigserial PRIMARY KEY, state oban_job_state NOT NULL DEFAULT 'available', queue text NOT NULL DEFAULT 'default',
  worker text NOT NULL, args jsonb NOT NULL DEFAULT '{}', errors jsonb[] NOT NULL DEFAULT '{}',
  attempt int NOT NULL DEFAULT 0, max_attempts int NOT NULL DEFAULT 20,
  inserted_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
  scheduled_at timestamp NOT NULL DEFAULT timezone('UTC', now()), attempted_at timestamp, completed_at timestamp,
  attempted_by text[], discarded_at timestamp, priority int NOT NULL DEFAULT 0, tags text[] DEFAULT '{}',
  meta jsonb DEFAULT '{}', cancelled_at timestamp);
CREATE INDEX oban_jobs_state_queue_priority_scheduled_at_id_index ON oban_jobs
  (state, queue, priority, scheduled_at, id);
CREATE INDEX oban_jobs_state_cancelled_at_index ON oban_jobs (state, cancelled_at);
CREATE INDEX oban_jobs_state_discarded_at_index ON oban_jobs (state, discarded_at);
COMMENT ON TABLE oban_jobs IS '14';
CREATE UNLOGGED TABLE oban_peers (name text PRIMARY KEY, node text NOT NULL, started_at timestamp, expires_at timestamp);
