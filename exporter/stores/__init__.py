"""Schedulers' stores: where the rows come from.

Belongs here: one adapter for each kind of store, and ``profiles/``, one YAML file of SELECTs for each scheduler known.
Does not: counting (``ledger``), clocks and error handling (``poller``).

For a PostgreSQL store: ``profile`` loads a mapping and fills its parameters in, ``catalog`` recognises the scheduler
and checks the mapping against the live tables, ``queries`` wraps the mapping's SELECTs, ``session`` asks under limits,
``marks`` decides what to read again, ``reader`` counts what finished, ``postgres`` ties them together.
"""
