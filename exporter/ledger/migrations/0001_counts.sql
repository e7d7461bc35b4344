-- Version 1: exact counts. Times are Unix seconds. JSON columns hold what is only read and written whole.

CREATE TABLE store (
    name       TEXT PRIMARY KEY,
    identity   TEXT NOT NULL,            -- JSON: which cluster and database these counts belong to
    cursor     TEXT,                     -- JSON: CursorState; NULL before the first poll
    totals     TEXT NOT NULL DEFAULT '{}',
    created_at REAL NOT NULL
);

-- One row for each series label: counters by status, or a histogram's buckets with the sum at the end.
CREATE TABLE series (
    store  TEXT NOT NULL REFERENCES store (name) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    label  TEXT NOT NULL,
    data   TEXT NOT NULL,                -- JSON array of numbers
    PRIMARY KEY (store, metric, label)
) WITHOUT ROWID;

-- Keys counted at or after the oldest point that a later poll may read again. The stamp keeps its own type:
-- seconds for a time cursor, a 64-bit integer for an id cursor.
CREATE TABLE seen (
    store TEXT NOT NULL REFERENCES store (name) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    stamp NOT NULL,
    PRIMARY KEY (store, key)
) WITHOUT ROWID;
CREATE INDEX seen_stamp ON seen (store, stamp);

-- Jobs worth remembering: recurring ones, and those whose latest execution failed.
CREATE TABLE job (
    store  TEXT NOT NULL REFERENCES store (name) ON DELETE CASCADE,
    job_id TEXT NOT NULL,
    data   TEXT NOT NULL,                -- JSON: JobState
    PRIMARY KEY (store, job_id)
) WITHOUT ROWID;

-- Counter and histogram series that a scrape has seen as 0: from then on they show their value.
CREATE TABLE exposed (
    key TEXT PRIMARY KEY
) WITHOUT ROWID;
