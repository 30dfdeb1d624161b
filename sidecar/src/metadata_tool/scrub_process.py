"""A scrub in a process of its own, so that a backup keeps its processor, and the memory is returned afterwards."""

import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metadata_tool import logs
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.settings import ScrubSettings
from metadata_tool.subprocess_worker import in_subprocess
from metadata_tool.tiered_storage.claims import claims_of
from metadata_tool.tiered_storage.known_ledgers import known_ledgers
from metadata_tool.tiered_storage.scrub import ScrubJob, scrubbed
from metadata_tool.tiered_storage.scrub_result import ScrubResult
from metadata_tool.workspace import explained


@dataclass(frozen=True)
class ScrubTask:
    """What the process is told: the backup, its file, where proven ledgers are kept, and a directory for its work."""

    point: RestorePoint
    path: Path
    known: Path
    directory: Path
    settings: ScrubSettings


@dataclass(frozen=True)
class ScrubProcess:
    """Scrubs backups of one folder, one after another. `kept` is a directory for what is kept between them."""

    settings: ScrubSettings
    location: Location
    spool_dir: Path
    kept: Path

    def __call__(self, packed: Path, heartbeat: Heartbeat) -> ScrubResult:
        """Scrub the backup in this file, which has the backup's name.

        Raises:
            ToolError: the scrub failed, or was stopped by the heartbeat.
        """
        name = BackupName.parse(packed.name)
        assert name
        with (
            explained(self.spool_dir),
            tempfile.TemporaryDirectory(dir=self.kept, ignore_cleanup_errors=True) as directory,
        ):
            point = RestorePoint(self.location, name)
            task = ScrubTask(point, packed, self.kept / "known.sqlite", Path(directory), self.settings)
            with in_subprocess(heartbeat, scrub_file, self.spool_dir, task) as result:
                return result()


def scrub_file(spool_dir: Path, task: ScrubTask) -> ScrubResult:
    """Scrub a backup's file, in the process."""
    from metadata_tool.tiered_storage.bucket import opener  # noqa: PLC0415  # boto3 takes a second to load

    gc.enable()  # boto3 makes cycles
    logs.configure(*task.settings.logs)
    storage = task.settings.storage
    job = ScrubJob(task.directory, task.settings.list_only, storage.requests)
    with (
        explained(spool_dir),
        known_ledgers(task.known, task.directory) as known,
        scrubbed(
            job, claims_of(task.point, task.path), opener(storage.options, storage.moved), Heartbeat(), known
        ) as done,
    ):
        return done.result
