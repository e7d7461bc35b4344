"""Packs: SQL metrics of the user's own, in files; and those that come with the program (``files/``).

Belongs here: what a pack's file may say, asking its queries, counting their rows. Does not: when they are asked and
what becomes of a failure (``poller``), how a store is reached (``stores``), how a metric looks (``metrics``).

``load`` finds and checks the files, ``forms`` reads their two forms; ``snapshots`` asks what is now, ``counting``
counts rows by a cursor; ``asking`` makes each query a collector, ``chosen`` tells which store has which.
"""
