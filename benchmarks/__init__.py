"""What measures the program: one file for each budget, each against its peer where there is one.

Belongs here: generators of stores, load, peers, and the tables that BENCHMARKS.md is written from. Does not: anything
that the program itself needs, or that a test asserts.
"""
