-- The schemas and relations that a SELECT seems to name and that this role may not read, as the GRANTs that it lacks.
-- $1: every word of the SELECT. Run only after the server refused the SELECT for want of a privilege.
SELECT format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, current_user)
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = ANY ($1::name[]) AND NOT has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT format('GRANT SELECT ON %I.%I TO %I;', n.nspname, c.relname, current_user)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = ANY ($1::name[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (n.nspname = ANY ($1::name[]) OR pg_table_is_visible(c.oid))
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT has_table_privilege(c.oid, 'SELECT')
ORDER BY 1
