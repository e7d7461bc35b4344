-- Who asks, and which PostgreSQL answers, in words.
SELECT current_user::text, current_setting('server_version')
