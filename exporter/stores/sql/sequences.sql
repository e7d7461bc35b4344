-- The sequences that number the relations $1, of identities and of defaults, each with its oid and its file: TRUNCATE ...
-- RESTART IDENTITY and ALTER SEQUENCE give it another file; VACUUM FULL of its table does not.
SELECT format('%I.%I', n.nspname, s.relname), s.oid::int8, s.relfilenode::int8
FROM pg_catalog.pg_class AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.relnamespace
WHERE s.relkind = 'S' AND s.oid IN (
  SELECT d.objid FROM pg_catalog.pg_depend AS d
  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'i'
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = ANY ($1::int8[]::oid[])
  UNION ALL
  SELECT d.refobjid FROM pg_catalog.pg_attrdef AS f JOIN pg_catalog.pg_depend AS d ON d.objid = f.oid
  WHERE f.adrelid = ANY ($1::int8[]::oid[]) AND d.classid = 'pg_catalog.pg_attrdef'::regclass
    AND d.refclassid = 'pg_catalog.pg_class'::regclass)
