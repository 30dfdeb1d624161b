"""One restore: fetch a backup, verify all of it, then place its snapshot where a new ZooKeeper will find it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.store import Store
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper import datadir

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restored:
    """What was placed, and where."""

    manifest: Manifest
    snapshot: Path


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


def run(point: RestorePoint, store: Store, data_dir: Path, spool_dir: Path, checkpoint: Checkpoint) -> Restored:
    """Restore into a data directory that is empty. Every member gets the same bytes under the same name.

    Raises:
        DataDirNotEmpty: it is not; nothing was touched.
        ToolError: the restore failed; the directory is as it was.
    """
    datadir.require_empty(data_dir)  # first: nothing is worth fetching otherwise
    with fetched(point, store, spool_dir, checkpoint) as path:
        manifest = verify(point, path, checkpoint)
        log.info("verified %s: %d znodes at zxid %#x", point, manifest.nodes, manifest.zxid)
        with archive.opened(path) as backup:
            write = partial(backup.copy_snapshot, checkpoint=checkpoint)
            placed = datadir.place(data_dir, datadir.next_epoch(manifest.zxid), write)
    log.info("restored %d znodes into %s", manifest.nodes, placed)
    return Restored(manifest, placed)
