"""One restore: fetch a backup, verify it, make it the tree of a new cluster, place that where ZooKeeper will look."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint, Series
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported, ClusterAbsent, SettingError, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery import Recovery, Transform
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.report import RecoveryReport
from metadata_tool.pulsar.rules import RecoveryPlan
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.pulsar.tree_scan import ScanResult, TreeScan
from metadata_tool.restore_marker import ZNODE, Marker
from metadata_tool.store import Store
from metadata_tool.subprocess_worker import in_subprocess
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper import datadir, initial_znodes, snapshot
from metadata_tool.zookeeper.datadir import DataDir
from metadata_tool.zookeeper.jute import READ, Acl, pack_acls
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat

log = logging.getLogger(__name__)


_LARGE = 100_000
"""Znodes of a backup that is worth another process."""

REPORT = "restore-report.json"
"""Lies beside the snapshot, where ZooKeeper passes over it."""


@dataclass(frozen=True)
class RestoreJob:
    """What to restore, under which version, where to, and what the new cluster needs.

    `wanted` is a backup, or a series whose newest backup is wanted. `ensemble` is `host:port,…` of the members, empty
    if they are not known; `admin_port` is that of their AdminServers, `admin_address` that of this member's (empty: all
    addresses). `newer_in` are more places where newer backups count, besides the place of the backup itself.
    `looked_up`: the backup is the newest of a series, and was not chosen by an operator.
    """

    wanted: RestorePoint | Series
    version: str
    data: DataDir
    spool_dir: Path
    managed_ledger_path: str
    ensemble: str
    admin_port: int
    overwrite_existing: bool
    recovery_options: RecoveryOptions
    admin_address: str = ""
    allow_older: bool = False
    looked_up: bool = False
    newer_in: tuple[Series, ...] = ()

    @property
    def members(self) -> list[str]:
        """`host:port` of each member."""
        return list(dict.fromkeys(filter(None, self.ensemble.split(","))))

    @property
    def point(self) -> RestorePoint:
        """The backup to restore. If it was not looked up yet, that is a fault (ToolError)."""
        if isinstance(self.wanted, Series):
            raise ToolError(f"the newest backup of {self.wanted} was not looked up", "Nothing was touched. Report it")
        return self.wanted

    @property
    def described(self) -> str:
        """What is wanted, in words."""
        return f"the newest {self.wanted}-<epoch ms>.tar.gz" if isinstance(self.wanted, Series) else str(self.wanted)

    def settled(self, point: RestorePoint) -> "RestoreJob":
        """The same, to restore this backup."""
        return replace(self, wanted=point, looked_up=isinstance(self.wanted, Series))

    def accepts(self, point: str) -> bool:
        """Whether members that were restored from this point are as wanted. For `latest`, any point is."""
        return isinstance(self.wanted, Series) or point == str(self.wanted)

    @property
    def marker(self) -> Marker:
        """What is left behind when it is done."""
        return self.marker_from(str(self.point))

    def marker_from(self, point: str) -> Marker:
        """The marker that this restore leaves behind if it restores this point."""
        return Marker(self.version, point, self.recovery_options.described())

    @property
    def why(self) -> str:
        """Why data is kept aside."""
        return f"replaced-by-restore-{self.version}"


@contextmanager
def fetched(point: RestorePoint, store: Store, spool_dir: Path, heartbeat: Heartbeat) -> Iterator[Path]:
    """A local copy of a backup, gone afterwards.

    Raises:
        BackupMissing: there is no such backup.
        ToolError: the store or the spool directory cannot be used.
    """
    with workspace(spool_dir) as workdir:
        path = workdir / str(point.name)
        log.info("fetching %s", point)
        store.fetch(str(point.name), path, heartbeat)
        try:
            yield path
        except (ArchiveCorrupt, ArchiveUnsupported) as error:
            raise type(error)(f"{point}: {error.message}", error.hint) from error


def verify(
    point: RestorePoint, path: Path, heartbeat: Heartbeat, each: Callable[[Node], None] = lambda _: None
) -> Manifest:
    """Read a fetched backup whole and check everything that can be checked; `each` is called with every znode.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: it is not to be used.
    """
    manifest = archive.verify(path, heartbeat, each)
    require_match(point, manifest)
    return manifest


def require_match(point: RestorePoint, manifest: Manifest) -> None:
    """Refuse a backup that was given another's name.

    Raises:
        ArchiveCorrupt: the manifest is of another prefix or time.
    """
    if (manifest.prefix, manifest.timestamp) != (point.name.prefix, point.name.timestamp):
        raise ArchiveCorrupt(
            f"the file was renamed, by its manifest it is {manifest.prefix}-{manifest.timestamp}", USE_ANOTHER
        )


def run(job: RestoreJob, store: Store, heartbeat: Heartbeat, *, replace: bool) -> Path:
    """Restore into a data directory. Every member gets the same bytes under the same name.

    The path of the snapshot. With `replace`, data that is there already is kept aside. The directory is locked.

    Raises:
        DataDirNotEmpty: there is data, and it is not to be replaced; nothing was touched.
        ToolError: the restore failed; the directory is as it was.
    """
    with fetched(job.point, store, job.spool_dir, heartbeat) as path:
        recovering = _Recovering.begin(job, path, heartbeat)
        job.data.require_space(recovering.room)
        placed = job.data.place(recovering.zxid, recovering.write, job.why if replace else None)
    log.info("restored %s into %s, with a report beside it: %s", job.point, placed, REPORT)
    return placed


def join(job: RestoreJob, origin: Marker, *, replace: bool) -> None:
    """Let a member start empty and take its tree from the others, which are of this origin.

    With `replace`, existing data is moved aside.

    Raises:
        DataDirUnusable: the directory cannot be written.
    """
    if replace:
        job.data.keep_aside(job.why)
    job.data.note_joined(origin.to_json())


def rehearse(job: RestoreJob, store: Store, heartbeat: Heartbeat) -> None:
    """Do all of it but the last step: the report is said, nothing is placed.

    Raises:
        ToolError: the restore would fail.
    """
    with fetched(job.point, store, job.spool_dir, heartbeat) as path:
        recovering = _Recovering.begin(job, path, heartbeat)
        job.data.require_space(recovering.room)
        recovering.write(_Nowhere())


class _Nowhere(io.BytesIO):
    """What a rehearsal writes to."""

    def write(self, content: Any) -> int:
        return len(content)


def _scan(point: RestorePoint, path: Path, layout: Layout, heartbeat: Heartbeat | None = None) -> ScanResult:
    """Verify a fetched backup, and learn what must be known of the whole tree."""
    scan = TreeScan(layout)
    verify(point, path, heartbeat or Heartbeat(), scan.see)
    return scan.findings()


def _layout(job: RestoreJob, manifest: Manifest) -> Layout:
    if job.managed_ledger_path != manifest.managed_ledger_path:
        raise SettingError(
            f"MANAGED_LEDGER_PATH is {job.managed_ledger_path}, that of the backup {manifest.managed_ledger_path}",
            f"Set it to {manifest.managed_ledger_path}",
        )
    return Layout(manifest.chroot, manifest.managed_ledger_path)


def _require_cluster(point: RestorePoint, manifest: Manifest) -> None:
    """Refuse the backup of an ensemble that was emptied: nobody chose it."""
    summary = TreeSummary.parse(manifest.summary)
    if summary and not summary.clusters:
        raise ClusterAbsent(
            f"the newest backup, {point}, holds no Pulsar cluster: /admin/clusters is empty",
            "Nothing was touched. Set RESTORE_POINT to an older backup that holds one (`metadata-tool list` and "
            "`inspect`), with ALLOW_OLDER=true",
        )


def _later(zxid: int, marker: Marker) -> int:
    """A zxid that no client of the old cluster had seen when it was saved; of a later point it is later."""
    later = zxid + (marker.zxid_epochs << 32)
    if later >= 1 << 63:
        raise ArchiveUnsupported(f"the backup's zxid is {zxid:#x}, there is none much later", USE_ANOTHER)
    return later


@dataclass(frozen=True)
class _Recovering:
    """A fetched backup on its way to the tree of a new cluster."""

    job: RestoreJob
    path: Path
    manifest: Manifest
    layout: Layout
    zxid: int
    heartbeat: Heartbeat

    @classmethod
    def begin(cls, job: RestoreJob, path: Path, heartbeat: Heartbeat) -> "_Recovering":
        """Read the manifest."""
        with archive.opened(path) as backup:
            manifest = backup.manifest
        if job.looked_up:
            _require_cluster(job.point, manifest)
        return cls(job, path, manifest, _layout(job, manifest), _later(manifest.zxid, job.marker), heartbeat)

    @property
    def room(self) -> int:
        """Bytes that it may take: marks on offloaded ledgers add a tenth at most; marker and report."""
        size = self.manifest.snapshot.size
        return size + size // 8 + (16 << 20)

    def write(self, out: BinaryIO) -> dict[str, bytes]:
        """Write the snapshot; the files to lie beside it.

        A large backup is verified by another process while this one writes what the manifest lets it assume. If it is
        not sound nothing comes of it; if the tree says otherwise than its manifest, it is written again.
        """
        assumed = self._assumption()
        if assumed is None:
            findings = self._say_verified(_scan(self.job.point, self.path, self.layout, self.heartbeat))
            return self._told(findings, self._write(out, findings.facts.summary, findings))
        log.info("verifying %s, and writing it at the same time", self.job.point)
        with in_subprocess(self.heartbeat, _scan, self.job.point, self.path, self.layout) as scanned:
            try:
                changes = self._write(out, assumed, None)
            except Exception:
                scanned()  # what is wrong with the backup explains whatever came of it
                raise
            findings = self._say_verified(scanned())
        if findings.facts.summary != assumed:
            log.warning("its manifest tells other ids or clusters than its tree: it is written again")
            out.seek(0)
            out.truncate()
            changes = self._write(out, findings.facts.summary, findings)
        return self._told(findings, changes)

    def _assumption(self) -> TreeSummary | None:
        """What can be assumed of the tree before it was read; None if that is not worth while, or not enough."""
        summary = TreeSummary.parse(self.manifest.summary)
        if summary is None or self.manifest.nodes < _LARGE:
            return None
        try:
            return None if self._plan(summary).rename else summary
        except ToolError:
            return None  # whatever is to be refused is refused for what is in the tree

    def _say_verified(self, findings: ScanResult) -> ScanResult:
        log.info("verified %s: %d znodes at zxid %#x", self.job.point, self.manifest.nodes, self.manifest.zxid)
        return findings

    def _plan(self, summary: TreeSummary) -> RecoveryPlan:
        return self.job.recovery_options.plan(summary, self.zxid, self.manifest.timestamp)

    def _write(self, out: BinaryIO, summary: TreeSummary, findings: ScanResult | None) -> Transform:
        plan = self._plan(summary)
        renamed = findings.facts.clusters[plan.rename[0]] if findings and plan.rename else []
        recovery = Recovery(plan, summary, renamed, self.layout)
        with archive.opened(self.path, self.heartbeat) as backup:
            tree = backup.tree(verified=True)
            read_only = max(tree.acls, default=0) + 1
            acls = {**tree.acls, read_only: pack_acls([Acl(READ, "world", "anyone")])}
            nodes = self._with_own(recovery.nodes(tree.nodes), read_only)
            written = snapshot.write(out, acls, self._sound(nodes, acls) if renamed else (n.encode() for n in nodes))
        log.info("wrote %d znodes", written.nodes)
        return recovery.changes

    def _told(self, findings: ScanResult, changes: Transform) -> dict[str, bytes]:
        """Say what was done; the files that tell it."""
        report = RecoveryReport(self._plan(findings.facts.summary), findings.facts, changes, findings.coverage)
        for line in report.lines():
            log.info("%s", line)
        return {datadir.MARKER: self.job.marker.to_json(), REPORT: report.encode()}

    def _sound(self, nodes: Iterable[Node], acls: Mapping[int, bytes]) -> Iterator[bytes]:
        """A tree in which znodes have moved, encoded, as long as it is one that ZooKeeper loads."""
        try:
            for node in snapshot.in_tree_order(nodes, acls, self.zxid):
                yield node.encode()
        except snapshot.SnapshotError as error:
            raise ToolError(f"the tree would be unsound, {error}", "Nothing was placed; report it") from error

    def _with_own(self, nodes: Iterable[Node], read_only: int) -> Iterator[Node]:
        """The tree with the znode that says which restore it is of, in place of an earlier one, and a new server's."""
        time = self.manifest.timestamp
        stat = Stat(self.zxid, self.zxid, time, time, 0, 0, 0, 0, self.zxid)
        marker = Node(ZNODE, self.job.marker.to_json(), read_only, stat.pack())
        others = (node for node in nodes if node[0] != ZNODE and node[0] != initial_znodes.CONFIG)
        return snapshot.inserted(others, [marker, *initial_znodes.of_new_server(read_only)])
