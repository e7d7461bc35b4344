"""Shares of the targets: each target in exactly one, few move when their number changes; stores are polled by one."""

from __future__ import annotations

import msgspec

from exporter.config.base import Dsn
from exporter.config.model import Config, Connections, PostgresStore, Target
from exporter.sharding import Share, owner

CONFIG = Config(
    stores=(PostgresStore(name="main", dsn=Dsn("host=h")),),
    connections=Connections(targets=tuple(Target(name=f"t{i}", host="h") for i in range(1000))),
)


def share(shard: int, total: int) -> Share:
    return Share(file=CONFIG, shard=shard, total=total)


def test_each_target_belongs_to_exactly_one_shard() -> None:
    shares = [{t.name for t in share(i, 4).config().connections.targets} for i in range(4)]
    assert sum(map(len, shares)) == len(set().union(*shares)) == 1000
    assert all(200 < len(names) < 300 for names in shares)


def test_few_targets_move_when_a_shard_is_added() -> None:
    moved = [name for i in range(1000) if owner(name := f"t{i}", 4) != owner(name, 5)]
    assert 150 < len(moved) < 250  # a fifth, and all of them to the new one
    assert {owner(name, 5) for name in moved} == {4}


def test_one_shard_alone_polls_the_stores_and_all_read_their_lists() -> None:
    shares = [share(i, 3) for i in range(3)]
    assert [len(each.polled) for each in shares] == [len(each.config().stores) for each in shares] == [1, 0, 0]
    assert [len(each.asked) for each in shares] == [1, 1, 1]
    assert share(0, 1).config() == CONFIG


def test_a_store_is_not_asked_for_nothing() -> None:
    without = msgspec.structs.replace(CONFIG, connections=Connections(from_stores=False))
    off = [Share(file=without, shard=1, total=2), Share(file=CONFIG, shard=1, total=2, checks=False)]
    assert [(each.listing, each.asked) for each in off] == [((), ()), ((), ())]
    alone = Share(file=CONFIG, checks=False)
    assert alone.listing == () and alone.asked == CONFIG.stores
