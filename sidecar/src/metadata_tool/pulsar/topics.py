"""Finds topics and their subscriptions: managed ledgers and cursors. In tree order, a topic's cursors follow it."""

from typing import NamedTuple

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedCursorInfo, ManagedLedgerInfo
from metadata_tool.pulsar.paths import MANAGED_LEDGERS, Layout

TOPICS = (
    f"{MANAGED_LEDGERS}/<tenant>/<namespace>/persistent/<topic>",
    f"{MANAGED_LEDGERS}/<tenant>/<cluster>/<namespace>/persistent/<topic>",
)
"""The second pattern is for V1 topic names, which include the cluster."""
CURSORS = tuple(f"{topic}/<cursor>" for topic in TOPICS)
HEALTH_CHECKS = f"{MANAGED_LEDGERS}/pulsar/<cluster>/<broker>/persistent/healthcheck/**"
"""The topic with a V1 name by which each broker checks its own health (HealthChecker). No other client reads it."""
COMPACTION = b"__compaction"
"""The name of the cursor that stores the id of the compacted ledger."""

_DOMAIN = b"persistent"


class Topic(NamedTuple):
    """A managed ledger. `namespace` is `tenant/namespace` or `tenant/cluster/namespace`, `name` is as in the path."""

    namespace: str
    name: str
    info: ManagedLedgerInfo

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

    def _decode(self, path: bytes, data: bytes | None) -> Topic | Cursor | None:
        names = path[len(self.root) :].split(b"/")
        count = len(names)
        for depth in (2, 3):  # of the namespace: V1 names include the cluster
            if depth + 2 <= count <= depth + 3 and names[depth] == _DOMAIN:
                if count == depth + 3:
                    return Cursor(names[-1], codec.require_complete(codec.managed_cursor(data or b"")))
                namespace = b"/".join(names[:depth]).decode()
                return Topic(namespace, names[-1].decode(), codec.require_complete(codec.managed_ledger(data or b"")))
        return None
