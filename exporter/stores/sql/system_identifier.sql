-- The cluster's identity; it survives restarts and failovers, and differs between clusters.
SELECT system_identifier::text FROM pg_catalog.pg_control_system()
