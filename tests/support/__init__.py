"""What tests of several packages share: a real PostgreSQL server, free ports."""
