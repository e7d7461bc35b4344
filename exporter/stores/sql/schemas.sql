-- The schemas that hold a relation of this name ($1), system schemas left out; with $2 also of a name that ends with it,
-- and what stands before it.
SELECT n.nspname::text, left(c.relname, length(c.relname) - length($1::text))
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE (c.relname = $1::name OR $2::boolean AND right(c.relname, length($1::text)) = $1::text)
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT c.relispartition
ORDER BY n.nspname, c.relname
