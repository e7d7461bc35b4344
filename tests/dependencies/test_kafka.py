"""Kafka's protocol with a broker that others wrote, and a client that others wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from dependencies.conftest import HOST, QUICK, watching
from support.kafka_broker import KafkaBroker, kafka_broker
from support.ports import free_port

from exporter.config.model import KafkaDependency
from exporter.dependencies import CONSUMED, PRODUCED, kafka_wire

GROUP, TOPIC = "workers", "orders"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with kafka_broker(tmp_path_factory.mktemp("kafka")) as broker:
        broker.create(TOPIC)
        yield broker


def config(*brokers: str, **changes: object) -> KafkaDependency:
    values = {**QUICK, "name": "events", "kind": "kafka", "brokers": brokers}
    return KafkaDependency(**{**values, **changes})  # type: ignore[arg-type]


async def test_what_is_produced_and_consumed_is_counted_exactly(broker: KafkaBroker) -> None:
    produced, consumed = (PRODUCED, TOPIC), (CONSUMED, GROUP, TOPIC)
    await broker.produce(TOPIC, 5)
    async with watching(config(broker.address, topics=(TOPIC,), groups=(GROUP,))) as watched:
        state = await watched.checked("events")
        assert (state.result, state.message) == ("ok", None)
        assert state.counts == {produced: 0, consumed: 0}  # what was before is history

        await broker.produce(TOPIC, 9)
        assert (await watched.again("events")).counts == {produced: 9, consumed: 0}

        # The first position that a group has tells where it is, not how it came there.
        await broker.commit(TOPIC, GROUP, {0: 2, 1: 1})
        assert (await watched.again("events")).counts[consumed] == 0
        await broker.commit(TOPIC, GROUP, {0: 4, 1: 3})
        assert (await watched.again("events")).counts[consumed] == 4
        # A group that is set back consumes nothing by that.
        await broker.commit(TOPIC, GROUP, {0: 1})
        assert (await watched.again("events")).counts[consumed] == 4
        await broker.commit(TOPIC, GROUP, {0: 3})
        assert (await watched.again("events")).counts == {produced: 9, consumed: 6}


async def test_one_broker_that_answers_is_enough_and_a_topic_has_to_be_there(broker: KafkaBroker) -> None:
    async with watching(
        config(f"{HOST}:{free_port()}", broker.address),
        config(broker.address, name="topic", topics=("nowhere",)),
        config(f"{HOST}:{free_port()}", name="away"),
    ) as watched:
        assert (await watched.checked("events")).result == "ok"
        state = await watched.checked("topic")
        assert (state.result, state.message) == ("answer", "topic nowhere: unknown topic or partition")
        assert (await watched.checked("away")).result == "refused"
        # Asking for a topic makes none.
        assert (await watched.again("topic")).result == "answer"


@pytest.mark.parametrize("raw", [b"\0", b"\0\0\0\x01", b"\0\0\0\x01\0\0\0\x05\0\xff", b"\x7f" * 64])
@pytest.mark.parametrize("read", [kafka_wire.cluster, kafka_wire.ends, kafka_wire.committed, kafka_wire.coordinator])
def test_bytes_that_are_no_answer_are_told_as_such(read: Callable[[kafka_wire.Answer], object], raw: bytes) -> None:
    with pytest.raises(kafka_wire.WireError):
        read(kafka_wire.Answer(raw))
