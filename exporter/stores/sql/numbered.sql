-- What numbers the columns $3 of the relations $2 in the schemas $1: the sequence of an identity or of a default.
-- A partition is numbered by the table that it belongs to. No sequence: whoever inserts a row brings its number.
SELECT format('%I.%I', n.nspname, root.relname), a.attname::text, s.seqrelid::regclass::text, s.seqcache, s.seqincrement
FROM unnest($1::name[], $2::name[], $3::name[]) AS w (nspname, relname, attname)
JOIN pg_catalog.pg_namespace AS cn ON cn.nspname = w.nspname
JOIN pg_catalog.pg_class AS c ON c.relnamespace = cn.oid AND c.relname = w.relname AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_class AS root
  ON root.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
JOIN pg_catalog.pg_namespace AS n ON n.oid = root.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = root.oid AND a.attname = w.attname
LEFT JOIN pg_catalog.pg_sequence AS s ON s.seqrelid IN (
  SELECT d.objid FROM pg_catalog.pg_depend AS d
  WHERE a.attidentity <> '' AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'i'
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
  UNION ALL
  SELECT d.refobjid FROM pg_catalog.pg_attrdef AS f JOIN pg_catalog.pg_depend AS d ON d.objid = f.oid
  WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum AND d.classid = 'pg_catalog.pg_attrdef'::regclass
    AND d.refclassid = 'pg_catalog.pg_class'::regclass)
ORDER BY 1, 2, 3
