-- The cache of the sequence behind an id column: above 1, sessions draw ids far ahead of their use.
SELECT s.seqcache
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = d.objid
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.refobjid = $1::oid AND d.refobjsubid = $2::int AND d.deptype IN ('a', 'i')
