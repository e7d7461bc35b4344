-- The database's own deadlocks (cumulative) and how far its oldest frozen transaction id lies back.
SELECT s.deadlocks, age(d.datfrozenxid) AS transaction_id_age
  FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid
 WHERE d.datname = current_database()
