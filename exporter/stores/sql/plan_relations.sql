-- The tables and indexes of a plan. $1, $2: their schemas and names. Rows are estimated as the planner does it: the
-- density at the last ANALYZE times the size now; a hundred bytes for each row where there was none.
-- The root is the partitioned table that a partition belongs to: what an index is to be made on.
SELECT n.nspname::text, c.relname::text,
       CASE WHEN c.reltuples >= 0 AND c.relpages > 0
            THEN c.reltuples / c.relpages * pg_relation_size(c.oid) / current_setting('block_size')::int
            ELSE pg_relation_size(c.oid) / 100.0 END::int8,
       format('%I.%I', rn.nspname, root.relname), root.relkind::text,
       array(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull),
       array(SELECT a.attname::text
             FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND t.typtype = 'e'),
       array(SELECT a.attname::text
             FROM pg_catalog.pg_index AS i
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL),
       array(SELECT DISTINCT a.attname::text
             FROM pg_catalog.pg_index AS i
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum IN (i.indkey[0], i.indkey[1])
             WHERE i.indrelid = c.oid AND i.indisvalid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS root
  ON root.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
JOIN pg_catalog.pg_namespace AS rn ON rn.oid = root.relnamespace
WHERE (n.nspname, c.relname) IN (SELECT s, r FROM unnest($1::name[], $2::name[]) AS w (s, r))
