-- Version 3: what Alertmanager told, who did what, and which actions are not to be done twice. Times are Unix seconds.
-- JSON columns hold what is only read and written whole.

-- Alerts as Alertmanager's webhook told them: one row for each time that one fired.
CREATE TABLE alert (
    fingerprint TEXT NOT NULL,
    starts_at   REAL NOT NULL,
    ends_at     REAL,                    -- NULL: it was not told that it is over
    told_at     REAL NOT NULL,           -- the latest notification
    data        TEXT NOT NULL,           -- JSON: labels and annotations
    PRIMARY KEY (fingerprint, starts_at)
) WITHOUT ROWID;
CREATE INDEX alert_starts_at ON alert (starts_at, fingerprint);

-- The audit trail. Equal refusals that follow each other are one row with their number.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      REAL NOT NULL,               -- the first time
    last_at REAL NOT NULL,
    times   INTEGER NOT NULL,
    action  TEXT NOT NULL,
    actor   TEXT NOT NULL,               -- a token's or a user's name, or anonymous
    result  TEXT NOT NULL,
    data    TEXT NOT NULL                -- JSON: target, request id, client, detail
);
CREATE INDEX audit_last_at ON audit (last_at);

-- Actions by the Idempotency-Key that they came with.
CREATE TABLE idempotency (
    actor TEXT NOT NULL,
    key   TEXT NOT NULL,
    at    REAL NOT NULL,                 -- when it was first asked for
    asked TEXT NOT NULL,                 -- what: the same key may not stand for another action
    data  TEXT,                          -- JSON: how far it came; NULL: it was begun, and nothing is known of its end
    done  INTEGER NOT NULL,              -- 1: data is its outcome
    PRIMARY KEY (actor, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);
