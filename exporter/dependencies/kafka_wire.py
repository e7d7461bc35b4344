"""Kafka's protocol as far as it is needed: requests as bytes, answers as values. Pure.

Versions are those that every broker from 1.0 on speaks, 4.x included; none of them has tagged fields.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

CLIENT_ID: Final = "scheduler-exporter"
#: Elements of a list in an answer, at most.
_MOST: Final = 1_000_000


class Api(msgspec.Struct, frozen=True):
    """A kind of request: its key, and the version that is used."""

    name: str
    key: int
    version: int


LIST_OFFSETS: Final = Api("ListOffsets", 2, 1)
METADATA: Final = Api("Metadata", 3, 4)
OFFSET_FETCH: Final = Api("OffsetFetch", 9, 2)
FIND_COORDINATOR: Final = Api("FindCoordinator", 10, 0)
SASL_HANDSHAKE: Final = Api("SaslHandshake", 17, 1)
API_VERSIONS: Final = Api("ApiVersions", 18, 0)
SASL_AUTHENTICATE: Final = Api("SaslAuthenticate", 36, 0)

_WORDS: Final = {
    3: "unknown topic or partition",
    5: "a partition has no leader",
    6: "the broker is not the leader any more",
    14: "the coordinator loads the group",
    15: "there is no coordinator",
    16: "the broker is not the coordinator any more",
    17: "invalid topic name",
    29: "the user may not describe the topic",
    30: "the user may not describe the group",
    33: "the broker does not offer SASL PLAIN",
    35: "the broker does not know the version of the request",
    58: "the login was refused",
}


def words(code: int) -> str:
    """An error's code for people."""
    return _WORDS.get(code, f"error {code}")


class Node(msgspec.Struct, frozen=True):
    """A broker."""

    id: int
    host: str
    port: int


class Topic(msgspec.Struct, frozen=True):
    """A topic; ``leaders`` has each partition's broker, -1 where there is none."""

    name: str
    error: int
    leaders: dict[int, int]


#: (topic, partition) -> an offset, or an error's code where there is none.
Positions = dict[tuple[str, int], "Position"]


class Position(msgspec.Struct, frozen=True):
    """An offset; ``error`` is 0 where it is known. -1 in a group that has committed nothing."""

    offset: int
    error: int


class WireError(Exception):
    """Bytes that are no answer of Kafka's."""


# -- requests


def framed(api: Api, correlation: int, body: bytes) -> bytes:
    """A whole request."""
    head = struct.pack(">hhi", api.key, api.version, correlation) + _text(CLIENT_ID)
    return _blob(head + body)


def metadata_of(topics: Iterable[str]) -> bytes:
    """The brokers, and these topics; none is made by asking for it."""
    return _list(_text(name) for name in topics) + b"\0"


def ends_of(partitions: dict[str, list[int]]) -> bytes:
    """Where the logs of these partitions end."""
    return struct.pack(">i", -1) + _by_topic(partitions, lambda part: struct.pack(">iq", part, -1))


def committed_by(group: str, partitions: dict[str, list[int]]) -> bytes:
    """Where a group stands."""
    return _text(group) + _by_topic(partitions, lambda part: struct.pack(">i", part))


def coordinator_of(group: str) -> bytes:
    """Which broker knows about a group."""
    return _text(group)


def plain() -> bytes:
    """The wish to log in with SASL PLAIN."""
    return _text("PLAIN")


def login(user: str, password: str) -> bytes:
    """SASL PLAIN's only message."""
    return _blob(f"\0{user}\0{password}".encode())


def _by_topic(partitions: dict[str, list[int]], encode: Callable[[int], bytes]) -> bytes:
    return _list(_text(topic) + _list(map(encode, parts)) for topic, parts in partitions.items())


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def _blob(raw: bytes) -> bytes:
    return struct.pack(">i", len(raw)) + raw


def _list(items: Iterable[bytes]) -> bytes:
    found = list(items)
    return struct.pack(">i", len(found)) + b"".join(found)


# -- answers


class Answer:
    """Takes an answer apart, from its beginning. Raises WireError where it does not hold what is taken."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def number(self, kind: str) -> int:
        """An integer of one of ``struct``'s kinds."""
        try:
            (value,) = struct.unpack_from(f">{kind}", self._raw, self._at)
        except struct.error:
            raise WireError from None
        self._at += struct.calcsize(f">{kind}")
        return int(value)

    def text(self) -> str:
        """A text; one that is null is empty."""
        length = max(0, self.number("h"))
        raw = self._raw[self._at : self._at + length]
        if len(raw) < length:
            raise WireError
        self._at += length
        return raw.decode("utf-8", "replace")

    def items(self, item: Callable[[Answer], T]) -> list[T]:
        """A list; one that is null is empty."""
        length = self.number("i")
        if length > _MOST:
            raise WireError
        return [item(self) for _ in range(length)]


def versions(answer: Answer) -> dict[int, tuple[int, int]]:
    """Key -> least and greatest version that the broker speaks."""
    if answer.number("h"):
        return {}
    return dict(answer.items(lambda a: (a.number("h"), (a.number("h"), a.number("h")))))


def cluster(answer: Answer) -> tuple[list[Node], list[Topic]]:
    """Brokers and topics."""
    answer.number("i")
    nodes = answer.items(_node)
    answer.text()
    answer.number("i")
    return nodes, answer.items(_topic)


def _node(answer: Answer) -> Node:
    node = Node(answer.number("i"), answer.text(), answer.number("i"))
    answer.text()
    return node


def _topic(answer: Answer) -> Topic:
    error, name = answer.number("h"), answer.text()
    answer.number("b")
    return Topic(name, error, dict(answer.items(_leader)))


def _leader(answer: Answer) -> tuple[int, int]:
    answer.number("h")
    partition, leader = answer.number("i"), answer.number("i")
    for _ in ("replicas", "in-sync replicas"):
        answer.items(lambda a: a.number("i"))
    return partition, leader


def ends(answer: Answer) -> Positions:
    """The ends of logs."""
    return _positions(answer, _end)


def _end(answer: Answer) -> tuple[int, Position]:
    partition, error, _timestamp, offset = (answer.number(kind) for kind in "ihqq")
    return partition, Position(offset, error)


def committed(answer: Answer) -> tuple[Positions, int]:
    """Where a group stands, and an error's code."""
    return _positions(answer, _commit), answer.number("h")


def _commit(answer: Answer) -> tuple[int, Position]:
    partition, offset = answer.number("i"), answer.number("q")
    answer.text()
    return partition, Position(offset, answer.number("h"))


def _positions(answer: Answer, item: Callable[[Answer], tuple[int, Position]]) -> Positions:
    topics = answer.items(lambda a: (a.text(), a.items(item)))
    return {(topic, partition): position for topic, parts in topics for partition, position in parts}


def coordinator(answer: Answer) -> tuple[int, Node]:
    """An error's code, and the broker."""
    error = answer.number("h")
    return error, Node(answer.number("i"), answer.text(), answer.number("i"))


def error_of(answer: Answer) -> int:
    """The code that an answer begins with."""
    return answer.number("h")
