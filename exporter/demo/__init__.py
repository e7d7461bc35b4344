"""The demonstration: PostgreSQL from a wheel, a scheduler at work in it, the sidecar, and Prometheus.

Belongs here: starting and stopping those processes (``processes``, ``postgres``, ``stack``), and the shop
whose jobs they run (``workload``, ``worker``, ``producer``). Does not: anything that ``serve`` needs. The
sidecar is a process of its own, started through its command line as an operator would.
"""
