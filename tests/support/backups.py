"""Backup files and reports for tests, made by the program's own writers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from metadata_tool.backup import BackupResult, Seconds
from metadata_tool.catalog import Backup, BackupName, RestorePoint
from metadata_tool.files import sha256
from metadata_tool.location import Location
from metadata_tool.pulsar.completeness import Finding
from metadata_tool.pulsar.coverage import Coverage
from metadata_tool.pulsar.migration import Migration
from metadata_tool.pulsar.unknown import UnknownZnodes
from metadata_tool.store import Store, parse_location
from metadata_tool.zookeeper.loadable import LoadCheck
from support.trees import make_archive, manifest_of, node

TIMESTAMP = 1_623_721_488_825
TREE: dict[bytes, bytes | None] = {
    b"": None,
    b"/admin": b"",
    b"/admin/clusters": b"",
    b"/admin/clusters/standalone": b"{}",
    b"/ledgers": b"",
    b"/managed-ledgers": b"12345",
}
"""Data by path, in tree order: a Pulsar without topics."""


def location(directory: Path) -> Location:
    """A directory as a place for backups."""
    return parse_location(f"file://{directory}")


def keep(store: Store, source: Path, name: str, heartbeat: Callable[[], None]) -> None:
    """Save a file that has not changed since it was made."""
    store.save(source, sha256(source), name, heartbeat)


def make_backup(
    directory: Path,
    prefix: str = "pulsar",
    timestamp: int = TIMESTAMP,
    tree: Mapping[bytes, bytes | None] = TREE,
    **changes: Any,
) -> RestorePoint:
    """Put a backup of a tree into a directory, with these changes to its manifest."""
    point = RestorePoint(location(directory), BackupName(prefix, timestamp))
    nodes = [node(path, data) for path, data in tree.items()]
    size = sum(len(data or b"") for data in tree.values())
    described = {"prefix": prefix, "timestamp": timestamp, "data_bytes": size, **changes}
    make_archive(directory / str(point.name), nodes, **described)
    return point


def settings_of_commands(directory: Path, backups: Path) -> dict[str, str]:
    """Settings for list, verify and restore, once there is a backup. Makes the spool and the data directory."""
    for name in ("spool", "data"):
        (directory / name).mkdir()
    return {
        "BUCKET": f"file://{backups}",
        "BACKUP_PREFIX": "pulsar",
        "RESTORE_POINT": f"file://{backups}/pulsar-{TIMESTAMP}.tar.gz",
        "SPOOL_DIR": str(directory / "spool"),
        "ZOOKEEPER_DATA_DIR": str(directory / "data"),
    }


def report(timestamp: int = TIMESTAMP, coverage: Coverage | None = None) -> BackupResult:
    """The result of a backup in which every number is a different one."""
    name, loading = BackupName("pulsar", timestamp), LoadCheck()
    loading.too_large.count = 2
    return BackupResult(
        backup=Backup(name, f"s3a://bucket/{name}", 1111),
        manifest=manifest_of(b"", 0, timestamp=timestamp),
        coverage=coverage or Coverage(unknown=UnknownZnodes(5)),
        size_non_compressed=2222,
        size_total=3333,
        seconds=Seconds(prepare=0.5, compression=0.25, upload=1.5),
        findings=(Finding.of("the tree has no Pulsar in it", "Look for it"),),
        acls_kept=True,
        migration=Migration("COMPLETED", "oxia://x"),
        last_change=6500,
        loading=loading,
    )
