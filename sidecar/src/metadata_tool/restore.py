"""One restore: fetch a backup, verify it, make it the tree of a new cluster, place that where ZooKeeper will look."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from metadata_tool import archive
from metadata_tool.apart import apart
from metadata_tool.catalog import RestorePoint, Series
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported, ClusterAbsent, SettingError, ToolError
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.marker import ZNODE, Marker
from metadata_tool.pulsar.facts import Outline
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.recovery import Changes, Recovery
from metadata_tool.pulsar.report import Report
from metadata_tool.pulsar.rules import Orders
from metadata_tool.pulsar.survey import Findings, Survey
from metadata_tool.pulsar.wishes import Wishes
from metadata_tool.store import Store
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper import datadir, snapshot, system
from metadata_tool.zookeeper.datadir import DataDir
from metadata_tool.zookeeper.jute import READ, Acl, Stat, pack_acls
from metadata_tool.zookeeper.snapshot import Node

log = logging.getLogger(__name__)


_LARGE = 100_000
"""Znodes of a backup that is worth another process."""

REPORT = "restore-report.json"
"""Lies beside the snapshot, where ZooKeeper passes over it."""


@dataclass(frozen=True)
class Plan:
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
    wishes: Wishes
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
            raise ToolError(f"the newest backup of {self.wanted} was not looked up", "nothing was touched. Report it")
        return self.wanted

    @property
    def described(self) -> str:
        """What is wanted, in words."""
        return f"the newest {self.wanted}-<epoch ms>.tar.gz" if isinstance(self.wanted, Series) else str(self.wanted)

    def settled(self, point: RestorePoint) -> "Plan":
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
        return Marker(self.version, point, self.wishes.described())

    @property
    def why(self) -> str:
        """Why data is kept aside."""
        return f"replaced-by-restore-{self.version}"


@contextmanager
def fetched(point: RestorePoint, store: Store, spool_dir: Path, checkpoint: Checkpoint) -> Iterator[Path]:
    """A local copy of a backup, gone afterwards.

    Raises:
        BackupMissing: there is no such backup.
        ToolError: the store or the spool directory cannot be used.
    """
    with workspace(spool_dir) as workdir:
        path = workdir / str(point.name)
        log.info("fetching %s", point)
        store.fetch(str(point.name), path, checkpoint)
        try:
            yield path
        except (ArchiveCorrupt, ArchiveUnsupported) as error:
            raise type(error)(f"{point}: {error.message}", error.hint) from error


def verify(
    point: RestorePoint, path: Path, checkpoint: Checkpoint, each: Callable[[Node], None] = lambda _: None
) -> Manifest:
    """Read a fetched backup whole and check everything that can be checked; `each` is called with every znode.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: it is not to be used.
    """
    manifest = archive.verify(path, checkpoint, each)
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


def run(plan: Plan, store: Store, checkpoint: Checkpoint, *, replace: bool) -> Path:
    """Restore into a data directory. Every member gets the same bytes under the same name.

    The path of the snapshot. With `replace`, data that is there already is kept aside. The directory is locked.

    Raises:
        DataDirNotEmpty: there is data, and it is not to be replaced; nothing was touched.
        ToolError: the restore failed; the directory is as it was.
    """
    with fetched(plan.point, store, plan.spool_dir, checkpoint) as path:
        recovering = _Recovering.begin(plan, path, checkpoint)
        plan.data.require_space(recovering.room)
        placed = plan.data.place(recovering.zxid, recovering.write, plan.why if replace else None)
    log.info("restored %s into %s, with a report beside it: %s", plan.point, placed, REPORT)
    return placed


def join(plan: Plan, origin: Marker, *, replace: bool) -> None:
    """Let a member start empty and take its tree from the others, which are of this origin.

    With `replace`, existing data is moved aside.

    Raises:
        DataDirUnusable: the directory cannot be written.
    """
    if replace:
        plan.data.keep_aside(plan.why)
    plan.data.note_joined(origin.to_json())


def rehearse(plan: Plan, store: Store, checkpoint: Checkpoint) -> None:
    """Do all of it but the last step: the report is said, nothing is placed.

    Raises:
        ToolError: the restore would fail.
    """
    with fetched(plan.point, store, plan.spool_dir, checkpoint) as path:
        recovering = _Recovering.begin(plan, path, checkpoint)
        plan.data.require_space(recovering.room)
        recovering.write(_Nowhere())


class _Nowhere(io.BytesIO):
    """What a rehearsal writes to."""

    def write(self, content: Any) -> int:
        return len(content)


def _survey(point: RestorePoint, path: Path, layout: Layout, checkpoint: Checkpoint | None = None) -> Findings:
    """Verify a fetched backup, and learn what must be known of the whole tree."""
    survey = Survey(layout)
    verify(point, path, checkpoint or Checkpoint(), survey.see)
    return survey.findings()


def _layout(plan: Plan, manifest: Manifest) -> Layout:
    if plan.managed_ledger_path != manifest.managed_ledger_path:
        raise SettingError(
            f"MANAGED_LEDGER_PATH is {plan.managed_ledger_path}, that of the backup {manifest.managed_ledger_path}",
            f"set it to {manifest.managed_ledger_path}",
        )
    return Layout(manifest.chroot, manifest.managed_ledger_path)


def _require_cluster(point: RestorePoint, manifest: Manifest) -> None:
    """Refuse the backup of an ensemble that was emptied: nobody chose it."""
    outline = Outline.parse(manifest.outline)
    if outline and not outline.clusters:
        raise ClusterAbsent(
            f"the newest backup, {point}, holds no Pulsar cluster: /admin/clusters is empty",
            "nothing was touched. Set RESTORE_POINT to an older backup that holds one (`metadata-tool list` and "
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

    plan: Plan
    path: Path
    manifest: Manifest
    layout: Layout
    zxid: int
    checkpoint: Checkpoint

    @classmethod
    def begin(cls, plan: Plan, path: Path, checkpoint: Checkpoint) -> "_Recovering":
        """Read the manifest."""
        with archive.opened(path) as backup:
            manifest = backup.manifest
        if plan.looked_up:
            _require_cluster(plan.point, manifest)
        return cls(plan, path, manifest, _layout(plan, manifest), _later(manifest.zxid, plan.marker), checkpoint)

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
            findings = self._say_verified(_survey(self.plan.point, self.path, self.layout, self.checkpoint))
            return self._told(findings, self._write(out, findings.facts.outline, findings))
        log.info("verifying %s, and writing it at the same time", self.plan.point)
        with apart(self.checkpoint, _survey, self.plan.point, self.path, self.layout) as surveyed:
            try:
                changes = self._write(out, assumed, None)
            except Exception:
                surveyed()  # what is wrong with the backup explains whatever came of it
                raise
            findings = self._say_verified(surveyed())
        if findings.facts.outline != assumed:
            log.warning("its manifest tells other ids or clusters than its tree: it is written again")
            out.seek(0)
            out.truncate()
            changes = self._write(out, findings.facts.outline, findings)
        return self._told(findings, changes)

    def _assumption(self) -> Outline | None:
        """What can be assumed of the tree before it was read; None if that is not worth while, or not enough."""
        outline = Outline.parse(self.manifest.outline)
        if outline is None or self.manifest.nodes < _LARGE:
            return None
        try:
            return None if self._orders(outline).rename else outline
        except ToolError:
            return None  # whatever is to be refused is refused for what is in the tree

    def _say_verified(self, findings: Findings) -> Findings:
        log.info("verified %s: %d znodes at zxid %#x", self.plan.point, self.manifest.nodes, self.manifest.zxid)
        return findings

    def _orders(self, outline: Outline) -> Orders:
        return self.plan.wishes.orders(outline, self.zxid, self.manifest.timestamp)

    def _write(self, out: BinaryIO, outline: Outline, findings: Findings | None) -> Changes:
        orders = self._orders(outline)
        renamed = findings.facts.clusters[orders.rename[0]] if findings and orders.rename else []
        recovery = Recovery(orders, outline, renamed, self.layout)
        with archive.opened(self.path, self.checkpoint) as backup:
            tree = backup.tree(verified=True)
            read_only = max(tree.acls, default=0) + 1
            acls = {**tree.acls, read_only: pack_acls([Acl(READ, "world", "anyone")])}
            nodes = self._with_own(recovery.nodes(tree.nodes), read_only)
            written = snapshot.write(out, acls, self._sound(nodes, acls) if renamed else (n.encode() for n in nodes))
        log.info("wrote %d znodes", written.nodes)
        return recovery.changes

    def _told(self, findings: Findings, changes: Changes) -> dict[str, bytes]:
        """Say what was done; the files that tell it."""
        report = Report(self._orders(findings.facts.outline), findings.facts, changes, findings.coverage)
        for line in report.lines():
            log.info("%s", line)
        return {datadir.MARKER: self.plan.marker.to_json(), REPORT: report.encode()}

    def _sound(self, nodes: Iterable[Node], acls: Mapping[int, bytes]) -> Iterator[bytes]:
        """A tree in which znodes have moved, encoded, as long as it is one that ZooKeeper loads."""
        try:
            for node in snapshot.in_tree_order(nodes, acls, self.zxid):
                yield node.encode()
        except snapshot.SnapshotError as error:
            raise ToolError(f"the tree would be unsound, {error}", "nothing was placed; report it") from error

    def _with_own(self, nodes: Iterable[Node], read_only: int) -> Iterator[Node]:
        """The tree with the znode that says which restore it is of, in place of an earlier one, and a new server's."""
        time = self.manifest.timestamp
        stat = Stat(self.zxid, self.zxid, time, time, 0, 0, 0, 0, self.zxid)
        marker = Node(ZNODE, self.plan.marker.to_json(), read_only, stat.pack())
        others = (node for node in nodes if node[0] != ZNODE and node[0] != system.CONFIG)
        return snapshot.inserted(others, [marker, *system.of_new_server(read_only)])
