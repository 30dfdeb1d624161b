import errno
import os
import re
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.errors import BucketDenied, BucketMissing, StoreFailed, ToolError, UploadUnverified
from metadata_tool.files import sha256
from metadata_tool.store import Store, open_store, parse_location
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


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file://host/backups", "three slashes"),
        ("file:///", "absolute path"),
        ("file:///backups/../x", "'..'"),
        ("file:///backups//x", "empty part"),
    ],
)
def test_wrong_address(uri: str, reason: str) -> None:
    """An address that names no directory is refused with what is wrong in it."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_location(uri)


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
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), (BucketMissing, "Create the directory")),
        (PermissionError(errno.EACCES, "Permission denied"), (BucketDenied, f"Give user {os.getuid()}")),
        (PermissionError(errno.EPERM, "Operation not permitted"), (BucketDenied, f"Give user {os.getuid()}")),
        (OSError(errno.EIO, "Input/output error"), (StoreFailed, "Check the disk")),
    ],
)
def test_directory_cannot_be_used(
    error: OSError, expected: tuple[type[ToolError], str], store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is missing, without permission, or on a failing disk: each has its own error and hint."""

    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr("os.scandir", fail)
    with pytest.raises(expected[0], match=str(folder)) as raised:
        store.list("p-")
    assert expected[1] in raised.value.hint


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


def test_altered_copy_blames_the_disk(store: Store, folder: Path, file: Path) -> None:
    """A copy that reads back differently is removed, and the hint names the disk."""
    with pytest.raises(UploadUnverified, match="Check the disk of the directory"):
        store.save(file, sha256(file), "p-1", lambda: _alter(folder))
    assert [] == names(folder)


def _alter(folder: Path) -> None:
    """Let the medium change what has been written so far: a byte that no later write touches."""
    for copy in folder.glob("metadata-tool-*/p-1"):
        with copy.open("r+b") as opened:
            opened.write(b"\xff\xff")


def test_list_beside_a_delete(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another process deletes while the directory is read is left out of the list."""
    for name in ("p-1", "p-2"):
        (folder / name).write_bytes(b"kept")
    scan = os.scandir

    def scan_and_delete(path: Path) -> list[os.DirEntry[str]]:
        entries = list(scan(path))
        (folder / "p-1").unlink()
        return entries

    monkeypatch.setattr("os.scandir", scan_and_delete)
    assert {"p-2": 4} == store.list("p-")
