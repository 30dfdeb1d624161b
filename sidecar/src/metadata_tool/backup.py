"""One backup: capture the tree, compress it, upload it. A backup is done once the bucket holds a verified file."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from metadata_tool import __version__, archive, identity, root_cause
from metadata_tool.broker_metadata.access import BrokerSettings
from metadata_tool.broker_metadata.collection import BrokerMetadata, collected
from metadata_tool.broker_metadata.questions import QuestionWriter
from metadata_tool.catalog import Backup, BackupName, Series, backups, rfc3339, sound
from metadata_tool.continuity import Tree, Verdict, judge
from metadata_tool.copies.copy import Finished
from metadata_tool.derived_backup import stems_from
from metadata_tool.encryption.keyed_store import protected
from metadata_tool.encryption.keys import NO_KEYS, BackupKeys
from metadata_tool.errors import SpoolFailed
from metadata_tool.history import History
from metadata_tool.identity import Identity
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.limits import COVERED_NAMESPACES
from metadata_tool.location import Location
from metadata_tool.manifest import FORMAT_VERSION, Manifest, SnapshotFile, snapshot_name
from metadata_tool.progress import Progress
from metadata_tool.pulsar.completeness import Completeness, Finding
from metadata_tool.pulsar.coverage import Coverage
from metadata_tool.pulsar.migration import Migration
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.tree_scan import ScanResult, TreeScan
from metadata_tool.start_check import load_findings
from metadata_tool.store import Store
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.captured import captured
from metadata_tool.zookeeper.capture.captured_tree import CapturedTree
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER
from metadata_tool.zookeeper.loadable import LoadCheck
from metadata_tool.zookeeper_faults import FOR_BACKUP, explained

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackupJob:
    """The settings of a backup."""

    source: Source
    prefix: str
    managed_ledger_path: str
    spool_dir: Path
    max_shrink: float = 0.5
    """The fraction of its znodes or bytes that the tree may lose from one backup to the next. Else it is suspect."""
    keys: BackupKeys = NO_KEYS
    """Those of encrypted backups. Without recipients, backups are not encrypted."""
    jute_maxbuffer: int = JUTE_MAXBUFFER
    """That of the servers that a restore would start."""
    broker: BrokerSettings | None = None
    """How brokers are asked for the metadata that they keep in BookKeeper. None: they are not."""
    copies: tuple[Location, ...] = ()
    """Other places of the same backups."""


class Seconds(NamedTuple):
    """How long each phase took. They add up to `total`. `broker` is 0 if brokers are not asked."""

    prepare: float
    compression: float
    upload: float
    broker: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of all phases together."""
        return self.prepare + self.compression + self.upload + self.broker

    @property
    def by_phase(self) -> dict[str, float]:
        """The same by the names of the phases."""
        return {
            "capture": self.prepare,
            "broker": self.broker,
            "compress": self.compression,
            "upload": self.upload,
        }


@dataclass(frozen=True)
class BackupResult:
    """A backup that is done. Sizes in bytes. `size_total` counts all backups of this prefix, this one included."""

    backup: Backup
    manifest: Manifest
    coverage: Coverage
    size_non_compressed: int
    size_total: int
    seconds: Seconds
    findings: tuple[Finding, ...] = ()
    """What a restore of scope `bookies-lost` cannot adapt, because it is missing or elsewhere."""
    acls_kept: bool = False
    """Whether the next backup of this process knows the ACLs of this one, which makes it faster."""
    migration: Migration | None = None
    """The move of Pulsar's metadata to another store. None if there was none."""
    doubts: tuple[str, ...] = ()
    """Why the backup is suspect. Empty if it is sound."""
    last_change: int = 0
    """When a znode was last created or set, in epoch ms. 0 if the tree is empty."""
    loading: LoadCheck = field(default_factory=LoadCheck)
    """What the servers of a restore would not load."""
    broker: BrokerMetadata | None = None
    """What brokers gave out. None if they are not asked."""

    @property
    def clusters(self) -> list[str]:
        """Names of the Pulsar clusters in the backup. Empty if the metadata was not initialised yet."""
        return list((self.manifest.summary or {}).get("clusters", []))


Capturing = Callable[[Source, Path, Heartbeat, AclCache | None], AbstractContextManager[CapturedTree]]
"""How a tree is captured: `zookeeper.capture.captured`."""


