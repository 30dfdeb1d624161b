"""Finds topics and their subscriptions: managed ledgers and cursors. In tree order, a topic's cursors follow it.

A segment of a scalable topic (PIP-460) is a managed ledger of its own, and counts as a topic.
"""

import re
from typing import NamedTuple

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedCursorInfo, ManagedLedgerInfo
from metadata_tool.pulsar.paths import MANAGED_LEDGERS, Layout

TOPICS = (
    f"{MANAGED_LEDGERS}/<tenant>/<namespace>/persistent/<topic>",
    f"{MANAGED_LEDGERS}/<tenant>/<cluster>/<namespace>/persistent/<topic>",
    f"{MANAGED_LEDGERS}/<tenant>/<namespace>/segment/<topic>/<range>",
)
"""The second pattern is for V1 topic names, which include the cluster, the third for segments of scalable topics."""
CURSORS = tuple(f"{topic}/<cursor>" for topic in TOPICS)
HEALTH_CHECKS = f"{MANAGED_LEDGERS}/pulsar/<cluster>/<broker>/persistent/healthcheck/**"
"""The topic with a V1 name by which each broker checks its own health (HealthChecker). No other client reads it."""
COMPACTION = b"__compaction"
"""The name of the cursor that stores the id of the compacted ledger."""
DEDUPLICATION = b"pulsar.dedup"
"""The name of the cursor with the last sequence id of each producer at its position (MessageDeduplication)."""

_PERSISTENT, _SEGMENT = b"persistent", b"segment"
_RANGE = re.compile(rb"[0-9a-f]{4}-[0-9a-f]{4}-[0-9]+")
"""First and last hash, and the segment's id (SegmentTopicName.formatDescriptor)."""


class _Place(NamedTuple):
    """How many names the path of a topic has below the managed ledgers: those of its namespace, and all."""

    namespace: int
    topic: int


_V2, _V1, _OF_SEGMENT = _Place(2, 4), _Place(3, 5), _Place(2, 5)


def place_of(names: list[bytes]) -> _Place | None:
    """Whether these names below the managed ledgers are a topic's, or its cursor's. None if they are neither."""
    count = len(names)
    if not 4 <= count <= 6:
        return None
    if names[2] == _PERSISTENT and count <= 5:
        return _V2
    if count == 4:
        return None
    if names[3] != _PERSISTENT:
        return _OF_SEGMENT if names[2] == _SEGMENT else None
    is_segment = names[2] == _SEGMENT and _RANGE.fullmatch(names[4])  # if not, a V1 namespace is called `segment`
    return _OF_SEGMENT if is_segment else _V1


class Topic(NamedTuple):
    """A managed ledger. `namespace` is `tenant/namespace` or `tenant/cluster/namespace`, `name` is as in the path.

    The name of a segment is `topic/range`, and its domain is `segment`.
    """

    namespace: str
    name: str
    info: ManagedLedgerInfo
    domain: str = "persistent"

    @property
    def managed_ledger(self) -> str:
        """The name of the managed ledger, which is its path below the managed ledgers."""
        return f"{self.namespace}/{self.domain}/{self.name}"

    @property
    def is_health_check(self) -> bool:
        """Whether a broker uses the topic to check its own health."""
        return self.name == "healthcheck" and self.namespace.startswith("pulsar/")


class Cursor(NamedTuple):
    """A subscription of the topic before it in tree order. `name` is as in the path."""

    name: bytes
    info: ManagedCursorInfo


class Undecodable:
    """A znode with the path of a topic or a cursor, whose value cannot be decoded."""


class TopicDecoder:
    """Decodes topics and cursors. It matches TOPICS and CURSORS, but faster than regular expressions do."""

    def __init__(self, layout: Layout) -> None:
        self.root = f"{layout.chroot}{layout.managed_ledger_path}/".encode()
        """The prefix of the paths of all topics and cursors."""

    def decode(self, path: bytes, data: bytes | None) -> Topic | Cursor | Undecodable | None:
        """The topic or the cursor in a znode, None if the path is not one of theirs."""
        try:
            return self._decode(path, data) if path.startswith(self.root) else None
        except codec.UndecodableError:
            return Undecodable()

    def understands(self, path: bytes) -> bool:
        """Whether this is the path of a topic or a cursor, or not below the managed ledgers."""
        return not path.startswith(self.root) or place_of(path[len(self.root) :].split(b"/")) is not None

    def _decode(self, path: bytes, data: bytes | None) -> Topic | Cursor | None:
        names = path[len(self.root) :].split(b"/")
        place = place_of(names)
        if place is None:
            return None
        if len(names) > place.topic:
            return Cursor(names[-1], codec.require_complete(codec.managed_cursor(data or b"")))
        (*namespace, domain), name = names[: place.namespace + 1], names[place.namespace + 1 :]
        info = codec.require_complete(codec.managed_ledger(data or b""))
        return Topic(b"/".join(namespace).decode(), b"/".join(name).decode(), info, domain.decode())
