-- Version 2: statistics that outlive the store's own history, and the backfill that fills them at first.
-- Times are Unix seconds. JSON columns hold what is only read and written whole.

-- A small number for each store: the tables below have many rows.
ALTER TABLE store ADD COLUMN id INTEGER;
UPDATE store SET id = rowid;
CREATE UNIQUE INDEX store_id ON store (id);
ALTER TABLE store ADD COLUMN backfill TEXT;  -- JSON: BackfillState; NULL before the first poll

-- Finished executions by the time at which they ended. scope: 0 task type by minute, 1 task type by hour, 2 worker by hour.
CREATE TABLE rollup (
    store   INTEGER NOT NULL,
    scope   INTEGER NOT NULL,
    start   INTEGER NOT NULL,            -- of the minute or the hour
    label   TEXT NOT NULL,               -- task type or worker
    status  INTEGER NOT NULL,            -- index into FINAL_STATUSES
    count   INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    timed   INTEGER NOT NULL,            -- executions whose duration is known; what follows is theirs, in seconds
    sum     REAL NOT NULL,
    max     REAL NOT NULL,
    sketch  BLOB NOT NULL,               -- sketch.py: the durations' distribution
    PRIMARY KEY (store, scope, start, label, status)
) WITHOUT ROWID;

-- The newest finished executions, at most retention.recent_executions for each store.
CREATE TABLE recent (
    store        INTEGER NOT NULL,
    completed_at REAL NOT NULL,
    key          TEXT NOT NULL,
    status       INTEGER NOT NULL,       -- index into FINAL_STATUSES
    task_type    TEXT NOT NULL,
    data         TEXT NOT NULL,          -- JSON array: RecentExecution
    PRIMARY KEY (store, completed_at, key)
) WITHOUT ROWID;

-- Failed executions by error message with its numbers, ids and quoted parts folded.
CREATE TABLE error_group (
    store       INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    count       INTEGER NOT NULL,
    first_seen  REAL NOT NULL,
    last_seen   REAL NOT NULL,
    data        TEXT NOT NULL,           -- JSON: ErrorExample
    PRIMARY KEY (store, fingerprint)
) WITHOUT ROWID;
CREATE TABLE error_hour (
    store       INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    count       INTEGER NOT NULL,
    PRIMARY KEY (store, start, fingerprint)
) WITHOUT ROWID;

-- While history is backfilled, newest first: one-time jobs that ended well after a retry. Their older failures are over.
CREATE TABLE settled (
    store  INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (store, job_id)
) WITHOUT ROWID;