class _Phases:
    """Times the phases of a backup, and logs each when it ends."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._begin = time.monotonic()
        self._seconds: dict[str, float] = {}

    def end(self, phase: str, message: str, backup: str, **fields: int | str) -> None:
        """Log the end of a phase of this backup, and start to time the next one."""
        now = time.monotonic()
        seconds, self._begin = now - self._begin, now
        self._seconds[phase] = seconds
        extra = {"phase": phase, "backup": backup, "seconds": round(seconds, 3), **fields}
        log.info("%s in %.2f s", message, seconds, extra=extra)

    @property
    def seconds(self) -> Seconds:
        """The durations of all phases."""
        took = self._seconds
        return Seconds(took["capture"], took["compress"], took["upload"], took.get("broker", 0.0))


def run(
    job: BackupJob,
    store: Store,
    heartbeat: Heartbeat,
    known: AclCache | None = None,
    capture: Capturing = captured,
    *,
    offer: Callable[[Path], None] | None = None,
    copy: Callable[[Finished], None] | None = None,
    history: History | None = None,
    kept: Path | None = None,
    progress: Progress | None = None,
) -> BackupResult:
    """Make one backup now. A backup that may not continue the one before it gets the name of a suspect one.

    `known` has the cached ACLs of the last backup, `history` the last manifests, and `kept` is a directory with what
    brokers gave out for the last backup. They make this one faster.

    `copy` is called with each backup once it is in the bucket. Then `offer` is called with the file of a sound one. It
    may move the file, which is deleted otherwise. `progress` gets the running phase, and how much
    of it is done.

    Raises:
        ToolError: the backup failed, and the bucket holds nothing of it. The type says why.
    """
    history, progress = history or History(), progress or Progress()
    progress.begin("capture")
    series = [Series(place, job.prefix) for place in (store.location, *job.copies)]
    # First, so that a wrong bucket is reported before a long capture.
    before, earlier, newest = interruptible(partial(_known, store, job.prefix, history), heartbeat)
    name = _new_name(job.prefix, before, newest)
    progress.expect(earlier[1].nodes if earlier else 0)
    with _giving_up_without_room(known), workspace(job.spool_dir) as workdir:
        phases = _Phases(progress)
        loading, capturing = LoadCheck(job.jute_maxbuffer), capture(job.source, workdir, heartbeat, known)
        asking = _questions(job, workdir)
        captured_manifest, snapshot_path, found = _prepare(job, name, workdir, capturing, loading, asking)
        manifest, verdict = _judged(captured_manifest, earlier and earlier[1], series, job.max_shrink)
        name = name.as_suspect if verdict.doubts else name
        uri = store.location.uri(str(name))
        nodes, zxid = manifest.nodes, f"{manifest.zxid:#x}"
        plain = manifest.snapshot.size
        phases.end("capture", f"captured {nodes} znodes at zxid {zxid}", uri, znodes=nodes, zxid=zxid, bytes=plain)
        broker = None
        if job.broker and asking:
            progress.begin("broker")
            broker = _ask_brokers(job.broker, asking, workdir, kept, found.coverage, heartbeat, plain)
            phases.end("broker", f"saved from brokers: {broker.in_words()}", uri)
            covered = found.coverage.to_json(COVERED_NAMESPACES)
            manifest = replace(manifest.with_broker(broker.file), coverage=covered)
        packed = workdir / str(name)
        files = _Files(snapshot_path, broker.path if broker else None)
        size_non_compressed, uploaded, sha256 = _pack_and_upload(
            packed, manifest, files, store, job.keys, phases, heartbeat
        )
        size = uploaded.stat().st_size
        if copy:
            copy(Finished(uploaded, name, sha256, manifest))
        if offer and not verdict.doubts:
            offer(packed)
    result = BackupResult(
        backup=Backup(name, uri, size),
        manifest=manifest,
        coverage=found.coverage,
        size_non_compressed=size_non_compressed,
        size_total=size + sum(other.size for other in before),
        seconds=phases.seconds,
        findings=_findings(Layout(job.source.chroot, job.managed_ledger_path), found),
        acls_kept=known is not None and not known.empty,
        migration=found.facts.migration,
        last_change=found.facts.last_change,
        doubts=verdict.doubts,
        loading=loading,
        broker=broker,
    )
    history.add(result.backup, manifest)
    _log(result)
    _log_verdict(result, verdict, earlier and earlier[0])
    return result


def _known(
    store: Store, prefix: str, history: History
) -> tuple[list[Backup], tuple[Backup, Manifest] | None, Backup | None]:
    """All backups, the newest sound one with its manifest, and the newest of all."""
    found = backups(store, prefix)
    return found, history.newest(store, sound(found)), next(iter(history.genuine(store, found)), None)


def _judged(
    manifest: Manifest, before: Manifest | None, series: Sequence[Series], max_shrink: float
) -> tuple[Manifest, Verdict]:
    """The manifest with what it was compared with, and whether it continues that."""
    now, predecessor = Tree.of(manifest), Tree.of(before) if before else None
    verdict = judge(predecessor, now, lambda address: any(stems_from(each, address) for each in series), max_shrink)
    described = predecessor.to_json() if predecessor else None
    return replace(manifest, predecessor=described, suspect=verdict.doubts), verdict


def _findings(layout: Layout, found: ScanResult) -> tuple[Finding, ...]:
    return tuple(Completeness(layout, found.placement, unknown=found.coverage.unknown).findings())


@contextmanager
def _giving_up_without_room(known: AclCache | None) -> Iterator[None]:
    """If the disk is full, drop the ACL cache, so that the next backup can use its space."""
    try:
        yield
    except SpoolFailed as error:
        if known and root_cause.is_full_disk(error):
            known.give_up()
        raise


def _new_name(prefix: str, existing: list[Backup], newest: Backup | None) -> BackupName:
    """A name with the current time, and in any case a later one than that of the newest backup, that no file has."""
    taken = {backup.name.timestamp for backup in existing}
    timestamp = time.time_ns() // 1_000_000
    if newest and newest.name.timestamp > timestamp:
        log.warning(
            "the clock says %s, but %s has a later time, so this backup is named as the next one after it. "
            "Check the clock",
            rfc3339(timestamp),
            newest.uri,
            extra={"backup": newest.uri},
        )
        timestamp = newest.name.timestamp + 1
    while timestamp in taken:
        timestamp += 1
    return BackupName(prefix, timestamp)


def _questions(job: BackupJob, workdir: Path) -> QuestionWriter | None:
    """What brokers will be asked. None if they are not."""
    layout = Layout(job.source.chroot, job.managed_ledger_path)
    return QuestionWriter(layout, workdir / "questions") if job.broker else None


def _prepare(  # noqa: PLR0917  # what the first phase needs
    job: BackupJob,
    name: BackupName,
    workdir: Path,
    capturing: AbstractContextManager[CapturedTree],
    loading: LoadCheck,
    asking: QuestionWriter | None,
) -> tuple[Manifest, Path, ScanResult]:
    """Capture the tree and write it as a snapshot. Returns its manifest, its path and what is in it."""
    source = job.source
    path = workdir / "snapshot"
    layout = Layout(source.chroot, job.managed_ledger_path)
    scan = TreeScan(layout, keep=identity.paths(layout), observer=asking)
    with (
        asking or nullcontext(),
        explained(FOR_BACKUP),
        capturing as tree,
        path.open("xb") as file,
    ):
        if asking:
            tree.on_ephemeral = asking.add_ephemeral
        loading.add_acls(tree.acls)
        nodes = loading.passed_through_encoded(scan.passed_through(tree.nodes()))
        written = snapshot.write(file, tree.acls, nodes)
        if asking:
            asking.finish()
    found = scan.result()
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        tool_version=__version__,
        prefix=name.prefix,
        timestamp=name.timestamp,
        zookeeper_version=tree.server_version,
        zxid=tree.zxid,
        first_zxid=tree.first_zxid,
        nodes=written.nodes,
        data_bytes=tree.data_bytes,
        ephemerals=tree.ephemerals,
        chroot=source.chroot,
        managed_ledger_path=job.managed_ledger_path,
        snapshot=SnapshotFile(snapshot_name(tree.zxid), written.size, written.sha256),
        coverage=found.coverage.to_json(COVERED_NAMESPACES),
        unproven_acls=len(tree.unproven),
        summary=found.facts.summary.to_json(),
        identity=Identity.of(found.kept, found.facts.own_clusters, layout).to_json(),
    )
    return manifest, path, found


def _ask_brokers(  # noqa: PLR0917  # what the phase needs
    settings: BrokerSettings,
    asking: QuestionWriter,
    workdir: Path,
    kept: Path | None,
    coverage: Coverage,
    heartbeat: Heartbeat,
    needed: int,
) -> BrokerMetadata:
    """What brokers give out, which is added to the coverage. Brokers cannot make a backup fail."""
    found = collected(settings, asking, workdir, heartbeat, kept, needed=needed)
    coverage.add_saved(found.saved)
    return found


class _Files(NamedTuple):
    """The files of a backup: the snapshot, and the `broker.json`, if there is one."""

    snapshot: Path
    broker: Path | None


def _pack_and_upload(  # noqa: PLR0917  # what the last two phases need
    packed: Path,
    manifest: Manifest,
    files: _Files,
    store: Store,
    keys: BackupKeys,
    phases: _Phases,
    heartbeat: Heartbeat,
) -> tuple[int, Path, bytes]:
    """Make the file of a backup, verify it, encrypt it if there are keys for that, and upload it under its name.

    Returns its size before the compression, the file that was uploaded, and the SHA-256 of that.
    """
    uri = store.location.uri(packed.name)
    phases.progress.begin("compress")
    size_non_compressed, sha256 = archive.pack(packed, manifest, files.snapshot, heartbeat, files.broker)
    files.snapshot.unlink()
    archive.verify_new(packed, "the captured tree", heartbeat)
    kept = packed
    if keys.recipients:
        kept, sha256 = protected(packed, sha256, keys, heartbeat)
    size = kept.stat().st_size
    phases.end("compress", f"compressed {manifest.snapshot.size} bytes to {size}", uri, bytes=size)
    phases.progress.begin("upload", size)
    store.save(kept, sha256, packed.name, heartbeat, sent=phases.progress.at)
    phases.end("upload", f"uploaded {size} bytes", uri, bytes=size)
    return size_non_compressed, kept, sha256


def _log_verdict(result: BackupResult, verdict: Verdict, before: Backup | None) -> None:
    extra = {"phase": "backup", "backup": result.backup.uri}
    if verdict.restored_from:
        log.info(
            "the ensemble was restored from %s, so this backup is not compared with earlier ones",
            verdict.restored_from,
            extra=extra,
        )
    if verdict.doubts and before:
        log.warning(
            "the backup is suspect compared with %s, because %s. It is saved as %s, and the earlier one stays the "
            "latest. If this is your cluster as it should be, run `metadata-tool accept %s`. If not, check "
            "ZOOKEEPER_SERVERS and the ensemble, and suspend any rule that deletes backups by age",
            before.uri,
            ", and ".join(verdict.doubts),
            result.backup.uri,
            result.backup.uri,
            extra=extra,
        )


def _log(result: BackupResult) -> None:
    log.info(
        "backup done, %s, %d bytes, in %.2f s",
        result.backup.uri,
        result.backup.size,
        result.seconds.total,
        extra={
            "phase": "backup",
            "backup": result.backup.uri,
            "zxid": f"{result.manifest.zxid:#x}",
            "znodes": result.manifest.nodes,
            "bytes": result.backup.size,
            "seconds": round(result.seconds.total, 3),
        },
    )
    if result.migration and result.migration.warning:
        log.warning("%s", result.migration.warning, extra={"backup": result.backup.uri})
    if result.broker and result.broker.missing:
        log.warning(
            "brokers did not give out %s, because %s. A restore of this backup loses these. Check BROKER_SERVICE_URL, "
            "the permissions of its token, and the log of the brokers",
            result.broker.missing,
            ", and ".join(result.broker.why),
            extra={"phase": "broker", "backup": result.backup.uri},
        )
    for finding in load_findings(result.loading):
        log.warning(
            "a restore of this backup will be refused, because %s. %s",
            finding.what,
            finding.at_backup,
            extra={"backup": result.backup.uri},
        )
    for finding in result.findings:
        log.warning(
            "a restore of this backup with lost bookies will be refused, because %s. %s",
            finding.what,
            finding.at_backup,
            extra={"backup": result.backup.uri},
        )
    total = result.coverage.total
    log.info(
        "a restore of %d topics would bring back %d bytes in tiered storage. It would lose %d bytes, and the entries "
        "of %d open ledgers",
        total.topics,
        total.recoverable_bytes,
        total.lost_bytes,
        total.open_ledgers,
        extra={"backup": result.backup.uri},
    )
