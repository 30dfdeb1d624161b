"""Backup files and reports for tests, made by the program's own writers."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metadata_tool import archive
from metadata_tool.backup import Report, Seconds
from metadata_tool.catalog import Backup, BackupName, RestorePoint
from metadata_tool.location import Location
from metadata_tool.manifest import FORMAT_VERSION, Manifest, SnapshotFile, snapshot_name
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.jute import Stat
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node

TIMESTAMP = 1_623_721_488_825
ZXID = 0x2_0000_0010
NEXT_EPOCH = 0x3_0000_0000
TREE: dict[bytes, bytes | None] = {
    b"": None,
    b"/admin": b"",
    b"/admin/clusters": b"standalone",
    b"/managed-ledgers": b"12345",
}
"""Data by path, in tree order."""


def location(directory: Path) -> Location:
    """A directory as a place for backups."""
    return Location.parse(f"file://{directory}")


def manifest(prefix: str = "pulsar", timestamp: int = TIMESTAMP, **changes: Any) -> Manifest:
    """A manifest of `TREE`, but for its snapshot and the changes."""
    made = Manifest(
        format_version=FORMAT_VERSION,
        tool_version="1.0.0",
        prefix=prefix,
        timestamp=timestamp,
        zookeeper_version="3.9.3",
        zxid=ZXID,
        first_zxid=ZXID,
        nodes=len(TREE),
        data_bytes=sum(len(data or b"") for data in TREE.values()),
        ephemerals=0,
        chroot="",
        managed_ledger_path="/managed-ledgers",
        snapshot=SnapshotFile(snapshot_name(ZXID), 0, ""),
    )
    return replace(made, **changes)


def make_backup(directory: Path, prefix: str = "pulsar", timestamp: int = TIMESTAMP, **changes: Any) -> RestorePoint:
    """Put a backup of `TREE` into a directory; the changes are to its manifest."""
    point = RestorePoint(location(directory), BackupName(prefix, timestamp))
    stat = Stat(1, 1, 0, 0, 0, 0, 0, 0, 1).pack()
    with TemporaryDirectory() as workdir:
        path = Path(workdir, "snapshot")
        with path.open("xb") as file:
            nodes = (Node(path, data, OPEN_ACL_KEY, stat).encode() for path, data in TREE.items())
            written = snapshot.write(file, {}, nodes)
        described = SnapshotFile(snapshot_name(ZXID), written.size, written.sha256)
        made = replace(manifest(prefix, timestamp, snapshot=described), **changes)
        archive.pack(directory / str(point.name), made, path, lambda: None)
    return point


def report(timestamp: int = TIMESTAMP) -> Report:
    """A backup that is done; every number in it is another."""
    name = BackupName("pulsar", timestamp)
    return Report(
        backup=Backup(name, f"s3a://bucket/{name}", 1111),
        manifest=manifest(timestamp=timestamp),
        size_non_compressed=2222,
        size_total=3333,
        seconds=Seconds(prepare=0.5, compression=0.25, upload=1.5),
    )
