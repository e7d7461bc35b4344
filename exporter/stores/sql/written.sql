-- The timeline that a primary writes, and how many bytes of write-ahead log there are. Refused by a standby.
SELECT ('x' || left(pg_walfile_name(w.lsn), 8))::bit(32)::int, (w.lsn - '0/0')::int8
FROM pg_current_wal_lsn() AS w (lsn)
