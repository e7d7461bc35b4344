"""Pages for people: HTML made on the server from the snapshot, without scripts and assets from elsewhere.

Belongs here: templates and what they show. Does not: JSON (``exporter.api``), what is true of every
answer (``exporter.httpd``).
"""
