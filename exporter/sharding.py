"""Which shard checks which target: rendezvous hashing, so that few targets move when the number of shards changes.

And what of the stores is a shard's own: shard 0 alone polls them, the others read only which targets they list.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from exporter.config.model import AnyStore, Config, Connections, PostgresStore


def owner(name: str, total: int) -> int:
    """The shard, 0 to ``total`` - 1, that checks the target of this name."""
    return max(range(total), key=lambda i: blake2b(f"{i}\x1f{name}".encode(), digest_size=8).digest())


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one shard has to do of a configuration (``file``). ``checks``: whether targets are checked at all,
    ``dependencies`` whether those are.
    """

    file: Config
    shard: int = 0
    total: int = 1
    checks: bool = True
    dependencies: bool = True

    def owns(self, name: str) -> bool:
        """Whether the target of this name is checked here."""
        return owner(name, self.total) == self.shard

    @property
    def polled(self) -> tuple[AnyStore, ...]:
        """The stores whose executions are counted here: two shards would count them twice."""
        return self.file.stores if self.shard == 0 else ()

    @property
    def listing(self) -> tuple[str, ...]:
        """The names of the stores that are asked for their connections here."""
        wanted = self.checks and self.file.connections.from_stores
        return tuple(s.name for s in self.file.stores if isinstance(s, PostgresStore)) if wanted else ()

    @property
    def asked(self) -> tuple[AnyStore, ...]:
        """The stores that are asked anything here."""
        return self.polled or tuple(s for s in self.file.stores if s.name in self.listing)

    def config(self, connections: Connections | None = None) -> Config:
        """The configuration as it is in force here; ``connections`` has the targets with those that stores list."""
        if connections is None:
            own = tuple(target for target in self.file.connections.targets if self.owns(target.name))
            connections = replace(self.file.connections, targets=own)
        dependencies = self.file.dependencies if self.dependencies and self.shard == 0 else ()
        return replace(self.file, stores=self.polled, connections=connections, dependencies=dependencies)
