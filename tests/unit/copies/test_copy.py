"""A copy is the same file under the same name, or an error that leaves what was there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from metadata_tool.catalog import BackupName
from metadata_tool.copies.copy import Finished, fetch_again, save_copy
from metadata_tool.errors import SpoolFailed, StoreFailed, StoreUnreachable
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store.directory import DirectoryStore
from support.backups import location
from support.copies import NAME, finished


@dataclass
class Unverified(DirectoryStore):
    """A store that was lost after an upload: a file that no listing shows lies there, and its name is taken."""

    root: Path
    hidden: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__(location(self.root))

    def save(
        self,
        source: Path,
        digest: bytes,
        name: str,
        heartbeat: Callable[[], None],
        *,
        sent: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Keep it, but end before it is verified the first time."""
        first = not self.hidden
        self.hidden.add(name)
        super().save(source, digest, name, heartbeat, sent=sent)
        if first:
            raise StoreUnreachable("no answer", "Check the network")
        self.hidden.clear()

    def list(self, prefix: str) -> dict[str, int]:
        """Only what is verified."""
        return {name: size for name, size in super().list(prefix).items() if name not in self.hidden}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of copies."""
    made = tmp_path / "place"
    made.mkdir()
    return made


def test_same_file(place: Path, tmp_path: Path) -> None:
    """The file is there under its name. The same once more changes nothing."""
    for _ in range(2):
        save_copy(DirectoryStore(location(place)), finished(tmp_path), tmp_path, Heartbeat())
        assert {NAME: b"backup"} == {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.mark.fault("Copies", "a place has another file of the same name")
def test_another_file_of_this_name_stays(place: Path, tmp_path: Path) -> None:
    """A file with another content is an error, also of the same size and in a further try, and stays as it is."""
    (place / NAME).write_bytes(b"theirs")
    for again in (False, True):
        with pytest.raises(StoreFailed, match="exists already with another content, and was not overwritten"):
            save_copy(DirectoryStore(location(place)), finished(tmp_path), tmp_path, Heartbeat(), again=again)
    assert b"theirs" == (place / NAME).read_bytes()
    assert [] == list(tmp_path.glob("*.there"))


@pytest.mark.fault("Copies", "a place was lost between an upload and its verification")
def test_what_an_earlier_try_left_is_replaced(place: Path, tmp_path: Path) -> None:
    """A file that was sent and not verified is replaced by the next try, and by no first one."""
    store = Unverified(place)
    with pytest.raises(StoreUnreachable):
        save_copy(store, finished(tmp_path), tmp_path, Heartbeat())
    with pytest.raises(StoreFailed):
        save_copy(store, finished(tmp_path), tmp_path, Heartbeat())
    save_copy(store, finished(tmp_path), tmp_path, Heartbeat(), again=True)
    assert {NAME: 6} == store.list("")


@pytest.mark.fault("Copies", "the file of a backup changes in SPOOL_DIR before it is copied")
def test_file_that_has_changed(place: Path, tmp_path: Path) -> None:
    """A file that has changed since its backup is not kept."""
    altered = finished(tmp_path)
    altered.path.write_bytes(b"beckup")
    with pytest.raises(Exception, match="has changed since it was made"):
        save_copy(DirectoryStore(location(place)), altered, tmp_path, Heartbeat())
    assert [] == list(place.iterdir())


def test_support_is_true(tmp_path: Path) -> None:
    """The file of these tests has the digest and the name that are told of it."""
    made: Finished = finished(tmp_path)
    assert (sha256(made.path), BackupName.parse(made.path.name)) == (made.sha256, made.name)


def test_no_room_to_fetch_again(place: Path, tmp_path: Path) -> None:
    """If the file cannot be written on this machine, the error names the directory, and not the store."""
    made = finished(place)
    gone = tmp_path / "gone"
    with pytest.raises(SpoolFailed, match=f"SPOOL_DIR {gone} cannot be used"):
        fetch_again(DirectoryStore(location(place)), made.name, made.sha256, gone / "file", Heartbeat())
