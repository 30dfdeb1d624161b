"""Topics and their subscriptions: managed ledgers and cursors. In the tree's order a topic's cursors follow it."""

from typing import NamedTuple

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedCursorInfo, ManagedLedgerInfo
from metadata_tool.pulsar.paths import MANAGED_LEDGERS, Layout

TOPICS = (
    f"{MANAGED_LEDGERS}/<tenant>/<namespace>/persistent/<topic>",
    f"{MANAGED_LEDGERS}/<tenant>/<cluster>/<namespace>/persistent/<topic>",
)
"""The second is of the first version of topic names, which have their cluster in them."""
CURSORS = tuple(f"{topic}/<cursor>" for topic in TOPICS)
HEALTH_CHECKS = f"{MANAGED_LEDGERS}/pulsar/<cluster>/<broker>/persistent/healthcheck/**"
"""A topic of each broker, with a name of the first version, that nobody reads (HealthChecker)."""
COMPACTION = b"__compaction"
"""The cursor that holds where the compacted ledger is."""


class Topic(NamedTuple):
    """A managed ledger: `tenant/namespace` (or `tenant/cluster/namespace`), the topic's name as in the path."""

    namespace: str
    name: str
    info: ManagedLedgerInfo

    @property
    def is_health_check(self) -> bool:
        """Whether a broker made it to check its own health."""
        return self.name == "healthcheck" and self.namespace.startswith("pulsar/")


class Cursor(NamedTuple):
    """A subscription of the topic that came before it; its name as in the path."""

    name: bytes
    info: ManagedCursorInfo


class Undecodable:
    """What should be a topic or a cursor, and cannot be read."""


class Reader:
    """Tells topics and cursors from everything else: TOPICS and CURSORS, without the cost of their expressions."""

    def __init__(self, layout: Layout) -> None:
        self.root = f"{layout.chroot}{layout.managed_ledger_path}/".encode()
        """What all of their paths begin with."""

    def read(self, path: bytes, data: bytes | None) -> Topic | Cursor | Undecodable | None:
        """What a znode is; None for whatever is no topic and no cursor."""
        try:
            return self._read(path, data) if path.startswith(self.root) else None
        except codec.UndecodableError:
            return Undecodable()

    def _read(self, path: bytes, data: bytes | None) -> Topic | Cursor | None:
        names = path[len(self.root) :].split(b"/")
        count = len(names)
        for depth in (2, 3):  # of the namespace; the first version has its cluster in between
            if depth + 2 <= count <= depth + 3 and names[depth] == _DOMAIN:
                if count == depth + 3:
                    return Cursor(names[-1], codec.require_whole(codec.managed_cursor(data or b"")))
                namespace = b"/".join(names[:depth]).decode()
                return Topic(namespace, names[-1].decode(), codec.require_whole(codec.managed_ledger(data or b"")))
        return None


_DOMAIN = b"persistent"
