"""Writes a backup file that was not captured from a ZooKeeper: made of another backup, or of tiered storage."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from metadata_tool import __version__, archive
from metadata_tool.broker_metadata.broker_file import saved_by_namespace
from metadata_tool.catalog import PREFIX, SUSPECT, BackupName, RestorePoint, Series, rfc3339
from metadata_tool.errors import SettingError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import COVERED_NAMESPACES
from metadata_tool.manifest import Manifest, SnapshotFile, snapshot_name
from metadata_tool.pulsar.coverage import Coverage
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.store.base import Store
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.snapshot import Node

RECONCILED = "reconciled"
"""The end of the prefix of backups that were compared with tiered storage, and the kind of their origin."""
RESCUED = "rescued"
"""The same of backups that were made of tiered storage alone."""


class DerivedBackup(NamedTuple):
    """A verified file: its path, its SHA-256 (32 bytes), its manifest and its coverage."""

    path: Path
    sha256: bytes
    manifest: Manifest
    coverage: Coverage


def derived_name(source: BackupName, kind: str) -> BackupName:
    """A name for what is made of a backup: a prefix of its own, so that it is not the newest backup of the source's.

    The time stays that of the source, because the tree is no newer.

    Raises:
        SettingError: the prefix is too long.
    """
    prefix = source.prefix if source.prefix.endswith(f"-{kind}") else f"{source.prefix}-{kind}"
    if not PREFIX.fullmatch(prefix):
        raise SettingError(
            f"the prefix {source.prefix} leaves no room for -{kind}", "Copy the backup to a shorter name"
        )
    return BackupName(prefix, source.timestamp)


def dated_name(prefix: str, kind: str) -> BackupName:
    """A name with the current time, for what is made of no backup.

    Raises:
        SettingError: the prefix is too long.
    """
    return derived_name(BackupName(prefix, time.time_ns() // 1_000_000), kind)


def free_name(store: Store, name: BackupName) -> BackupName:
    """This name, or if a file has it already, the next millisecond that is free.

    Raises:
        ToolError: the store cannot be listed.
    """
    taken = store.list(f"{name.prefix}-")
    while str(name) in taken:
        name = replace(name, timestamp=name.timestamp + 1)
    return name


def stems_from(series: Series, address: str) -> bool:
    """Whether an address is that of a backup of this series, sound or suspect, or of one that was derived from it."""
    try:
        point = RestorePoint.parse(address)
    except ValueError:
        return False
    own = rf"{re.escape(series.prefix)}({SUSPECT})?(-({RECONCILED}|{RESCUED})(-[0-9a-f]+)?)?"
    return point.location == series.location and bool(re.fullmatch(own, point.name.prefix))


@dataclass(frozen=True)
class DerivedTree:
    """A tree, and what its manifest has besides what is counted. `acls` are encoded, by key.

    `broker` is the `broker.json` that `described` describes, None if it describes none.
    """

    name: BackupName
    described: Manifest
    acls: Mapping[int, bytes]
    nodes: Iterable[Node]
    origin: Mapping[str, object]
    broker: Path | None = None


def write(tree: DerivedTree, directory: Path, heartbeat: Heartbeat) -> DerivedBackup:
    """Write the file of this tree, and verify it as a restore does.

    Raises:
        CaptureUnsound: it does not pass verification.
        OSError: the directory cannot be written.
    """
    path = directory / "derived-snapshot"
    scan = TreeScan(tree.described.layout)
    counting = _Counting(tree.nodes, heartbeat)
    with path.open("xb") as file:
        written = snapshot.write(file, tree.acls, scan.passed_through(counting.encoded()))
    found = scan.result()
    if tree.broker:
        found.coverage.add_saved(saved_by_namespace(tree.broker))
    manifest = replace(
        tree.described,
        tool_version=__version__,
        prefix=tree.name.prefix,
        timestamp=tree.name.timestamp,
        nodes=written.nodes,
        data_bytes=counting.bytes,
        snapshot=SnapshotFile(snapshot_name(tree.described.zxid), written.size, written.sha256),
        coverage=found.coverage.to_json(COVERED_NAMESPACES),
        summary=found.facts.summary.to_json(),
        origin={**tree.origin, "madeAt": rfc3339(time.time_ns() // 1_000_000)},
    )
    packed = directory / str(tree.name)
    result = archive.pack(packed, manifest, path, heartbeat, tree.broker)
    path.unlink()
    archive.verify_new(packed, "the new backup", heartbeat)
    return DerivedBackup(packed, result.sha256, manifest, found.coverage)


class _Counting:
    """Encodes znodes, and counts the bytes of their data."""

    def __init__(self, nodes: Iterable[Node], heartbeat: Heartbeat) -> None:
        self.bytes = 0
        self._nodes = nodes
        self._heartbeat = heartbeat

    def encoded(self) -> Iterator[bytes]:
        for node in self._nodes:
            self._heartbeat()
            self.bytes += len(node.data or b"")
            yield node.encode()
