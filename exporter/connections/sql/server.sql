-- Who the server is. Every role may see all of this, so a server that does not answer it cannot be queried.
-- reserved_connections exists from PostgreSQL 16 on; NULL for a setting that is unknown.
SELECT current_setting('server_version_num')::int AS server_version_num,
       pg_is_in_recovery() AS in_recovery,
       current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0) AS backends_limit
