"""One drill: restore a backup into a scratch directory, read it again, start a server on it, and compare."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from metadata_tool.catalog import RestorePoint
from metadata_tool.drill import limits, restored_files, served_tree
from metadata_tool.drill.result import DrillResult
from metadata_tool.drill.server import ServerCommand, serving
from metadata_tool.errors import (
    ArchiveCorrupt,
    ArchiveUnsupported,
    ClusterAbsent,
    ClusterNameDiffers,
    DataDirUnusable,
    DrillFailed,
    SpoolFailed,
    TreeIncomplete,
    TreeUnloadable,
)
from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.location import Location
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.restore import restore
from metadata_tool.restore_job import RestoreJob
from metadata_tool.store import Store
from metadata_tool.store.base import StoreOptions
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper.datadir import DataDir

log = logging.getLogger(__name__)

_VERSION = "drill"
"""The RESTORE_VERSION of a drill."""

_OF_THE_BACKUP = (
    ArchiveCorrupt,
    ArchiveUnsupported,
    ClusterAbsent,
    ClusterNameDiffers,
    TreeIncomplete,
    TreeUnloadable,
    DrillFailed,
)
"""Errors because of which the backup would not be restored. All others are the drill's own, and tell nothing of it."""


@dataclass(frozen=True)
class DrillJob:
    """What to restore, and how, as `RestoreJob` says. `server` is None if no server is to be started."""

    point: RestorePoint
    looked_up: bool
    spool_dir: Path
    recovery_options: RecoveryOptions
    allow_partial: bool
    jute_maxbuffer: int
    bucket_access: StoreOptions | None
    server: ServerCommand | None

    def restore_job(self, data: Path, spool_dir: Path) -> RestoreJob:
        """The restore into this directory. It asks no ZooKeeper, because it knows of none."""
        return RestoreJob(
            wanted=self.point,
            version=_VERSION,
            data=DataDir(data, data),
            spool_dir=spool_dir,
            ensemble="",
            admin_port=0,
            overwrite_existing=False,
            recovery_options=self.recovery_options,
            allow_older=True,
            allow_partial=self.allow_partial,
            looked_up=self.looked_up,
            jute_maxbuffer=self.jute_maxbuffer,
            bucket_access=self.bucket_access,
        )


def drill(job: DrillJob, open_store: Callable[[Location], Store], heartbeat: Heartbeat) -> DrillResult:
    """The result, also if the backup would not be restored, or if ZooKeeper does not serve what was restored.

    All work is done in a directory below SPOOL_DIR, which is removed.

    Raises:
        ToolError: the drill could not be done, which tells nothing of the backup.
    """
    result = DrillResult(str(job.point), time.time_ns() // 1_000_000)
    with workspace(job.spool_dir) as directory:
        try:
            _run(job, open_store, directory, result, heartbeat)
        except _OF_THE_BACKUP as error:
            result.failure, result.hint = error.message, error.hint
        except DataDirUnusable as error:
            raise SpoolFailed(
                error.message, "Make SPOOL_DIR a writable directory with free space for three times the tree"
            ) from error
    fields = {"phase": "drill", "backup": result.backup, "seconds": result.serving_seconds}
    log.log(logging.INFO if result.passed else logging.WARNING, "%s", result.headline, extra=fields)
    return result


def _run(
    job: DrillJob, open_store: Callable[[Location], Store], directory: Path, result: DrillResult, heartbeat: Heartbeat
) -> None:
    data, kept = directory / "data", directory / str(job.point.name)
    data.mkdir()
    store = cast("Store", _KeepingStore(open_store(job.point.location), kept, result))  # a restore fetches, no more
    with _timed(result, "restore"):
        placed = restore(job.restore_job(data, directory), lambda _: store, heartbeat)
    result.seconds["restore"] -= result.seconds.get("fetch", 0.0)
    assert placed  # the directory is empty, and no member is known
    with _timed(result, "compare files"):
        step = _Progress("compared", "znodes with the backup", heartbeat)
        result.counts = restored_files.compare(job.point, kept, placed, job.recovery_options, step)
    if not job.server:
        return
    begin = time.monotonic()
    with serving(job.server, data, directory, heartbeat) as server:
        result.seconds["start"] = time.monotonic() - begin
        result.server = server.version
        with _timed(result, "compare served"):
            served_tree.compare(server, placed, _Progress("compared", "znodes with the server", heartbeat))


@contextmanager
def _timed(result: DrillResult, step: str) -> Iterator[None]:
    begin = time.monotonic()
    try:
        yield
    finally:
        result.seconds[step] = time.monotonic() - begin


class _Progress:
    """Called at every znode with a running count. Logs it every few seconds."""

    def __init__(self, verb: str, what: str, heartbeat: Heartbeat) -> None:
        self._text = f"{verb} %d {what}"
        self._heartbeat = heartbeat
        self._report = Every(limits.REPORT_EVERY)

    def __call__(self, count: int) -> None:
        if count % 1000 == 0:
            self._heartbeat()
            if self._report():
                log.info(self._text, count)


class _KeepingStore:
    """A store that times what it fetches, and keeps it for the comparison."""

    def __init__(self, store: Store, kept: Path, result: DrillResult) -> None:
        self.location = store.location
        self._store = store
        self._kept = kept
        self._result = result

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        with _timed(self._result, "fetch"):
            self._store.fetch(name, target, heartbeat)
        try:
            os.link(target, self._kept)
        except OSError:  # a file system without links
            shutil.copyfile(target, self._kept)
