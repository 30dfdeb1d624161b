"""Metadata as large clusters have it: topics with ten ledgers and two subscriptions, and BookKeeper's ledgers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metadata_tool import archive
from metadata_tool.broker_metadata.broker_file import BrokerFile
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.manifest import FORMAT_VERSION, Manifest, SnapshotFile, snapshot_name
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedCursorInfo, ManagedLedgerInfo
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.store import parse_location
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat

ZXID = 0x5_0000_0064
TIMESTAMP = 1_623_721_488_825
_STAT = Stat(1, 1, TIMESTAMP, TIMESTAMP, 0, 0, 0, 0, 1)
_TOPICS_PER_NAMESPACE = 1000
_LEDGERS = 10


def pulsar_shaped(znodes: int) -> Iterator[Node]:
    """About this many znodes, in tree order. Of five, one is a topic, two are its cursors, and two are ledgers."""
    topics = znodes // 5
    yield _node("", b"", children=3)
    yield from _policies()
    groups = -(-2 * topics // 10_000)
    yield _node("/ledgers", b"", groups)
    for high in range(groups):
        ledgers = min(10_000, 2 * topics - high * 10_000)
        yield _node(f"/ledgers/{high:03d}", b"", ledgers)
        for low in range(ledgers):
            yield _node(f"/ledgers/{high:03d}/L{low:04d}", _ledger_metadata(high, low))
    yield _node("/managed-ledgers", b"", children=1)
    yield _node("/managed-ledgers/tenant", b"", -(-topics // _TOPICS_PER_NAMESPACE))
    for number in range(topics):
        namespace, topic = divmod(number, _TOPICS_PER_NAMESPACE)
        root = f"/managed-ledgers/tenant/namespace-{namespace:04d}"
        if not topic:
            yield _node(root, b"", children=1)
            yield _node(f"{root}/persistent", b"", min(_TOPICS_PER_NAMESPACE, topics - number))
        yield _node(f"{root}/persistent/topic-{topic:04d}", _ledgers(number), children=2)
        for name in ("billing", "shipping"):
            yield _node(f"{root}/persistent/topic-{topic:04d}/{name}", _cursor(number))


def _policies() -> Iterator[Node]:
    yield _node("/admin", b"", children=2)
    yield _node("/admin/clusters", b"", children=1)
    yield _node("/admin/clusters/large", b"{}")
    yield _node("/admin/policies", b"", children=1)
    yield _node("/admin/policies/tenant", b"{}", children=1)
    yield _node("/admin/policies/tenant/namespace-0000", b"{}")


def _node(path: str, data: bytes, children: int = 0) -> Node:
    return Node(path.encode(), data, OPEN_ACL_KEY, _STAT._replace(cversion=children).pack())


def _ledger_metadata(high: int, low: int) -> bytes:
    bookies = " ".join(
        f"bookie-{(low * 7 + each * high) % 40}.bookie.pulsar.svc.cluster.local:3181" for each in range(3)
    )
    return f"BookieMetadataFormatVersion 3 {high}/{low} CLOSED 50000 {low * 4096} {bookies}".encode()


def _ledgers(topic: int) -> bytes:
    info = ManagedLedgerInfo()
    for number in range(_LEDGERS):
        ledger_id = topic * 37 + number * 1013
        ledger = info.ledgerInfo.add(ledgerId=ledger_id, entries=50_000, size=ledger_id * 2049, timestamp=TIMESTAMP)
        if number < _LEDGERS // 2:
            ledger.offloadContext.complete = True
    return info.SerializeToString()


def _cursor(topic: int) -> bytes:
    return ManagedCursorInfo(
        cursorsLedgerId=topic * 3, markDeleteLedgerId=topic * 37, markDeleteEntryId=topic % 50_000
    ).SerializeToString()


def _summary(path: Path) -> TreeSummary:
    scan = TreeScan(Layout())
    with path.open("rb") as file:
        for node in snapshot.SnapshotReader(file).nodes():
            scan.add(node)
    return scan.result().facts.summary


def make_snapshot(path: Path, znodes: int) -> snapshot.Written:
    """Write such a tree as a snapshot."""
    with path.open("xb") as file:
        return snapshot.write(file, {}, (node.encode() for node in pulsar_shaped(znodes)))


def make_backup(
    directory: Path,
    path: Path,
    written: snapshot.Written,
    zxid: int = ZXID,
    broker: Path | None = None,
    **summary: Any,
) -> RestorePoint:
    """Pack a snapshot into a backup, in a directory for backups. `outline` replaces that of its manifest.

    `broker` is its `broker.json`.
    """
    point = RestorePoint(parse_location(f"file://{directory}"), BackupName("large", TIMESTAMP))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        tool_version="1.0.0",
        prefix="large",
        timestamp=TIMESTAMP,
        zookeeper_version="3.9.5",
        zxid=zxid,
        first_zxid=zxid,
        nodes=written.nodes,
        data_bytes=0,
        ephemerals=0,
        chroot="",
        managed_ledger_path="/managed-ledgers",
        snapshot=SnapshotFile(snapshot_name(zxid), written.size, written.sha256),
        summary={**_summary(path).to_json(), **summary},
    )
    manifest = manifest.with_broker(BrokerFile.of(broker) if broker else None)
    archive.pack(directory / str(point.name), manifest, path, lambda: None, broker)
    return point
