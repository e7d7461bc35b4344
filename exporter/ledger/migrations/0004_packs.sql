-- Version 4: what packs of SQL metrics have counted. Times are Unix seconds. JSON columns hold what is only read and
-- written whole.

-- One row for each query that counts its rows by a cursor.
CREATE TABLE pack_query (
    id     INTEGER PRIMARY KEY,
    store  TEXT NOT NULL REFERENCES store (name) ON DELETE CASCADE,
    pack   TEXT NOT NULL,
    query  TEXT NOT NULL,
    reads  TEXT NOT NULL,                -- what positions and keys mean: other ones make the cursor begin anew
    cursor TEXT,                         -- JSON: CursorState; NULL before the first poll
    UNIQUE (store, pack, query)
);

-- One row for each series.
CREATE TABLE pack_series (
    query  INTEGER NOT NULL REFERENCES pack_query (id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    labels TEXT NOT NULL,                -- JSON array: the values, in the order of the metric's labels
    shape  TEXT NOT NULL,                -- names of the labels, bounds of the buckets: other ones are other series
    data   TEXT NOT NULL,                -- JSON array: the count, or a histogram's buckets with the sum at the end
    PRIMARY KEY (query, metric, labels)
) WITHOUT ROWID;

-- Keys counted at or after the oldest point that a later poll may read again, as in the table seen.
CREATE TABLE pack_seen (
    query INTEGER NOT NULL REFERENCES pack_query (id) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    stamp NOT NULL,
    PRIMARY KEY (query, key)
) WITHOUT ROWID;
CREATE INDEX pack_seen_stamp ON pack_seen (query, stamp);
