-- How far a replica lies behind, in seconds. All that was received is replayed: 0, but only while something is there
-- to receive (a replica that lost its primary would look up to date for ever). pg_stat_wal_receiver shows every role
-- whether there is a receiver.
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
             AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL) THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
        END AS replication_lag
 WHERE pg_is_in_recovery()
