-- Roles whose sessions do not show what they do (track_activities is off): nobody sees when their transactions began.
SELECT DISTINCT a.usename::text
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.state = 'disabled'
ORDER BY 1
