"""Copies in threads of their own: no backup waits for them or fails by them, and each place fails by itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metadata_tool.catalog import Backup
from metadata_tool.copies.catch_up import CatchUp
from metadata_tool.copies.copier import Copier
from metadata_tool.copies.copy_metrics import CopyMetrics
from metadata_tool.copies.places import Copiers, CopyOnce
from metadata_tool.errors import BackupNotCopied, BucketDenied, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import Manifest
from metadata_tool.retention import Retention
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP, location
from support.copies import NAME, Place, finished

PATIENCE = 60.0
DENIED = BucketDenied("it denied PutObject", "Allow it")


class World:
    """One place, its copier and its counts."""

    def __init__(self, directory: Path, name: str = "place", retry: float = PATIENCE, retention: str = "") -> None:
        for part in ("spool", name, f"{name}-kept"):
            (directory / part).mkdir(exist_ok=True)
        self.spool, self.kept = directory / "spool", directory / f"{name}-kept"
        self.bucket_directory = directory / "bucket"
        self.bucket_directory.mkdir(exist_ok=True)
        self.bucket = DirectoryStore(location(self.bucket_directory))
        self.place, self.metrics = Place(directory / name), CopyMetrics()
        self.pruned: list[Backup] = []
        rules = Retention.parse(retention) if retention else None
        catch_up = CatchUp(self.bucket, self.place, "pulsar", self.kept, self.metrics, rules)
        self.copier = Copier(self.place, "pulsar", self.kept, self.metrics, catch_up, prune=self._prune, retry=retry)

    def _prune(self, backup: Backup, _: Manifest, __: Heartbeat) -> None:
        self.pruned.append(backup)

    def offer(self, timestamp: int = TIMESTAMP, *, suspect: bool = False) -> None:
        """A backup is done. Its own file is removed at once, as by the end of a backup."""
        made = finished(self.spool, timestamp, suspect=suspect)
        if not (self.bucket_directory / str(made.name)).exists():
            self.bucket.save(made.path, made.sha256, str(made.name), Heartbeat())
        self.copier.offer(made)
        made.path.unlink()


@contextmanager
def running(*worlds: World) -> Iterator[None]:
    """The copiers run, and are stopped at the end. Then nothing is left in their directories."""
    copiers = Copiers([world.copier for world in worlds])
    copiers.start()
    try:
        yield
    finally:
        assert copiers.stop(PATIENCE)
    assert [] == [path for world in worlds for path in world.kept.iterdir()]


def eventually(condition: Callable[[], object]) -> bool:
    """Whether something comes true before patience ends."""
    wait = threading.Event()
    return any(condition() or wait.wait(0.005) for _ in range(int(PATIENCE * 200)))


def test_copies_each_backup(tmp_path: Path) -> None:
    """A backup is copied after its own file is gone, is counted, and old copies are deleted after it."""
    world = World(tmp_path)
    with running(world):
        world.offer()
        assert eventually(lambda: world.pruned)
    assert ([NAME], TIMESTAMP, 0) == (world.place.files, world.metrics.last_success, world.metrics.failures)
    assert [(NAME, world.place.location.uri(NAME), 6)] == [(str(b.name), b.uri, b.size) for b in world.pruned]
    assert (NAME, "") == (str(world.copier.newest), world.copier.last_failure)


def test_suspect_backup(tmp_path: Path) -> None:
    """A suspect backup is copied under its name. It is not the newest sound one, and deletes nothing."""
    world = World(tmp_path)
    with running(world):
        world.offer(suspect=True)
        assert eventually(lambda: world.place.files)
        world.offer(TIMESTAMP - 1)
        assert eventually(lambda: world.pruned)
    assert [TIMESTAMP - 1] == [backup.name.timestamp for backup in world.pruned]
    assert TIMESTAMP - 1 == world.metrics.last_success


@pytest.mark.fault("Copies", "a place denies or fails")
@pytest.mark.parametrize("error", [DENIED, OSError("a bug")])
def test_tries_again(error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A copy that failed is tried again until it succeeds. The same failure is told once, and each try is counted."""
    world = World(tmp_path, retry=0.001)
    world.place.error = error
    with running(world):
        world.offer()
        assert eventually(lambda: world.metrics.failures > 2)
        assert ([], 0) == (world.place.files, world.metrics.last_success)
        assert world.copier.last_failure
        world.place.error = None
        assert eventually(lambda: world.pruned)
    assert ([NAME], "") == (world.place.files, world.copier.last_failure)
    if error is DENIED:
        told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        where = world.place.location
        assert [f"{where} has no copy of the newest backup: it denied PutObject. Allow it. It is tried again"] == told


