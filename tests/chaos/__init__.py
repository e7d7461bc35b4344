"""The chaos run: writers, crashes, kills and jumping clocks for minutes; then every execution was counted exactly once.

``make chaos`` runs it, ``tests/chaos/test_chaos.py`` is the same run in the suite. Everything is real: PostgreSQL, the
sidecar's process, a Prometheus that scrapes it every second.

Truth is an audit table that a trigger fills in the writers' own transactions: it knows rows that were deleted or
retried in place later, and it is compared with what the writers saw committed. The sidecar never reads it.

What is promised, and so what the writers keep to (``late_window`` is 30 s here):

- A transaction may stay open, or prepared, for as long as it likes: longer than ``late_window`` too.
- A stamp that an application's clock drew may be older than its BEGIN by less than ``late_window``. Where the server's
  clock jumps as well, both add up: at BEGIN no stamp may be older than ``late_window`` before the *greatest* time that
  the server's clock has ever shown. Jumps of 20 s, skews up to 3 s and waits up to 2 s keep to that.
- A stamp in the future is counted when the server's clock gets there.
- Only rows that were counted are deleted or retried in place: what goes between two polls nobody can see. ``watch``
  decides that from the sidecar's own cursor.
- The sidecar's own wall clock does not matter.

Layout: ``plan`` what happens when, ``world`` the servers, ``clocks`` time that jumps, ``writers`` and ``work`` the
load, ``director`` the faults, ``verdict`` the comparison.
"""
