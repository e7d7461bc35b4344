-- Those of the tables of a plan ($1, $2: their schemas and names) that have rows and were never analysed. (Of a table
-- whose rows are hidden from the role its statistics are, too.)
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE (n.nspname, c.relname) IN (SELECT s, r FROM unnest($1::name[], $2::name[]) AS w (s, r))
  AND c.relkind IN ('r', 'm') AND n.nspname <> 'pg_catalog' AND pg_relation_size(c.oid) > 0
  AND NOT row_security_active(c.oid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats AS s WHERE s.schemaname = n.nspname AND s.tablename = c.relname)
ORDER BY 1
