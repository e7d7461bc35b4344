"""Schedulers that are asked over HTTP: their own monitoring APIs turned into the parts that PostgreSQL stores have.

Belongs here: ``client``, one request and all that may be wrong with its answer; ``store``, when what is asked;
``history``, statistics out of what is told; one module for what each API tells, and one for its wire shapes. Does not:
counting. What these APIs tell of the past is a sliding window, which is no counter.
"""
