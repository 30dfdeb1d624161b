import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from metadata_tool import backup
from metadata_tool.backup import BackupJob, Seconds
from metadata_tool.errors import (
    BackupMissing,
    BucketMissing,
    SpoolFailed,
    Stopped,
    StoreFailed,
    ToolError,
    ZooKeeperSessionLost,
    ZooKeeperUnreachable,
)
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.store import parse_location
from metadata_tool.store.base import ignored
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_table import AclTable
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.capture.spool import Spool
from metadata_tool.zookeeper.net.ensemble import Ensemble

OTHERS = {"pulsar-1700000000123.tar.gz": b"an earlier backup", "README": b"not ours"}


@dataclass
class MemoryStore:
    """Files in memory. With an error, it cannot be listed."""

    files: dict[str, bytes] = field(default_factory=dict)
    error: ToolError | None = None
    location: Location = field(default_factory=lambda: parse_location("s3a://bucket"))

    def save(
        self,
        source: Path,
        _digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = ignored,
    ) -> None:
        """See `Store.save`."""
        sent(source.stat().st_size)
        heartbeat()
        if name in self.files:
            raise StoreFailed(f"{name} exists already")
        self.files[name] = source.read_bytes()

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """See `Store.fetch`."""
        heartbeat()
        if name not in self.files:
            raise BackupMissing(f"there is no {name}")
        target.write_bytes(self.files[name])

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Store.read_start`."""
        return self.files[name][:limit]

    def list(self, prefix: str) -> dict[str, int]:
        """See `Store.list`."""
        if self.error:
            raise self.error
        return {name: len(content) for name, content in self.files.items() if name.startswith(prefix)}

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        self.files.pop(name, None)


@dataclass
class Failing:
    """A capture that fails, and how many files the spool directory had at that time."""

    error: Exception
    spool_dir: Path
    spooled: list[int] = field(default_factory=list)

    def captured(self, *_: object) -> NoReturn:
        """Fail."""
        self.spooled.append(len(list(self.spool_dir.iterdir())))
        raise self.error


def job(spool_dir: Path) -> BackupJob:
    """The settings of a backup."""
    return BackupJob(Source(Ensemble("zookeeper:2181")), "pulsar", "/managed-ledgers", spool_dir)


@pytest.mark.parametrize("files", [{}, OTHERS], ids=["empty bucket", "backups there"])
@pytest.mark.parametrize(
    "error",
    [
        ZooKeeperUnreachable("no answer"),
        ZooKeeperSessionLost("lost"),
        Stopped("stopped"),
        RuntimeError("out of cheese"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failed_capture(tmp_path: Path, error: Exception, files: dict[str, bytes]) -> None:
    """A backup that fails before its upload raises the error, and leaves nothing in the bucket or on the disk."""
    ensemble, store = Failing(error, tmp_path), MemoryStore(dict(files))
    with pytest.raises(type(error)) as raised:
        backup.run(job(tmp_path), store, Heartbeat(), capture=ensemble.captured)
    assert error is raised.value
    assert [1] == ensemble.spooled
    assert files == store.files
    assert [] == list(tmp_path.iterdir())


def test_failed_capture_frees_disk(tmp_path: Path) -> None:
    """A failed backup closes its files at once, because an open file takes up the disk even after its removal."""
    ensemble = Failing(ZooKeeperUnreachable("no answer"), tmp_path)
    with pytest.raises(ZooKeeperUnreachable) as raised:
        backup.run(job(tmp_path), MemoryStore(), Heartbeat(), capture=ensemble.captured)
    assert raised.tb  # what the error's traceback holds is still there
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [] == [path for path in opened if path.is_relative_to(tmp_path)]


def test_full_disk(tmp_path: Path) -> None:
    """If the disk fills up during a backup, the error names the spool directory, which is empty afterwards."""
    ensemble = Failing(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    store = MemoryStore()
    with pytest.raises(SpoolFailed, match="No space left on device"):
        backup.run(job(tmp_path), store, Heartbeat(), capture=ensemble.captured)
    assert ({}, []) == (store.files, list(tmp_path.iterdir()))


def test_full_disk_needs_no_more_than_a_backup(tmp_path: Path) -> None:
    """After a full disk no ACL cache is kept between backups, so that the next backup has all of the room."""
    (tmp_path / "spool").mkdir()
    known = AclCache(tmp_path)

    def learn() -> None:
        walk = Spool.create(tmp_path / "spool" / "walk")
        known.learn(walk, AclTable())
        walk.close()
        (tmp_path / "spool" / "walk").unlink(missing_ok=True)

    learn()
    assert ["known", "spool"] == sorted(path.name for path in tmp_path.iterdir())
    ensemble = Failing(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "spool")
    with pytest.raises(SpoolFailed):
        backup.run(job(tmp_path / "spool"), MemoryStore(), Heartbeat(), known, ensemble.captured)
    assert ["spool"] == [path.name for path in tmp_path.iterdir()]
    for _ in range(2):
        learn()
        assert ["spool"] == [path.name for path in tmp_path.iterdir()]
    learn()
    assert ["known", "spool"] == sorted(path.name for path in tmp_path.iterdir())
    known.forget()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EMFILE])
def test_acls_are_kept_where_the_disk_has_room(number: int, tmp_path: Path) -> None:
    """An error of SPOOL_DIR that is not a lack of room leaves the ACL cache as it was."""
    (tmp_path / "spool").mkdir()
    known = AclCache(tmp_path)
    walk = Spool.create(tmp_path / "spool" / "walk")
    known.learn(walk, AclTable())
    walk.close()
    ensemble = Failing(OSError(number, "an error"), tmp_path / "spool")
    with pytest.raises(SpoolFailed):
        backup.run(job(tmp_path / "spool"), MemoryStore(), Heartbeat(), known, ensemble.captured)
    assert ["known", "spool"] == sorted(path.name for path in tmp_path.iterdir())
    known.forget()


def test_no_spool_directory(tmp_path: Path) -> None:
    """Without a spool directory a backup fails and names it, before any capture."""
    ensemble = Failing(ZooKeeperUnreachable("no answer"), tmp_path)
    with pytest.raises(SpoolFailed, match=f"SPOOL_DIR {tmp_path}/missing cannot be used"):
        backup.run(job(tmp_path / "missing"), MemoryStore(), Heartbeat(), capture=ensemble.captured)
    assert [] == ensemble.spooled


def test_unlistable_store(tmp_path: Path) -> None:
    """A bucket that cannot be listed is an error before any capture."""
    ensemble = Failing(ZooKeeperUnreachable("no answer"), tmp_path)
    error = BucketMissing("no such bucket")
    with pytest.raises(BucketMissing) as raised:
        backup.run(job(tmp_path), MemoryStore(error=error), Heartbeat(), capture=ensemble.captured)
    assert error is raised.value
    assert [] == ensemble.spooled
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (Seconds(prepare=1.5, compression=0.25, upload=2.0), 3.75),
        (Seconds(prepare=1.0, compression=0.0, upload=0.0), 1.0),
        (Seconds(prepare=0.0, compression=1.0, upload=0.0), 1.0),
        (Seconds(prepare=0.0, compression=0.0, upload=1.0), 1.0),
    ],
)
def test_total(seconds: Seconds, expected: float) -> None:
    """The phases of a backup add up to its total."""
    assert expected == seconds.total
