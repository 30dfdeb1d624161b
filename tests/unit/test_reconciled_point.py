"""The restore point that a restore makes, if two members make it at the same time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metadata_tool.catalog import RestorePoint
from metadata_tool.errors import StoreFailed
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.reconciled_point import TieredStorage, make_point
from metadata_tool.restore_job import RestoreJob
from metadata_tool.store.base import already_there, ignored
from metadata_tool.store.directory import DirectoryStore
from metadata_tool.zookeeper.datadir import DataDir
from support.backups import make_backup
from support.offload import MemoryBucket


class Raced(DirectoryStore):
    """A folder in which a file may appear just before it is saved. Then it is not overwritten."""

    appears = True

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = ignored,
    ) -> None:
        """See `Store.save`."""
        if self.appears:
            super().save(source, digest, name, heartbeat, sent=sent)
        raise already_there(self.location, name)


def job_and_source(directory: Path) -> tuple[RestoreJob, RestorePoint]:
    """A restore of a backup in this directory."""
    source = make_backup(directory)
    options = RecoveryOptions(Scope.BOOKIES_LOST, reconcile=True)
    return RestoreJob(source, "1", DataDir(directory, directory), directory, "", 8080, False, options), source


@pytest.mark.parametrize("appears", [True, False])
def test_two_members(appears: bool, tmp_path: Path) -> None:
    """A member that comes too late takes what the other has saved. Any other failure is an error."""

    def open_store(location: Location) -> DirectoryStore:
        store = Raced(location)
        store.appears = appears
        return store

    job, source = job_and_source(tmp_path)
    tiered = TieredStorage(lambda _: MemoryBucket(), 3, open_store)
    if appears:
        assert job.reconciled(source) == make_point(job, source, tiered, Heartbeat())
    else:
        with pytest.raises(StoreFailed, match="set TIERED_STORAGE_RECONCILE=false"):
            make_point(job, source, tiered, Heartbeat())
