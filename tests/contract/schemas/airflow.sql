-- Airflow's tables that are read, as 3.3.2 makes them: columns that anything here uses, their types, all indexes on them.
CREATE TABLE task_instance (
  id uuid PRIMARY KEY, task_id varchar NOT NULL, dag_id varchar NOT NULL, run_id varchar NOT NULL,
  map_index int NOT NULL DEFAULT -1, start_date timestamptz, end_date timestamptz, duration float8, state varchar,
  try_number int NOT NULL DEFAULT 0, max_tries int NOT NULL DEFAULT 0, hostname varchar,
  pool varchar NOT NULL DEFAULT 'default_pool', queue varchar DEFAULT 'default', priority_weight int DEFAULT 1,
  queued_dttm timestamptz, scheduled_dttm timestamptz, queued_by_job_id int, last_heartbeat_at timestamptz,
  updated_at timestamptz, UNIQUE (dag_id, task_id, run_id, map_index));
CREATE INDEX ti_dag_state ON task_instance (dag_id, state);
CREATE INDEX ti_state ON task_instance (state);
CREATE INDEX ti_dag_run ON task_instance (dag_id, run_id);
CREATE INDEX ti_pool ON task_instance (pool, state, priority_weight);
CREATE INDEX ti_state_lkp ON task_instance (dag_id, task_id, run_id, state);
CREATE TABLE task_instance_history (
  task_instance_id uuid PRIMARY KEY, task_id varchar NOT NULL, dag_id varchar NOT NULL, run_id varchar NOT NULL,
  map_index int NOT NULL DEFAULT -1, try_number int NOT NULL, start_date timestamptz, end_date timestamptz,
  duration float8, state varchar, hostname varchar, pool varchar NOT NULL DEFAULT 'default_pool',
  queue varchar DEFAULT 'default', queued_dttm timestamptz, scheduled_dttm timestamptz,
  UNIQUE (dag_id, task_id, run_id, map_index, try_number));
CREATE INDEX idx_tih_dag_run ON task_instance_history (dag_id, run_id);
CREATE TABLE dag (
  dag_id varchar PRIMARY KEY, is_paused boolean NOT NULL, is_stale boolean NOT NULL,
  next_dagrun_create_after timestamptz);
CREATE TABLE job (
  id serial PRIMARY KEY, dag_id varchar, state varchar, job_type varchar, start_date timestamptz, end_date timestamptz,
  latest_heartbeat timestamptz, hostname varchar);
CREATE INDEX job_type_heart ON job (job_type, latest_heartbeat);
CREATE TABLE alembic_version (version_num varchar PRIMARY KEY);
INSERT INTO alembic_version VALUES ('d2f4e1b3c5a7');
