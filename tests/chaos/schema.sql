-- The truth of a chaos run: every attempt that finished, noted in the transaction that finished it. Nobody may change
-- or delete a row of it, and no attempt can be noted twice.
CREATE SCHEMA chaos;
CREATE TABLE chaos.audit (
    id        bigint NOT NULL,
    attempt   integer NOT NULL,
    task_type text NOT NULL,
    status    text NOT NULL,
    worker_id text NOT NULL,
    timed     boolean NOT NULL,        -- whether its duration is known
    stamp     timestamptz NOT NULL,
    tag       text NOT NULL,           -- the transaction's: ids and xids are given again after a crash
    PRIMARY KEY (id, attempt)
);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.audit
    SELECT id, attempt, task_type, status, worker_id, started_at IS NOT NULL, completed_at, current_setting('chaos.tag')
    FROM changed WHERE status <> 'RUNNING';
    RETURN NULL;
END $$;
CREATE TRIGGER note_inserted AFTER INSERT ON public.executions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note_updated AFTER UPDATE ON public.executions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chaos.note();

GRANT USAGE ON SCHEMA chaos TO app;
GRANT SELECT, INSERT ON chaos.audit TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
