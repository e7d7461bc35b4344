"""The sidecar's own memory: SQLite in one file, every finished execution counted exactly once.

Belongs here: the state file, counters and histograms, the keys already counted, cursor state, per-job state. Does not:
asking a store (``stores``), showing anything (``metrics``, ``api``).

``ledger`` is the asynchronous face; ``keeper`` keeps the file open whatever becomes of it, ``database`` opens it,
``schema`` is its inside; ``account`` one store's staged and committed counts; ``tally`` the arithmetic; ``cursor`` what
a poll must remember; ``inspection`` and ``verification`` read the file from another process.
"""
