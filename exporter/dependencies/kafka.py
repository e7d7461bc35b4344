"""Kafka, by its protocol: who is in the cluster, where topics end, where consumer groups stand.

Belongs here: which broker is asked what, and what is counted. Does not: bytes (``kafka_wire``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, TypeVar

from exporter.config.model import KafkaDependency
from exporter.config.urls import broker_place
from exporter.dependencies import kafka_wire as wire
from exporter.dependencies.link import Dialer, Link, trust
from exporter.dependencies.login import Guard
from exporter.dependencies.results import CONSUMED, PRODUCED, CheckFailed, Count, Tally
from exporter.vault.references import Secrets

T = TypeVar("T")
#: A host and a port; a user and a password.
Place = tuple[str, int]
Login = tuple[str, str]

#: Bytes of an answer, at most.
_LARGEST: Final = 16 * 1024 * 1024
_NEEDED: Final = (wire.METADATA, wire.LIST_OFFSETS, wire.FIND_COORDINATOR, wire.OFFSET_FETCH)


class KafkaCheck:
    """Checks one cluster: it is up when a broker tells about it and every configured topic has its leaders."""

    def __init__(self, config: KafkaDependency, secrets: Secrets, dialer: Dialer) -> None:
        self._config = config
        self._dialer = dialer
        self._guard = Guard(config, secrets)
        self._tally = Tally()
        #: The topics that were there at an earlier check: a partition that they get later began at 0.
        self._known: set[str] = set()

    async def check(self) -> Mapping[Count, int]:
        """What has been counted. Raises CheckFailed, CredentialsError, OSError."""
        await self._guard.login(self._visit)
        return self._tally.totals

    async def close(self) -> None:
        """Nothing is kept."""

    async def _visit(self, user: str | None, password: str | None) -> None:
        login = (user, password) if user is not None and password is not None else None
        place, nodes, topics = await self._first(login)
        partitions = {topic.name: sorted(topic.leaders) for topic in topics}
        if not topics:
            return
        ends = await self._ends(nodes, topics, login)
        groups = {group: await self._committed(group, place, partitions, login) for group in self._config.groups}
        self._count(ends, groups)

    async def _first(self, login: Login | None) -> tuple[Place, dict[int, wire.Node], list[wire.Topic]]:
        """The first of the configured brokers that answers, and what it tells about the cluster."""
        *others, last = (broker_place(text) for text in self._config.brokers)
        for place in others:
            with contextlib.suppress(OSError, EOFError):  # TimeoutError is an OSError
                async with asyncio.timeout(self._config.timeout / 2 / len(others)):
                    return place, *await self._cluster(place, login)
        return last, *await self._cluster(last, login)

    async def _cluster(self, place: Place, login: Login | None) -> tuple[dict[int, wire.Node], list[wire.Topic]]:
        async with self._broker(*place, login) as broker:
            spoken = await broker.ask(wire.API_VERSIONS, b"", wire.versions)
            for api in _NEEDED:
                least, greatest = spoken.get(api.key, (0, -1))
                if not least <= api.version <= greatest:
                    raise CheckFailed("answer", f"the broker does not speak version {api.version} of {api.name}")
            nodes, topics = await broker.ask(wire.METADATA, wire.metadata_of(self._config.topics), wire.cluster)
        for topic in topics:
            if topic.error or -1 in topic.leaders.values():
                raise CheckFailed("answer", f"topic {topic.name}: {wire.words(topic.error or 5)}")
        return {node.id: node for node in nodes}, topics

    async def _ends(
        self, nodes: Mapping[int, wire.Node], topics: list[wire.Topic], login: Login | None
    ) -> dict[tuple[str, int], int]:
        """Where each partition ends, as its leader says."""
        led: dict[int, dict[str, list[int]]] = {}
        for topic in topics:
            for partition, leader in topic.leaders.items():
                led.setdefault(leader, {}).setdefault(topic.name, []).append(partition)
        found: wire.Positions = {}
        for leader, partitions in led.items():
            if leader not in nodes:
                raise CheckFailed("answer", f"a partition of {next(iter(partitions))} is led by an unknown broker")
            async with self._broker(nodes[leader].host, nodes[leader].port, login) as broker:
                found |= await broker.ask(wire.LIST_OFFSETS, wire.ends_of(partitions), wire.ends)
        return _offsets(found)

    async def _committed(
        self, group: str, place: Place, partitions: dict[str, list[int]], login: Login | None
    ) -> dict[tuple[str, int], int]:
        """Where a group stands in each partition, as its coordinator says; -1 where it has committed nothing."""
        async with self._broker(*place, login) as broker:
            error, node = await broker.ask(wire.FIND_COORDINATOR, wire.coordinator_of(group), wire.coordinator)
        if error:
            raise CheckFailed("answer", f"group {group}: {wire.words(error)}")
        async with self._broker(node.host, node.port, login) as broker:
            asked = wire.committed_by(group, partitions)
            found, error = await broker.ask(wire.OFFSET_FETCH, asked, wire.committed)
        if error:
            raise CheckFailed("answer", f"group {group}: {wire.words(error)}")
        return _offsets(found)

    def _count(self, ends: Mapping[tuple[str, int], int], groups: Mapping[str, Mapping[tuple[str, int], int]]) -> None:
        for (topic, partition), end in ends.items():
            first = 0 if topic in self._known else None
            self._tally.seen((PRODUCED, topic), end, part=partition, first=first)
        self._known.update(topic for topic, _ in ends)
        for group, positions in groups.items():
            for (topic, partition), offset in positions.items():
                self._tally.nothing((CONSUMED, group, topic))
                if offset >= 0:
                    self._tally.moved((CONSUMED, group, topic), offset, part=partition)

    @contextlib.asynccontextmanager
    async def _broker(self, host: str, port: int, login: Login | None) -> AsyncIterator[_Broker]:
        tls = trust(self._config.ca_file) if self._config.tls else None
        async with self._dialer.connected(host, port, tls) as link:
            broker = _Broker(link)
            if login is not None:
                await broker.log_in(*login)
            yield broker


def _offsets(positions: wire.Positions) -> dict[tuple[str, int], int]:
    for (topic, _), position in positions.items():
        if position.error:
            raise CheckFailed("answer", f"topic {topic}: {wire.words(position.error)}")
    return {place: position.offset for place, position in positions.items()}


class _Broker:
    """One broker, asked one thing at a time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._asked = 0

    async def ask(self, api: wire.Api, body: bytes, read: Callable[[wire.Answer], T]) -> T:
        """What ``read`` makes of the answer. Raises CheckFailed for what is none."""
        self._asked += 1
        await self._link.say(wire.framed(api, self._asked, body))
        length = int.from_bytes(await self._link.reader.readexactly(4))
        if length > _LARGEST:
            raise CheckFailed("answer", "what answers is no Kafka broker")
        answer = wire.Answer(await self._link.reader.readexactly(length))
        try:
            if answer.number("i") == self._asked:
                return read(answer)
        except wire.WireError:
            pass
        raise CheckFailed("answer", f"what answers {api.name} is no Kafka broker")

    async def log_in(self, user: str, password: str) -> None:
        """SASL PLAIN. Raises CheckFailed."""
        if error := await self.ask(wire.SASL_HANDSHAKE, wire.plain(), wire.error_of):
            raise CheckFailed("auth", wire.words(error))
        if error := await self.ask(wire.SASL_AUTHENTICATE, wire.login(user, password), wire.error_of):
            raise CheckFailed("auth", wire.words(error))
