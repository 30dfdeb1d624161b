"""Pulsar's metadata for tests."""

import json
from collections.abc import Mapping
from typing import Any

from metadata_tool.pulsar.managed_ledger_pb2 import ManagedCursorInfo, ManagedLedgerInfo
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import Stat

NAMESPACE = "/managed-ledgers/public/default/persistent"


def ledgers(*offloaded: tuple[int, bool], terminated: bool = False) -> bytes:
    """A list of ledgers, each (id, whether it is offloaded) with 100 entries and 1000 bytes."""
    info = ManagedLedgerInfo()
    for ledger_id, complete in offloaded:
        ledger = info.ledgerInfo.add(ledgerId=ledger_id, entries=100, size=1000)
        if complete:
            ledger.offloadContext.complete = True
    if terminated:
        info.terminatedPosition.ledgerId, info.terminatedPosition.entryId = offloaded[-1][0], 99
    return info.SerializeToString()


def cursor(ledger_id: int, mark_delete: tuple[int, int] = (3, 7)) -> bytes:
    """A cursor. Its exact position is in the ledger with this id, -1 for none."""
    return ManagedCursorInfo(
        cursorsLedgerId=ledger_id, markDeleteLedgerId=mark_delete[0], markDeleteEntryId=mark_delete[1]
    ).SerializeToString()


def as_json(**fields: Any) -> bytes:
    """Compact JSON, as Pulsar writes it."""
    return json.dumps(fields, separators=(",", ":")).encode()


def tree(content: Mapping[str, bytes], cversions: Mapping[str, int] | None = None) -> list[Node]:
    """The znodes with these paths and data, and their parents, in tree order."""
    whole: dict[str, bytes] = {"": b""}
    for path, data in content.items():
        names = path.split("/")
        for depth in range(2, len(names)):
            whole.setdefault("/".join(names[:depth]), b"")
        whole[path] = data
    nodes = []
    for path, data in whole.items():
        cversion = (cversions or {}).get(path, 0)
        nodes.append(Node(path.encode(), data, OPEN_ACL_KEY, Stat(1, 1, 1, 1, 0, cversion, 0, 0, 1).pack()))
    return sorted(nodes, key=lambda node: tree_key(node.path))
