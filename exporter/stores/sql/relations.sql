-- Which of the relations and columns that a profile needs are there. $1: relations as the profile writes them.
SELECT r.name, array(
         SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
         WHERE a.attrelid = to_regclass(r.name) AND a.attnum > 0 AND NOT a.attisdropped)
FROM unnest($1::text[]) AS r (name)
WHERE to_regclass(r.name) IS NOT NULL
