"""One restore: fetch a backup, verify all of it, then place its snapshot where a new ZooKeeper will find it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported, DataDirNotEmpty
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.marker import Marker
from metadata_tool.store import Store
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper import datadir

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What to restore, under which version, and where to."""

    point: RestorePoint
    version: str
    data_dir: Path
    spool_dir: Path

    @property
    def marker(self) -> Marker:
        """What is left behind when it is done."""
        return Marker(self.version, str(self.point))


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


def verify(point: RestorePoint, path: Path, checkpoint: Checkpoint) -> Manifest:
    """Read a fetched backup whole and check everything that can be checked.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: it is not to be used.
    """
    manifest = archive.verify(path, checkpoint)
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


def done_before(plan: Plan) -> bool:
    """Whether this version was restored into the data directory before: a pod restart, which needs no object store.

    Raises:
        DataDirNotEmpty: another version was; nothing was touched.
        DataDirUnusable: it cannot be read.
    """
    found = datadir.read_marker(plan.data_dir)
    marker = Marker.parse(found) if found is not None else None
    if marker is None:
        return False  # what else the directory may hold is not decided here
    if marker.version != plan.version:
        raise DataDirNotEmpty(
            f"ZOOKEEPER_DATA_DIR {plan.data_dir} was restored before, as version {marker.version} from {marker.point}",
            f"version {plan.version} needs an empty volume. Nothing was touched",
        )
    log.info("version %s was restored here before, from %s: nothing to do", marker.version, marker.point)
    if marker.point != str(plan.point):
        log.warning("%s is not restored: it needs a version of its own, and an empty volume", plan.point)
    return True


def run(plan: Plan, store: Store, checkpoint: Checkpoint) -> Path:
    """Restore into a data directory that is empty. Every member gets the same bytes under the same name.

    The path of the snapshot.

    Raises:
        DataDirNotEmpty: it is not; nothing was touched.
        ToolError: the restore failed; the directory is as it was.
    """
    datadir.require_empty(plan.data_dir)  # first: nothing is worth fetching otherwise
    with fetched(plan.point, store, plan.spool_dir, checkpoint) as path:
        manifest = verify(plan.point, path, checkpoint)
        log.info("verified %s: %d znodes at zxid %#x", plan.point, manifest.nodes, manifest.zxid)
        with archive.opened(path) as backup:
            write = partial(backup.copy_snapshot, checkpoint=checkpoint)
            zxid = datadir.next_epoch(manifest.zxid)
            placed = datadir.place(plan.data_dir, zxid, write, plan.marker.to_json())
    log.info("restored %d znodes into %s", manifest.nodes, placed)
    return placed
