-- Where the server says that it was reached.
SELECT coalesce(host(inet_server_addr()), 'a local socket') || ', port ' || current_setting('port')
