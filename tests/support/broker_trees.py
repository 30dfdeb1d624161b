"""Znodes that lead to questions for brokers."""

from collections.abc import Iterable

from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo, ManagedCursorInfo, ManagedLedgerInfo
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.pulsar.schema_locator_pb2 import SchemaLocator
from metadata_tool.zookeeper.snapshot import Node
from support.trees import node


def topic(path: str) -> Node:
    """A topic with a ledger. `path` is below the managed ledgers."""
    value = ManagedLedgerInfo(ledgerInfo=[LedgerInfo(ledgerId=3, entries=5, size=50, timestamp=1)])
    return node(b"/managed-ledgers/" + path.encode(), value.SerializeToString())


def cursor(path: str, ledger: int) -> Node:
    """A subscription whose position is in this ledger, or in the znode if that is -1."""
    value = ManagedCursorInfo(cursorsLedgerId=ledger, markDeleteLedgerId=3, markDeleteEntryId=-1)
    return node(b"/managed-ledgers/" + path.encode(), value.SerializeToString())


def locator(versions: Iterable[LocatedVersion]) -> bytes:
    """The value of a schema's locator."""
    value = SchemaLocator()
    for version in versions:
        entry = value.index.add(version=version.version, hash=version.sha256)
        entry.position.ledgerId, entry.position.entryId = 1, version.version
    if value.index:
        value.info.CopyFrom(value.index[-1])
    else:
        value.info.version = 0
        value.info.hash = b""
        value.info.position.ledgerId = value.info.position.entryId = 0
    return value.SerializeToString()
