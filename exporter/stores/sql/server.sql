-- Who we are and where: what identifies the database, and what counting exactly depends on.
SELECT current_database(),
       (SELECT d.oid::int8 FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()),
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),
       pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('server_version_num')::int
