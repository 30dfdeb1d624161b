import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.errors import BackupMissing, BucketDenied, BucketMissing, Stopped, StoreFailed, UploadUnverified
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import Store, open_store
from support.backups import keep, location
from support.damage import damage

CONTENT = bytes(range(256)) * 20_000
"""More than is copied in one step."""

Use = Callable[[Store, Path], Any]
USES: list[Any] = [
    pytest.param(lambda store, file: keep(store, file, "p-1", lambda: None), id="save"),
    pytest.param(lambda store, file: store.fetch("p-1", file.with_name("fetched"), lambda: None), id="fetch"),
    pytest.param(lambda store, _: store.list("p-"), id="list"),
]


def never() -> None:
    """A checkpoint that lets everything pass."""


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


def test_file_comes_back(store: Store, folder: Path, file: Path, tmp_path: Path) -> None:
    """What is saved is kept under its name, byte for byte, and nothing beside it; it can be fetched again."""
    keep(store, file, "p-1.tar.gz", never)
    assert ["p-1.tar.gz"] == names(folder)
    assert CONTENT == (folder / "p-1.tar.gz").read_bytes()
    store.fetch("p-1.tar.gz", tmp_path / "fetched", never)
    assert CONTENT == (tmp_path / "fetched").read_bytes()


def test_local_file_stays(store: Store, file: Path) -> None:
    """Saving copies: what the local file becomes later is no matter to what is kept."""
    keep(store, file, "p-1", never)
    with file.open("ab") as grown:
        grown.write(b"more")
    assert {"p-1": len(CONTENT)} == store.list("")


def test_empty_file(store: Store, tmp_path: Path) -> None:
    """A file without a byte is a file."""
    (tmp_path / "empty").touch()
    keep(store, tmp_path / "empty", "p-1", never)
    assert {"p-1": 0} == store.list("p-")


def test_nothing_is_overwritten(store: Store, folder: Path, file: Path) -> None:
    """A name that is taken is refused, and what is there stays as it is."""
    (folder / "p-1").write_text("older")
    with pytest.raises(StoreFailed, match="p-1 is there already"):
        keep(store, file, "p-1", never)
    assert ["p-1"] == names(folder)
    assert "older" == (folder / "p-1").read_text()


def test_a_file_appears_whole(store: Store, file: Path) -> None:
    """Nobody who lists the directory meanwhile sees a file that is not whole."""
    seen: list[dict[str, int]] = []
    keep(store, file, "p-1", lambda: seen.append(store.list("p-")))
    assert len(seen) > 1
    assert [{}] * len(seen) == seen
    assert {"p-1": len(CONTENT)} == store.list("p-")


def test_stop_leaves_nothing(store: Store, folder: Path, file: Path) -> None:
    """A save that is stopped in its middle leaves nothing."""
    heartbeat, steps = Heartbeat(), 0

    def stop_at_the_second() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            heartbeat.stop()
        heartbeat()

    with pytest.raises(Stopped):
        keep(store, file, "p-1", stop_at_the_second)
    assert 2 == steps
    assert [] == names(folder)


def test_full_disk_leaves_nothing(store: Store, folder: Path, file: Path) -> None:
    """A save that the disk has no room for fails with the system's reason, and leaves nothing."""
    with full_disk(len(CONTENT) // 2), pytest.raises(StoreFailed, match=os.strerror(errno.EFBIG)):
        keep(store, file, "p-1", never)
    assert [] == names(folder)


def test_half_a_file_of_a_killed_run_is_no_hindrance(store: Store, folder: Path, file: Path) -> None:
    """What a save left that was killed in its middle was never listed, and is gone after the next save."""
    (folder / "metadata-tool-killed").mkdir()
    (folder / "metadata-tool-killed" / "lock").touch()
    (folder / "metadata-tool-killed" / "p-1").write_bytes(CONTENT[:1000])
    assert {} == store.list("")
    keep(store, file, "p-1", never)
    assert ["p-1"] == names(folder)
    assert {"p-1": len(CONTENT)} == store.list("")


def test_damage_on_the_way_is_noticed(store: Store, folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gives back other bytes than it was given is found out, and nothing is left."""
    monkeypatch.setattr("metadata_tool.store.directory.sha256", lambda _: b"another")
    with pytest.raises(UploadUnverified, match="p-1"):
        keep(store, file, "p-1", never)
    assert [] == names(folder)


def test_changed_since_it_was_made(store: Store, folder: Path, file: Path) -> None:
    """A local file that is not what was made is found out, and nothing is left."""
    made = sha256(file)
    damage(file, 1000)
    with pytest.raises(UploadUnverified, match="p-1 has changed since it was made"):
        store.save(file, made, "p-1", never)
    assert [] == names(folder)


@pytest.mark.parametrize("use", USES)
def test_directory_is_missing(use: Use, store: Store, folder: Path, file: Path) -> None:
    """A directory that does not exist is named, and is not made."""
    folder.rmdir()
    with pytest.raises(BucketMissing, match=str(folder)):
        use(store, file)
    assert not folder.exists()


@pytest.mark.parametrize("use", USES)
def test_directory_is_a_file(use: Use, store: Store, folder: Path, file: Path) -> None:
    """A file in place of the directory is no directory for backups."""
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
    """A directory that may not be read is told apart from one whose disk fails."""

    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr("os.scandir", fail)
    with pytest.raises(expected, match=str(folder)):
        store.list("p-")


@pytest.mark.parametrize("content", [["p-2"], []])
def test_backup_is_missing(content: list[str], store: Store, folder: Path, tmp_path: Path) -> None:
    """A file that is not there is named, and nothing is made in its place."""
    for name in content:
        (folder / name).touch()
    with pytest.raises(BackupMissing, match=f"file://{folder}/p-1"):
        store.fetch("p-1", tmp_path / "fetched", never)
    assert not (tmp_path / "fetched").exists()


def test_fetch_can_be_stopped(store: Store, file: Path, tmp_path: Path) -> None:
    """A fetch ends when it is told to."""
    keep(store, file, "p-1", never)
    heartbeat = Heartbeat()
    heartbeat.stop()
    with pytest.raises(Stopped):
        store.fetch("p-1", tmp_path / "fetched", heartbeat)


def test_list_is_of_files_with_the_prefix(store: Store, folder: Path) -> None:
    """Files of this folder alone are listed, by their beginnings, with their bytes."""
    (folder / "p-1").write_text("1")
    (folder / "p-22").write_text("22")
    (folder / "q-1").write_text("other")
    (folder / "p-directory").mkdir()
    (folder / "p-directory" / "p-3").write_text("below")
    assert {"p-1": 1, "p-22": 2} == store.list("p-")
    assert {"p-1": 1, "p-22": 2, "q-1": 5} == store.list("")


def test_delete_removes_one_file(store: Store, folder: Path) -> None:
    """A file that is deleted is gone, the others stay; there may be none."""
    for name in ("p-1", "p-2"):
        (folder / name).touch()
    store.delete("p-1")
    store.delete("p-1")
    assert ["p-2"] == names(folder)


def test_delete_fails_aloud(store: Store, folder: Path) -> None:
    """What cannot be deleted is no success."""
    (folder / "p-1").mkdir()
    with pytest.raises(StoreFailed):
        store.delete("p-1")
    assert ["p-1"] == names(folder)


def test_directory_that_cannot_be_synced(
    store: Store, folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose name a power cut might take was not saved, and nothing of it stays."""

    def fails(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("metadata_tool.store.directory.sync_directory", fails)
    with pytest.raises(StoreFailed, match="Input/output error"):
        keep(store, file, "p-1", never)
    assert [] == names(folder)
