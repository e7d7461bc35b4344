-- The relations that this transaction has read, views and what lies below them included: those it holds a lock on. (A
-- plan does not name them all: a table whose every row is hidden is planned away.) With each whether row-level security
-- may hide rows of it. A view reads with its owner's rights, unless it says security_invoker. A policy that shows the
-- role every row hides nothing. Last, what kind of relation it is, whether logical replication fills it,
-- and its number: another one is another relation of the same name.
WITH locked AS (
  SELECT DISTINCT c.oid, n.nspname, c.relname, c.relkind, c.relowner, c.relforcerowsecurity, c.relrowsecurity,
         c.relkind = 'v' AND NOT coalesce(
           c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false)
           AS reads_as_owner
  FROM pg_catalog.pg_locks AS l
  JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
), readers AS (
  -- The owners of the views through which a relation is read.
  SELECT DISTINCT d.refobjid AS oid, v.relowner
  FROM locked AS v
  JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = v.oid
  JOIN pg_catalog.pg_depend AS d
    ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> v.oid
  WHERE v.reads_as_owner
)
SELECT format('%I.%I', l.nspname, l.relname),
       l.relrowsecurity
         AND CASE
           WHEN EXISTS (SELECT FROM readers AS r WHERE r.oid = l.oid) THEN EXISTS (
             SELECT FROM readers AS r JOIN pg_catalog.pg_roles AS o ON o.oid = r.relowner
             WHERE r.oid = l.oid AND NOT o.rolsuper AND NOT o.rolbypassrls
               AND (l.relforcerowsecurity OR NOT pg_has_role(o.oid, l.relowner, 'USAGE')))
           ELSE row_security_active(l.oid) END
         AND NOT (
           EXISTS (
             SELECT FROM pg_catalog.pg_policy AS p
             WHERE p.polrelid = l.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
               AND pg_get_expr(p.polqual, p.polrelid) = 'true'
               AND EXISTS (
                 SELECT FROM unnest(p.polroles) AS m (oid)
                 WHERE CASE WHEN m.oid = 0 THEN true ELSE pg_has_role(m.oid, 'USAGE') END))
           AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_policy AS p
             WHERE p.polrelid = l.oid AND NOT p.polpermissive AND p.polcmd IN ('r', '*')))
         AS hides,
       l.relkind::text,
       EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = l.oid),
       l.oid::int8
FROM locked AS l
ORDER BY 1