@pytest.mark.fault("Copies", "a place is slower than the backups")
def test_newer_backup_takes_the_place(tmp_path: Path) -> None:
    """While one copy takes long, only the newest of those that wait is kept. The others follow, newest first."""
    world = World(tmp_path)
    world.place.released.clear()
    with running(world):
        world.offer(TIMESTAMP)
        assert world.place.begun.wait(PATIENCE)
        for later in (1, 2, 3):
            world.offer(TIMESTAMP + later)
        assert 2 == len(list(world.kept.iterdir()))
        assert 2 == world.metrics.missing
        world.place.released.set()
        assert eventually(lambda: len(world.place.files) == 4)
    assert [TIMESTAMP, TIMESTAMP + 3] == [backup.name.timestamp for backup in world.pruned]
    assert ([0, 3, 2, 1], 0) == (world.place.saved, world.metrics.missing)


def test_newer_backup_ends_the_tries(tmp_path: Path) -> None:
    """A copy that failed waits once a newer backup is there, and its file goes. It follows after the newer one."""
    world = World(tmp_path)
    world.place.error = DENIED
    with running(world):
        world.offer()
        assert eventually(lambda: world.metrics.failures)
        world.place.error = None
        world.offer(TIMESTAMP + 1)
        assert eventually(lambda: len(world.place.files) == 2)
    assert ([1, 0], TIMESTAMP + 1) == (world.place.saved, world.metrics.last_success)


def test_each_place_is_offered_a_backup(tmp_path: Path) -> None:
    """A backup that is offered to all places is copied to each."""
    worlds = [World(tmp_path, name) for name in ("one", "other")]
    with running(*worlds):
        Copiers([world.copier for world in worlds]).offer(finished(tmp_path))
        assert eventually(lambda: all(world.place.files for world in worlds))


def test_kept_file_is_lost(tmp_path: Path) -> None:
    """If the file of a backup that waits is lost, the next one is copied, and the lost one is fetched again."""
    world = World(tmp_path)
    world.place.error = DENIED
    with running(world):
        world.offer()
        assert eventually(lambda: world.metrics.failures)
        for path in world.kept.iterdir():
            path.unlink()
        world.place.error = None
        world.offer(TIMESTAMP + 1)
        assert eventually(lambda: len(world.place.files) == 2)


@pytest.mark.fault("Copies", "one place hangs, and another one fails")
def test_each_place_fails_by_itself(tmp_path: Path) -> None:
    """If one place hangs and another one fails, the third has the backup."""
    hung, failing, good = (World(tmp_path, name) for name in ("hung", "failing", "good"))
    hung.place.released.clear()
    failing.place.error = DENIED
    with running(hung, failing, good):
        for world in (hung, failing, good):
            world.offer()
        assert eventually(lambda: good.pruned and failing.metrics.failures)
        assert hung.place.begun.wait(PATIENCE)
    assert ([], [], [NAME]) == (hung.place.files, failing.place.files, good.place.files)


@pytest.mark.fault("Copies", "the directory of a place does not exist")
def test_place_that_cannot_be_listed(tmp_path: Path) -> None:
    """A directory that does not exist is a failure that names it, and no more."""
    world = World(tmp_path)
    world.place.directory.rmdir()
    with running(world):
        world.offer()
        assert eventually(lambda: world.metrics.failures)
    assert f"the directory {world.place.location} does not exist" in world.copier.last_failure


def test_knows_what_is_there(tmp_path: Path) -> None:
    """After a start, the newest sound backup of the place is known."""
    world = World(tmp_path)
    for name in (NAME, f"pulsar-{TIMESTAMP - 5}.tar.gz", f"pulsar-suspect-{TIMESTAMP + 5}.tar.gz", "other"):
        (world.place.directory / name).write_bytes(b"x")
    with running(world):
        assert eventually(lambda: world.copier.newest)
    assert (NAME, TIMESTAMP) == (str(world.copier.newest), world.metrics.last_success)


@pytest.mark.fault("Copies", "SPOOL_DIR is lost before a copy")
def test_file_that_cannot_be_kept(tmp_path: Path) -> None:
    """If the spool directory is lost, the backup is not disturbed, and the failure is counted."""
    world = World(tmp_path)
    world.kept.rmdir()
    world.offer()
    assert (1, True) == (world.metrics.failures, "SPOOL_DIR" in world.copier.last_failure)


def test_backup_of_its_own_copies_once(tmp_path: Path) -> None:
    """A single backup is copied to each place in turn, and the error names those that have no copy."""
    failing, good = World(tmp_path, "failing"), World(tmp_path, "good")
    failing.place.error = DENIED
    copies = CopyOnce([failing.place, good.place], Heartbeat())
    copies.require_all()
    copies.offer(finished(tmp_path))
    assert ([], [NAME]) == (failing.place.files, good.place.files)
    with pytest.raises(BackupNotCopied) as caught:
        copies.require_all()
    assert f"the backup is in BUCKET, but there is no copy in {failing.place.location}" == caught.value.message
    assert issubclass(BackupNotCopied, ToolError)
