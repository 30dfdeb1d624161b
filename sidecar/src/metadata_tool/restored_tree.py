"""The tree of a new cluster, made from a fetched backup and written as a snapshot."""

import itertools
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import ArchiveUnsupported, ToolError
from metadata_tool.fetch import verify
from metadata_tool.from_brokers import FromBrokers, Source, prepare
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery import Recovery, RecoveryChanges
from metadata_tool.pulsar.report import RecoveryReport, RestoredFromBrokers
from metadata_tool.pulsar.rules import RecoveryPlan
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.pulsar.tree_scan import ScanResult, TreeScan
from metadata_tool.restore_job import RestoreJob
from metadata_tool.restore_marker import ZNODE, Marker, is_of_restore
from metadata_tool.start_check import require_loadable
from metadata_tool.subprocess_worker import in_subprocess
from metadata_tool.tree_check import TreeCheck
from metadata_tool.workspace import explained
from metadata_tool.zookeeper import datadir, initial_znodes, snapshot
from metadata_tool.zookeeper.jute import READ, Acl, pack_acls
from metadata_tool.zookeeper.loadable import LoadCheck, leaves_epochs
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import Stat

log = logging.getLogger(__name__)

REPORT = "restore-report.json"
"""A file beside the snapshot, where ZooKeeper ignores it."""

_LARGE = 100_000
"""Znodes from which a backup is verified by a second process while this one writes."""


