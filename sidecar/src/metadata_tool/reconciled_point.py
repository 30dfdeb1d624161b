"""The restore point that a restore makes of a backup and of tiered storage. One member makes it, and all take it.

So all members get the same bytes, although the buckets may change between their restores. Its name follows from the
backup, the restore version and the settings. While several members are known, only the first of them saves the file,
so this needs no store that refuses to overwrite.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.derived_backup import DerivedBackup
from metadata_tool.errors import STORE_FAULTS, StoreFailed, UploadUnverified
from metadata_tool.fetch import fetched
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.reconciliation import ReconcileJob, reconcile
from metadata_tool.restore_job import RestoreJob
from metadata_tool.store import Store
from metadata_tool.tiered_storage.contract import DescribedBucket
from metadata_tool.tree_check import TreeCheck
from metadata_tool.workspace import workspace

log = logging.getLogger(__name__)

_WITHOUT = (
    "To restore without what was offloaded since the backup, set TIERED_STORAGE_RECONCILE=false "
    "(restore.tieredStorage.reconcile). Nothing was touched"
)


@dataclass(frozen=True)
class TieredStorage:
    """How a restore reads tiered storage, with how many requests in flight, and opens the store to save a file."""

    open_bucket: Callable[[str], DescribedBucket]
    requests: int
    open_store: Callable[[Location], Store]


def make_point(job: RestoreJob, source: RestorePoint, tiered: TieredStorage, heartbeat: Heartbeat) -> RestorePoint:
    """The restore point that all members of this restore take. It is made if it does not exist yet.

    Raises:
        ToolError: tiered storage cannot be read, or the file cannot be saved. Nothing was saved.
    """
    point = job.reconciled(source)
    store = tiered.open_store(point.location)
    if _exists(store, point):
        log.info("%s was made before", point, extra={"backup": str(point)})
        return point
    with _made(job, source, tiered, heartbeat) as made, _explained():
        try:
            store.save(made.path, made.sha256, str(point.name), heartbeat)
        except StoreFailed:
            if not _exists(store, point):
                raise
            log.info("another member has saved %s meanwhile", point, extra={"backup": str(point)})
        else:
            log.info("saved %s", point, extra={"backup": str(point)})
    return point


@contextmanager
def rehearsed_point(
    job: RestoreJob, source: RestorePoint, tiered: TieredStorage, heartbeat: Heartbeat
) -> Iterator[tuple[RestorePoint, Path]]:
    """The restore point that `make_point` would return, and a local copy. Nothing is saved in the store."""
    point = job.reconciled(source)
    store = tiered.open_store(point.location)
    if _exists(store, point):
        with fetched(point, store, job.spool_dir, heartbeat) as path:
            yield point, path
    else:
        with _made(job, source, tiered, heartbeat) as made:
            yield point, made.path


def _exists(store: Store, point: RestorePoint) -> bool:
    name = str(point.name)
    return bool(store.list(name).get(name))


@contextmanager
def _made(
    job: RestoreJob, source: RestorePoint, tiered: TieredStorage, heartbeat: Heartbeat
) -> Iterator[DerivedBackup]:
    """The new backup, as a local file that is removed at the end."""
    store, name = tiered.open_store(source.location), job.reconciled(source).name
    with fetched(source, store, job.spool_dir, heartbeat) as path, workspace(job.spool_dir) as directory:
        with archive.opened(path) as backup:
            layout = TreeCheck.of(job.settled(source), backup.manifest).layout
        with _explained():
            work = ReconcileJob(source, path, directory, tiered.requests, tiered.open_bucket, layout)
            result, made = reconcile(work, name, heartbeat)
        for line in result.lines():
            log.info("%s", line)
        assert made  # it has a name
        yield made


@contextmanager
def _explained() -> Iterator[None]:
    """Say how to restore without tiered storage, if a store fails."""
    try:
        yield
    except (*STORE_FAULTS, UploadUnverified) as error:
        raise error.with_hint(_WITHOUT) from error
