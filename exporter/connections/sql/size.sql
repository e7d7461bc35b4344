-- The database's size in bytes. The server looks at every file for this: it is asked apart from the rest, and seldom
-- where it takes long. No row for a role that may not ask.
SELECT pg_database_size(current_database()) AS database_size
 WHERE has_database_privilege(current_database(), 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