@dataclass(frozen=True)
class RestoredTree:
    """A fetched backup in a directory of its own, and what makes it the tree of a new cluster at a later zxid."""

    job: RestoreJob
    path: Path
    manifest: Manifest
    check: TreeCheck
    zxid: int
    heartbeat: Heartbeat

    @classmethod
    def of(cls, job: RestoreJob, path: Path, heartbeat: Heartbeat) -> "RestoredTree":
        """Read the manifest of a fetched backup.

        Raises:
            ToolError: this backup must not be restored.
        """
        with archive.opened(path) as backup:
            manifest = backup.manifest
        zxid = _later(manifest.zxid, job.marker)
        return cls(job, path, manifest, TreeCheck.of(job, manifest), zxid, heartbeat)

    @property
    def layout(self) -> Layout:
        """Where Pulsar's tree is."""
        return self.check.layout

    @property
    def size(self) -> int:
        """The most bytes that are needed: marks on offloaded ledgers add a tenth, marker and report a little.

        What comes from `broker.json` takes at most three times its bytes there.
        """
        size, broker = self.manifest.snapshot.size, self.manifest.broker
        return size + size // 8 + (16 << 20) + (3 * broker.size if broker else 0)

    def write(self, out: BinaryIO) -> dict[str, bytes]:
        """Write the snapshot. Returns the files that belong beside it, by name.

        A large backup is verified by another process while this one writes, assuming what the manifest says. If the
        backup is damaged, the snapshot is not used. If the tree differs from its manifest, it is written again.
        """
        assumed = self._assumption()
        if assumed is None:
            found = self._verified(_scan(self.job.point, self.path, self.layout, self.heartbeat))
            return self._reported(found, self._write(out, found.facts.summary, self._from_brokers(), found))
        log.info("verifying %s while writing it", self.job.point)
        with in_subprocess(self.heartbeat, _scan, self.job.point, self.path, self.layout) as scanned:
            try:
                brokers = self._from_brokers()
                written = self._write(out, assumed, brokers, None)
            except Exception:
                scanned()  # if the backup is damaged, that is the cause, and its error is raised here
                raise
            found = self._verified(scanned())
        if found.facts.summary != assumed:
            log.warning("the manifest of %s does not match its tree, so the snapshot is written again", self.job.point)
            out.seek(0)
            out.truncate()
            written = self._write(out, found.facts.summary, brokers, found)
        return self._reported(found, written)

    def _from_brokers(self) -> FromBrokers:
        options = self.job.recovery_options
        source = Source(self.path, self.manifest, self.layout, options.scope, options.infinite_retention)
        with explained(self.job.spool_dir):
            directory = Path(tempfile.mkdtemp(prefix="from-brokers-", dir=self.path.parent))
            return prepare(source, directory, self.heartbeat)

    def _assumption(self) -> TreeSummary | None:
        """What the manifest says of the tree. None if that is not enough, or the tree is small enough to read first."""
        summary = TreeSummary.parse(self.manifest.summary)
        if summary is None or self.manifest.nodes < _LARGE or not self.check.as_saved:
            return None
        try:
            return None if self._plan(summary).rename else summary
        except ToolError:
            return None  # only the tree itself is a reason to refuse a restore

    def _verified(self, found: ScanResult) -> ScanResult:
        nodes, zxid = self.manifest.nodes, f"{self.manifest.zxid:#x}"
        fields = {"phase": "verify", "backup": str(self.job.point), "znodes": nodes, "zxid": zxid}
        log.info("verified %s: %d znodes at zxid %s", self.job.point, nodes, zxid, extra=fields)
        self.check.require_restorable(found, self._plan(found.facts.summary))
        return found

    def _plan(self, summary: TreeSummary) -> RecoveryPlan:
        return self.job.recovery_options.plan(summary, self.zxid, self.manifest.timestamp, self.job.marker.skipped_ids)

    def _write(self, out: BinaryIO, summary: TreeSummary, brokers: FromBrokers, found: ScanResult | None) -> "_Written":
        restorable = brokers.restorable()
        plan = replace(self._plan(summary), broker=restorable, cursor_size=self.job.jute_maxbuffer // 2)
        renamed = found.facts.clusters[plan.rename[0]] if found and plan.rename else []
        recovery, loading = Recovery(plan, summary, renamed, self.layout), LoadCheck(self.job.jute_maxbuffer)
        with archive.opened(self.path, self.heartbeat) as backup:
            tree = backup.tree(verified=True)
            read_only = _unused_key(tree.acls)
            acls = {**tree.acls, read_only: pack_acls([Acl(READ, "world", "anyone")])}
            loading.add_acls(acls)
            nodes = loading.passed_through(self._with_own(recovery.nodes(tree.nodes), read_only, brokers))
            encoded = self._checked(nodes, acls) if renamed else (node.encode() for node in nodes)
            written = snapshot.write(out, acls, encoded)
        fields = {"phase": "write", "backup": str(self.job.point), "znodes": written.nodes, "bytes": written.size}
        log.info("wrote %d znodes", written.nodes, extra=fields)
        restored = RestoredFromBrokers.of(self.manifest.broker, restorable, brokers.holds())
        return _Written(recovery.changes, loading, restored, brokers.saved)

    def _reported(self, found: ScanResult, written: "_Written") -> dict[str, bytes]:
        """Log what was done, unless ZooKeeper would not load it. Returns the marker and the report by file name."""
        require_loadable(written.loading)
        plan = self._plan(found.facts.summary)
        found.coverage.add_saved(written.saved)
        findings = tuple(finding.what for finding in self.check.findings(found, plan))
        origin, large = self.manifest.origin, tuple(written.loading.large.first)
        report = RecoveryReport(
            plan, found.facts, written.changes, found.coverage, findings, origin, large, written.from_brokers
        )
        for line in report.lines():
            log.info("%s", line)
        for line in report.warnings():
            log.warning("%s", line)
        return {datadir.MARKER: self.job.marker.to_json(), REPORT: report.encode()}

    def _checked(self, nodes: Iterable[Node], acls: Mapping[int, bytes]) -> Iterator[bytes]:
        """Encoded znodes of a tree in which some were renamed, as long as ZooKeeper can load it."""
        try:
            for node in snapshot.in_tree_order(nodes, acls, self.zxid):
                yield node.encode()
        except snapshot.SnapshotError as error:
            raise ToolError(
                f"ZooKeeper could not load the renamed tree, {error}", "Report this bug. Nothing was placed"
            ) from error

    def _with_own(self, nodes: Iterable[Node], read_only: int, brokers: FromBrokers) -> Iterator[Node]:
        """The tree with the znodes of a new server, and what this restore leaves in place of an earlier one."""
        time = self.manifest.timestamp
        stat = Stat(self.zxid, self.zxid, time, time, 0, 0, 0, 0, self.zxid)
        marker = Node(ZNODE, self.job.marker.to_json(), read_only, stat.pack())
        others = (node for node in nodes if not is_of_restore(node[0]) and node[0] != initial_znodes.CONFIG)
        own = snapshot.inserted(others, [marker, *initial_znodes.of_new_server(read_only)])
        return snapshot.merged(own, brokers.held_nodes(read_only, self.zxid, time))


class _Written(NamedTuple):
    """What was done while a snapshot was written."""

    changes: RecoveryChanges
    loading: LoadCheck
    from_brokers: RestoredFromBrokers
    saved: Mapping[str, Mapping[str, int]]
    """Records of `broker.json` by namespace and kind."""


def _scan(point: RestorePoint, path: Path, layout: Layout, heartbeat: Heartbeat | None = None) -> ScanResult:
    """Verify a fetched backup. Returns what a recovery must know of its tree."""
    scan = TreeScan(layout)
    verify(point, path, heartbeat or Heartbeat(), scan.add)
    return scan.result()


def _unused_key(acls: Mapping[int, bytes]) -> int:
    """A key for one more ACL. ZooKeeper's own keys are 1, 2 and so on."""
    key = max(0, *acls) + 1 if acls else 1
    return key if key < 1 << 63 else next(key for key in itertools.count(1) if key not in acls)


def _later(zxid: int, marker: Marker) -> int:
    """A zxid that no client of the old cluster had seen at the backup. A later backup gets a later one."""
    later = zxid + (marker.zxid_epochs << 32)
    if not leaves_epochs(later):
        raise ArchiveUnsupported(f"the backup's zxid {zxid:#x} leaves no room for a later one", USE_ANOTHER)
    return later
