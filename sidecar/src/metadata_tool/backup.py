"""One backup: capture the tree, compress it, upload it. It counts once the bucket holds it, checked."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from metadata_tool import __version__, archive
from metadata_tool.catalog import Backup, BackupName, backups
from metadata_tool.errors import ArchiveCorrupt, CaptureUnsound, SpoolFailed
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import FORMAT_VERSION, Manifest, SnapshotFile, snapshot_name
from metadata_tool.pulsar.coverage import Coverage
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.store import Store
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.acl_cache import AclCache
from metadata_tool.zookeeper.capture import Source, captured
from metadata_tool.zookeeper_faults import FOR_BACKUP, explained

log = logging.getLogger(__name__)

COVERED_NAMESPACES = 100
"""So many namespaces are in the manifest: those that would lose most."""


@dataclass(frozen=True)
class BackupJob:
    """Everything that one backup needs to know."""

    source: Source
    prefix: str
    managed_ledger_path: str
    spool_dir: Path


class Seconds(NamedTuple):
    """How long each part took; they add up to the whole."""

    prepare: float
    compression: float
    upload: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.prepare + self.compression + self.upload


@dataclass(frozen=True)
class BackupResult:
    """A backup that is done. Sizes in bytes; `size_total` is that of all backups of this prefix, this one included."""

    backup: Backup
    manifest: Manifest
    coverage: Coverage
    size_non_compressed: int
    size_total: int
    seconds: Seconds

    @property
    def clusters(self) -> list[str]:
        """Names of the Pulsar clusters in the backup; empty if the metadata was not initialised yet."""
        return list((self.manifest.summary or {}).get("clusters", []))


def run(job: BackupJob, store: Store, heartbeat: Heartbeat, known: AclCache | None = None) -> BackupResult:
    """Make one backup now; what is `known` from the one before makes it quicker.

    Raises:
        ToolError: it failed, and the bucket holds nothing of it; the type says how.
    """
    before = backups(store, job.prefix)  # first, so that a wrong bucket is told before a long capture
    name = _new_name(job.prefix, before)
    with _giving_up_without_room(known), workspace(job.spool_dir) as workdir:
        clock = [time.monotonic()]
        manifest, snapshot_path, coverage = _prepare(job, name, workdir, heartbeat, known)
        clock.append(time.monotonic())
        packed = workdir / str(name)
        size_non_compressed, sha256 = archive.pack(packed, manifest, snapshot_path, heartbeat)
        snapshot_path.unlink()
        _verify(packed, heartbeat)
        size = packed.stat().st_size
        clock.append(time.monotonic())
        store.save(packed, sha256, str(name), heartbeat)
        clock.append(time.monotonic())
    report = BackupResult(
        backup=Backup(name, store.location.uri(str(name)), size),
        manifest=manifest,
        coverage=coverage,
        size_non_compressed=size_non_compressed,
        size_total=size + sum(earlier.size for earlier in before),
        seconds=Seconds(*(end - begin for begin, end in pairwise(clock))),
    )
    _say(report)
    return report


@contextmanager
def _giving_up_without_room(known: AclCache | None) -> Iterator[None]:
    """What is kept takes half a tree more: a spool that has room for a backup alone is to do for the next."""
    try:
        yield
    except SpoolFailed:
        if known:
            known.give_up()
        raise


def _new_name(prefix: str, existing: list[Backup]) -> BackupName:
    """A name of this moment, which no backup has."""
    taken = {backup.name.timestamp for backup in existing}
    timestamp = time.time_ns() // 1_000_000
    while timestamp in taken:
        timestamp += 1
    return BackupName(prefix, timestamp)


def _prepare(
    job: BackupJob, name: BackupName, workdir: Path, heartbeat: Heartbeat, known: AclCache | None
) -> tuple[Manifest, Path, Coverage]:
    """Capture the tree and write it as a snapshot; the manifest to go with it, the snapshot's path, what it covers."""
    source = job.source
    path = workdir / "snapshot"
    scan = TreeScan(Layout(source.chroot, job.managed_ledger_path))
    with (
        explained(FOR_BACKUP),
        captured(source, workdir, heartbeat, known) as capture,
        path.open("xb") as file,
    ):
        written = snapshot.write(file, capture.acls, scan.passed_through(capture.nodes()))
    findings = scan.result()
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        tool_version=__version__,
        prefix=name.prefix,
        timestamp=name.timestamp,
        zookeeper_version=capture.server_version,
        zxid=capture.zxid,
        first_zxid=capture.first_zxid,
        nodes=written.nodes,
        data_bytes=capture.data_bytes,
        ephemerals=capture.ephemerals,
        chroot=source.chroot,
        managed_ledger_path=job.managed_ledger_path,
        snapshot=SnapshotFile(snapshot_name(capture.zxid), written.size, written.sha256),
        coverage=findings.coverage.to_json(COVERED_NAMESPACES),
        unproven_acls=len(capture.unproven),
        summary=findings.facts.summary.to_json(),
    )
    return manifest, path, findings.coverage


def _verify(packed: Path, heartbeat: Heartbeat) -> None:
    """Only what a restore would take is worth a place in the bucket."""
    try:
        archive.verify(packed, heartbeat)
    except ArchiveCorrupt as error:
        hint = "Nothing was uploaded; check the spool's disk, and report it"
        raise CaptureUnsound(f"the captured tree is unsound, {error.message}", hint) from error


def _say(report: BackupResult) -> None:
    seconds = report.seconds
    log.info(
        "backup %s: %d znodes at zxid %#x, %d bytes plain, %d compressed, "
        "%.2f s (prepare %.2f, compress %.2f, upload %.2f)",
        report.backup.uri,
        report.manifest.nodes,
        report.manifest.zxid,
        report.size_non_compressed,
        report.backup.size,
        seconds.total,
        seconds.prepare,
        seconds.compression,
        seconds.upload,
    )
    total = report.coverage.total
    log.info(
        "of %d topics a restore would bring back %d bytes, and lose %d and what %d open ledgers hold",
        total.topics,
        total.recoverable_bytes,
        total.lost_bytes,
        total.open_ledgers,
    )
