"""Which shard checks which target: rendezvous hashing, so that few targets move when the number of shards changes."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from exporter.config.model import Config


def owner(name: str, total: int) -> int:
    """The shard, 0 to ``total`` - 1, that checks the target of this name."""
    return max(range(total), key=lambda i: blake2b(f"{i}\x1f{name}".encode(), digest_size=8).digest())


def share(config: Config, shard: int, total: int) -> Config:
    """The configuration as one shard runs it: its targets; the stores only with shard 0, which counts them alone."""
    if total == 1:
        return config
    targets = tuple(t for t in config.connections.targets if owner(t.name, total) == shard)
    return msgspec.structs.replace(
        config,
        connections=msgspec.structs.replace(config.connections, targets=targets),
        stores=config.stores if shard == 0 else (),
    )
