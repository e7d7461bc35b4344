-- The whole server's client backends by state, and since when the oldest transaction of any of them is open.
-- Without pg_read_all_stats (pg_monitor has it) the states of others are hidden: no row then, rather than wrong
-- numbers. The check's own backend takes a place and is counted; its transaction is left out. A prepared transaction
-- holds back vacuum as an open one does; it is dated by its PREPARE.
SELECT count(*) FILTER (WHERE state = 'active') AS backends_active,
       count(*) FILTER (WHERE state = 'idle') AS backends_idle,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS backends_idle_in_transaction,
       count(*) FILTER (WHERE state IS NULL
                           OR state NOT IN ('active', 'idle') AND state NOT LIKE 'idle in transaction%')
           AS backends_other,
       extract(epoch FROM least(min(xact_start) FILTER (WHERE pid <> pg_backend_pid()),
                                (SELECT min(prepared) FROM pg_prepared_xacts))) AS oldest_transaction
  FROM pg_stat_activity
 WHERE backend_type = 'client backend'
HAVING pg_has_role('pg_read_all_stats', 'USAGE')
