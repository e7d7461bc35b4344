"""``profile check``: a profile held against its live store, and what is found told to people.

Belongs here: what columns a profile's SELECTs give and whether they fit (``columns``; the start of a store asks this
too), what the planner makes of the statements of a poll (``plans``, ``scans``), row-level security, privileges, sample
rows (``examine``), the report (``report``) and how it reads in a terminal (``render``). Does not: polling.
"""
