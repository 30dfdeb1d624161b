import errno
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.errors import BucketDenied, BucketMissing, StoreFailed
from metadata_tool.store import Store, open_store
from support.backups import keep, location
from support.store_contract import USES, StoreContract, Subject, never
from support.stores import Directory

CONTENT = bytes(range(256)) * 20_000
"""More than is copied in one step."""

Use = Callable[[Store, Path], Any]


class TestContract(StoreContract):
    """A directory keeps the promises of all stores."""

    @pytest.fixture
    def subject(self, folder: Path) -> Subject:
        """An empty directory."""
        return Directory(folder)


@contextmanager
def full_disk(after: int) -> Iterator[None]:
    """A disk on which no file can grow beyond these bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def store(folder: Path) -> Store:
    """The directory as a store."""
    return open_store(location(folder))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A local file."""
    made = tmp_path / "local"
    made.write_bytes(CONTENT)
    return made


def names(folder: Path) -> list[str]:
    """All there is in a directory, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def test_full_disk_leaves_nothing(store: Store, folder: Path, file: Path) -> None:
    """On a full disk a save fails with the system's reason, and leaves nothing behind."""
    with full_disk(len(CONTENT) // 2), pytest.raises(StoreFailed, match=os.strerror(errno.EFBIG)):
        keep(store, file, "p-1", never)
    assert [] == names(folder)


def test_rest_of_a_killed_save(store: Store, folder: Path, file: Path) -> None:
    """The rest of a killed save is never listed, and the next save removes it."""
    (folder / "metadata-tool-killed").mkdir()
    (folder / "metadata-tool-killed" / "lock").touch()
    (folder / "metadata-tool-killed" / "p-1").write_bytes(CONTENT[:1000])
    assert {} == store.list("")
    keep(store, file, "p-1", never)
    assert ["p-1"] == names(folder)
    assert {"p-1": len(CONTENT)} == store.list("")


@pytest.mark.parametrize("use", USES)
def test_directory_is_a_file(use: Use, store: Store, folder: Path, file: Path) -> None:
    """A file in place of the directory counts as a missing directory."""
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(BucketMissing, match=str(folder)):
        use(store, file)
    assert "a file" == folder.read_text()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), BucketDenied),
        (OSError(errno.EIO, "Input/output error"), StoreFailed),
    ],
)
def test_directory_cannot_be_used(
    error: OSError, expected: type[Exception], store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory without permission has another error than one whose disk fails."""

    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr("os.scandir", fail)
    with pytest.raises(expected, match=str(folder)):
        store.list("p-")


def test_delete_fails(store: Store, folder: Path) -> None:
    """A delete that fails is an error."""
    (folder / "p-1").mkdir()
    with pytest.raises(StoreFailed):
        store.delete("p-1")
    assert ["p-1"] == names(folder)


def test_directory_that_cannot_be_synced(
    store: Store, folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the name cannot be made durable, the save fails and leaves nothing behind."""

    def fails(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreFailed, match="Input/output error"):
        keep(store, file, "p-1", never)
    assert [] == names(folder)
