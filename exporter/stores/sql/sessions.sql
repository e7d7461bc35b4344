-- Transactions that can still make rows appear, ours left out. xact_start is shown to pg_read_all_stats (and for
-- sessions of the same role), backend_xid to everyone. This statement must run after the clock was read and before
-- the rows are. Autovacuum and replication add no rows, but may run for hours.
SELECT a.pid::text, extract(epoch FROM a.backend_start)::float8, extract(epoch FROM a.xact_start)::float8,
       a.backend_xid::text
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.pid <> ALL ($1::int[])
  AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'walsender', 'parallel worker')
  AND (a.xact_start IS NOT NULL OR a.backend_xid IS NOT NULL)
UNION ALL
SELECT NULL, NULL, extract(epoch FROM p.prepared)::float8, p.transaction::text
FROM pg_catalog.pg_prepared_xacts AS p
WHERE p.database = current_database()
