"""Copies of backups in CACHE_DIR."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata_tool.backup_cache import BackupSource, CachedBackups
from metadata_tool.catalog import Backup, backups
from metadata_tool.errors import ArchiveCorrupt, BackupMissing, SettingError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store.directory import DirectoryStore
from support.backups import location, make_backup
from support.damage import damaged_gzip


class Counting(DirectoryStore):
    """A directory that counts what is fetched."""

    fetched = 0

    def fetch(self, name: str, target: Path, heartbeat: Callable[[], None]) -> None:
        """Fetch it."""
        self.fetched += 1
        super().fetch(name, target, heartbeat)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    """Three backups in a directory."""
    (tmp_path / "store").mkdir()
    for number in (1, 2, 3):
        make_backup(tmp_path / "store", timestamp=number)
    return Counting(location(tmp_path / "store"))


def every(store: Counting) -> list[Backup]:
    """The backups in it, oldest first."""
    return backups(store, "pulsar")[::-1]


def cached(store: Counting, tmp_path: Path, limit: int = 1 << 20) -> CachedBackups:
    """Their cache."""
    return CachedBackups(store, tmp_path, Heartbeat(), tmp_path / "cache" / "of-mine", limit)


def names(tmp_path: Path) -> set[str]:
    """The files in the cache."""
    return {path.name for path in (tmp_path / "cache" / "of-mine").iterdir()}


def read(source: BackupSource, backup: Backup) -> int:
    """Read all of a backup. Returns the number of znodes."""
    with source.opened(backup) as file:
        return sum(1 for _ in file.tree().nodes)


def test_each_is_fetched_once(store: Counting, tmp_path: Path) -> None:
    """A backup is fetched once, also for the next command. Without a cache, each use fetches it."""
    for _ in range(2):
        assert [6, 6, 6] == [read(cached(store, tmp_path), backup) for backup in every(store)]
    assert 3 == store.fetched
    assert [6, 6] == [read(BackupSource(store, tmp_path, Heartbeat()), every(store)[0]) for _ in range(2)]
    assert 5 == store.fetched


def test_limit(store: Counting, tmp_path: Path) -> None:
    """What was not used for long makes room. Files that are no backups stay."""
    first, second, third = every(store)
    source = cached(store, tmp_path, first.size + second.size)
    mine = tmp_path / "cache" / "of-mine" / "notes.txt"
    mine.write_text("x")
    for number, backup in enumerate((first, second)):
        read(source, backup)
        os.utime(tmp_path / "cache" / "of-mine" / str(backup.name), (number, number))
    read(source, first)
    read(source, third)
    assert {str(first.name), str(third.name), mine.name} == names(tmp_path)


def test_damaged_copy(store: Counting, tmp_path: Path) -> None:
    """A damaged copy is an error that says so, and the next command fetches the backup again."""
    backup, source = every(store)[0], cached(store, tmp_path)
    read(source, backup)
    copy = tmp_path / "cache" / "of-mine" / str(backup.name)
    copy.write_bytes(damaged_gzip(copy.read_bytes()))
    with pytest.raises(ArchiveCorrupt, match="The copy in CACHE_DIR was removed"):
        read(source, backup)
    assert 6 == read(source, backup)


def test_failed_fetch(store: Counting, tmp_path: Path) -> None:
    """A fetch that fails leaves nothing in the cache."""
    backup = every(store)[0]
    (tmp_path / "store" / str(backup.name)).unlink()
    with pytest.raises(BackupMissing, match="pulsar-1"):
        read(cached(store, tmp_path), backup)
    assert set() == names(tmp_path)


def test_directory_that_cannot_be_made(store: Counting, tmp_path: Path) -> None:
    """A CACHE_DIR that cannot be used is named."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(SettingError, match=r"CACHE_DIR .* cannot be used"):
        cached(store, tmp_path)
