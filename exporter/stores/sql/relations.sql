-- Which of the relations and columns that a profile needs are there, whether the role may look or not (to_regclass
-- refuses a schema that it may not use). $1: relations as the profile writes them. With each the GRANTs without which
-- the role cannot even name it; of those it may name, the SELECT that is refused tells what else is lacking.
SELECT r.name, array(
         SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       CASE WHEN has_schema_privilege(n.oid, 'USAGE') THEN '{}' ELSE
         format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, current_user)
         || CASE WHEN has_table_privilege(c.oid, 'SELECT') THEN '{}'::text[] ELSE
           ARRAY[format('GRANT SELECT ON %I.%I TO %I;', n.nspname, c.relname, current_user)] END
         END
FROM unnest($1::text[]) AS r (name)
CROSS JOIN LATERAL parse_ident(r.name) AS p (parts)
JOIN pg_catalog.pg_class AS c
  ON c.relname = p.parts[cardinality(p.parts)]::name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE CASE WHEN cardinality(p.parts) = 1 THEN pg_table_is_visible(c.oid)
           ELSE n.nspname = p.parts[cardinality(p.parts) - 1]::name END
