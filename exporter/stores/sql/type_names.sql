-- Names of types that the driver knows by number only: enums, extensions' types. $1: their numbers.
SELECT t::text, format_type(t, NULL) FROM unnest($1::oid[]) AS w (t)
