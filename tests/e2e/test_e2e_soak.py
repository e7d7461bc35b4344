"""``make soak`` as it is without a flag, five minutes: nothing grows, and everything that ended was counted.

It runs in a process of its own from the beginning of the whole run on, beside the other tests, and is judged last.
"""

from __future__ import annotations

from soak.beside import Soak


def test_a_sidecar_at_work_does_not_grow(soak: Soak) -> None:
    soak.wait()
    print(soak.said())
    assert soak.status == 0, soak.said()
