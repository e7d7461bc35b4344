"""The HTTP server: listeners, TLS, users, limits, one error envelope, metrics of every request.

Belongs here: what is true of every request, whatever it asks. Does not: paths and what they answer
(``exporter.api``, ``exporter.pages``). Handlers get all they need from a ``Context``; none of them
reaches for a database.
"""
