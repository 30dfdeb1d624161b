"""A backup on this machine: fetched from its store, and verified."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.store import Store
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper.snapshot import Node

log = logging.getLogger(__name__)


@contextmanager
def fetched(point: RestorePoint, store: Store, spool_dir: Path, heartbeat: Heartbeat) -> Iterator[Path]:
    """A local copy of a backup, which is removed at the end.

    Raises:
        BackupMissing: there is no such backup.
        ToolError: the store or the spool directory cannot be used.
    """
    with workspace(spool_dir) as workdir:
        path = workdir / str(point.name)
        log.info("fetching %s", point, extra={"phase": "fetch", "backup": str(point)})
        store.fetch(str(point.name), path, heartbeat)
        try:
            yield path
        except (ArchiveCorrupt, ArchiveUnsupported) as error:
            raise type(error)(f"{point}: {error.message}", error.hint) from error


def verify(
    point: RestorePoint, path: Path, heartbeat: Heartbeat, each: Callable[[Node], None] = lambda _: None
) -> Manifest:
    """The manifest of a fetched backup that passed all checks. `each` is called with every znode.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: the backup must not be used.
    """
    manifest = archive.verify(path, heartbeat, each)
    require_match(point, manifest)
    return manifest


def require_match(point: RestorePoint, manifest: Manifest) -> None:
    """Refuse a backup whose file was renamed.

    Raises:
        ArchiveCorrupt: the manifest has another prefix or time.
    """
    prefixes = point.name.prefix, point.name.sound.prefix
    if manifest.prefix not in prefixes or manifest.timestamp != point.name.timestamp:
        raise ArchiveCorrupt(
            f"the file was renamed, its original name is {manifest.prefix}-{manifest.timestamp}.tar.gz", USE_ANOTHER
        )
