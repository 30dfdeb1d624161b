"""Topics and their subscriptions: managed ledgers and cursors. In the tree's order a topic's cursors follow it."""

from dataclasses import dataclass

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedCursorInfo, ManagedLedgerInfo
from metadata_tool.pulsar.paths import MANAGED_LEDGERS, Layout

TOPICS = (
    f"{MANAGED_LEDGERS}/<tenant>/<namespace>/persistent/<topic>",
    f"{MANAGED_LEDGERS}/<tenant>/<cluster>/<namespace>/persistent/<topic>",
)
"""The second is of the first version of topic names, which have their cluster in them."""
CURSORS = tuple(f"{topic}/<cursor>" for topic in TOPICS)
COMPACTION = "__compaction"
"""The cursor that holds where the compacted ledger is."""


@dataclass(frozen=True)
class Topic:
    """A managed ledger: `tenant/namespace` (or `tenant/cluster/namespace`), the topic's name as in the path."""

    namespace: str
    name: str
    info: ManagedLedgerInfo


@dataclass(frozen=True)
class Cursor:
    """A subscription of the topic that came before it."""

    namespace: str
    name: str
    info: ManagedCursorInfo


class Reader:
    """Tells topics and cursors from everything else."""

    def __init__(self, layout: Layout) -> None:
        self._root = f"{layout.chroot}{layout.managed_ledger_path}/".encode()
        # v2 topic, v2 cursor, v1 topic, v1 cursor: the first one that fits
        self._patterns = [
            (layout.compile(pattern), kind)
            for pair in zip(TOPICS, CURSORS, strict=True)
            for pattern, kind in zip(pair, (Topic, Cursor), strict=True)
        ]

    def read(self, path: bytes, data: bytes | None) -> Topic | Cursor | None:
        """What a znode is; None for whatever is no topic and no cursor.

        Raises:
            UndecodableError: it should be one, and cannot be read.
        """
        if not path.startswith(self._root):
            return None
        for pattern, kind in self._patterns:
            if match := pattern.fullmatch(path):
                names = [
                    match[name].decode() for name in ("tenant", "cluster", "namespace") if name in pattern.groupindex
                ]
                namespace = "/".join(names)
                if kind is Topic:
                    return Topic(namespace, match["topic"].decode(), codec.managed_ledger(data or b""))
                return Cursor(namespace, match["cursor"].decode(), codec.managed_cursor(data or b""))
        return None
