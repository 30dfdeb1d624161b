"""What a place has missed is copied later: exactly what the service made, and no more than the retention keeps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metadata_tool.catalog import BackupName
from metadata_tool.copies.catch_up import CatchUp
from metadata_tool.copies.copy_metrics import CopyMetrics
from metadata_tool.copies.missed import MissedBackup, MissedBackups
from metadata_tool.errors import BucketDenied
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.limits import CATCH_UP_TRIES
from metadata_tool.retention import Retention
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP, location
from support.copies import Place, finished

HOUR = 3_600_000


class World:
    """A bucket with backups, a place that lacks them, and what catches up."""

    def __init__(self, directory: Path, retention: str = "") -> None:
        self.bucket, self.kept, self.copies = (directory / name for name in ("bucket", "kept", "place"))
        for part in (self.bucket, self.kept, self.copies):
            part.mkdir()
        self.place, self.metrics, self.heartbeat = Place(self.copies), CopyMetrics(), Heartbeat()
        rules = Retention.parse(retention) if retention else None
        bucket = DirectoryStore(location(self.bucket))
        self.catch_up = CatchUp(bucket, self.place, "pulsar", self.kept, self.metrics, rules)

    def miss(self, *times: int, suspect: bool = False) -> None:
        """The place misses backups that were made so many milliseconds after the first one."""
        for each in times:
            self.catch_up.add(finished(self.bucket, TIMESTAMP + each, suspect=suspect), tried=False)

    def run(self, waits: Callable[[], bool] = lambda: False) -> None:
        """A newer backup was copied."""
        self.catch_up.run(self.heartbeat, waits)
        assert [] == list(self.kept.iterdir())
        assert len(self.catch_up) == self.metrics.missing

    @property
    def there(self) -> list[int]:
        """The times of the copies, from the first one."""
        names = [BackupName.parse(name) for name in self.place.list("")]
        return sorted(name.timestamp - TIMESTAMP for name in names if name)


def test_all_are_copied(tmp_path: Path) -> None:
    """Without a retention everything is copied, suspect backups as well, under their names."""
    world = World(tmp_path)
    world.miss(0, 1)
    world.miss(2, suspect=True)
    world.run()
    assert ([0, 1, 2], 0) == (world.there, world.metrics.failures)
    assert f"pulsar-suspect-{TIMESTAMP + 2}.tar.gz" in world.place.list("")


def test_only_what_the_retention_keeps(tmp_path: Path) -> None:
    """What the rules would delete soon is not copied. They count with what the place has."""
    world = World(tmp_path, "hourly=2")
    world.place.save(
        (there := finished(tmp_path, TIMESTAMP + 9 * HOUR)).path, there.sha256, str(there.name), Heartbeat()
    )
    world.miss(0, 7 * HOUR, 8 * HOUR, 8 * HOUR + 1, 8 * HOUR + 2)
    world.miss(1, suspect=True)
    world.run()
    assert [1, 8 * HOUR + 1, 8 * HOUR + 2, 9 * HOUR] == world.there  # the newest 3 always stay
    assert 0 == world.metrics.missing


@pytest.mark.fault("Copies", "somebody changes a backup in the bucket before a place that was down has it")
def test_changed_in_the_bucket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is not the one that the service made is not copied, and the log tells. The others are."""
    world = World(tmp_path)
    world.miss(0, 1)
    (world.bucket / f"pulsar-{TIMESTAMP + 1}.tar.gz").write_bytes(b"beckup")
    world.run()
    assert ([0], 1, 0) == (world.there, world.metrics.failures, world.metrics.missing)
    told = caplog.messages[0]
    assert f"{world.place.location.uri(f'pulsar-{TIMESTAMP + 1}.tar.gz')} is not copied: " in told
    assert f"file://{world.bucket}/pulsar-{TIMESTAMP + 1}.tar.gz is not the file that this service made. " in told


@pytest.mark.fault("Copies", "a missed backup is deleted from the bucket")
def test_deleted_in_the_bucket(tmp_path: Path) -> None:
    """A backup that is not in the bucket any more is forgotten, and is no failure."""
    world = World(tmp_path)
    world.miss(0, 1)
    (world.bucket / f"pulsar-{TIMESTAMP + 1}.tar.gz").unlink()
    world.run()
    assert ([0], 0, 0) == (world.there, world.metrics.failures, world.metrics.missing)


@pytest.mark.parametrize("error", [BucketDenied("it denied PutObject", "Allow it"), OSError("a bug")])
def test_failure(error: Exception, tmp_path: Path) -> None:
    """A failure ends it until a newer backup was copied, is counted, and does not raise."""
    world = World(tmp_path)
    world.miss(0, 1)
    world.place.error = error
    world.run()
    assert (1, 1, 2) == (world.place.tries, world.metrics.failures, world.metrics.missing)
    world.place.error = None
    world.run()
    assert ([0, 1], 0) == (world.there, world.metrics.missing)


@pytest.mark.fault("Copies", "one of the missed backups cannot be copied")
def test_backup_that_always_fails(tmp_path: Path) -> None:
    """A backup that cannot be copied, because its name is taken, is left out after some tries. The others follow."""
    world = World(tmp_path)
    world.miss(0, 1)
    taken = world.copies / f"pulsar-{TIMESTAMP + 1}.tar.gz"
    taken.write_bytes(b"theirs")
    for _ in range(CATCH_UP_TRIES):
        assert 2 == len(world.catch_up)
        world.run()
    assert (1, CATCH_UP_TRIES) == (world.metrics.missing, world.metrics.failures)
    world.run()
    assert ([0, 1], b"theirs") == (world.there, taken.read_bytes())


def test_place_that_cannot_be_listed(tmp_path: Path) -> None:
    """Without a listing nothing is copied, as the retention cannot be asked."""
    world = World(tmp_path, "last=5")
    world.miss(0)
    world.copies.rmdir()
    world.run()
    assert (1, 1) == (world.metrics.missing, world.metrics.failures)


def test_newer_backup_comes_first(tmp_path: Path) -> None:
    """While a newer backup waits, nothing else is copied."""
    world = World(tmp_path)
    world.miss(0, 1, 2)
    world.run(lambda: bool(world.there))
    assert [2] == world.there


def test_stop(tmp_path: Path) -> None:
    """A stop ends it, and is no failure."""
    world = World(tmp_path)
    world.miss(0)
    world.heartbeat.stop()
    world.run()
    assert ([], 0) == (world.there, world.metrics.failures)


def test_bounded_memory() -> None:
    """Only the newest are remembered, in whatever order they come."""
    counts: list[int] = []
    missed = MissedBackups(counts.append, limit=2)
    for timestamp in (5, 1, 7, 3):
        missed.add(MissedBackup(BackupName("pulsar", timestamp), b"", tried=False))
    assert [1, 2, 2, 2] == counts
    found = []
    while newest := missed.newest:
        found.append(newest.name.timestamp)
        missed.remove(newest.name)
    assert [7, 5] == found
