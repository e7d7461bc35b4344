"""Shares of the targets: each target in exactly one, few move when their number changes."""

from __future__ import annotations

from exporter.config.model import Config, Connections, Dsn, PostgresStore, Target
from exporter.sharding import owner, share

CONFIG = Config(
    stores=(PostgresStore(name="main", dsn=Dsn("host=h")),),
    connections=Connections(targets=tuple(Target(name=f"t{i}", host="h") for i in range(1000))),
)


def test_each_target_belongs_to_exactly_one_shard() -> None:
    shares = [{t.name for t in share(CONFIG, i, 4).connections.targets} for i in range(4)]
    assert sum(map(len, shares)) == len(set().union(*shares)) == 1000
    assert all(200 < len(names) < 300 for names in shares)


def test_few_targets_move_when_a_shard_is_added() -> None:
    moved = [name for i in range(1000) if owner(name := f"t{i}", 4) != owner(name, 5)]
    assert 150 < len(moved) < 250  # a fifth, and all of them to the new one
    assert {owner(name, 5) for name in moved} == {4}


def test_one_shard_alone_reads_the_stores() -> None:
    assert [len(share(CONFIG, i, 3).stores) for i in range(3)] == [1, 0, 0]
    assert share(CONFIG, 0, 1) is CONFIG
