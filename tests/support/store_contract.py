"""What every store promises: one test for each promise in the docstrings of `metadata_tool.store.base.Store`.

A store is put to the test by a `Subject`. `support.stores` has one for every registered scheme at least.
"""

from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pytest

from metadata_tool.errors import BackupMissing, BucketMissing, Stopped, StoreFailed, UploadUnverified
from metadata_tool.files import sha256
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.store import Store, parse_location
from support.backups import keep
from support.damage import damage

NAME = "p-1.tar.gz"
ODD_NAMES = ["a..b-1.tar.gz", "A_b.-2.tar.gz", "x--3.tar.gz", f"{'l' * 200}-99999999999999.tar.gz"]
"""Names that a backup may have."""


class Subject(Protocol):
    """An empty folder of one kind of store, and a way to reach it that does not use the store."""

    sizes: Sequence[int]
    """Sizes around every border that the store has, the largest last. A heartbeat falls into a save of that size."""

    def store(self, path: str = "") -> Store:
        """The folder as a store, or another folder of the same kind, with this path."""

    def missing(self) -> Store:
        """A folder whose bucket or directory does not exist."""

    odd_path: str
    """A path with every kind of character that an address may have."""

    def put(self, name: str, content: bytes) -> None:
        """Put a file there. The name may begin with a subfolder."""

    def contents(self) -> dict[str, bytes]:
        """All files of the folder and below it, hidden and unfinished ones too."""

    def slow_down(self) -> None:
        """Let transfers last long enough for several heartbeats."""

    def break_transfers(self) -> None:
        """Break the connections of fetches, if there are any."""

    def alter_copies(self, size: int) -> Callable[[], None]:
        """Let whatever is saved with this size be altered. Every heartbeat must call the result."""


USES: list[Any] = [
    pytest.param(lambda store, file: keep(store, file, NAME, never), id="save"),
    pytest.param(lambda store, file: store.fetch(NAME, file.with_name("fetched"), never), id="fetch"),
    pytest.param(lambda store, _: store.read_start(NAME, 1), id="read_start"),
    pytest.param(lambda store, _: store.list("p-"), id="list"),
    pytest.param(lambda store, _: store.delete(NAME), id="delete"),
]


def never() -> None:
    """A heartbeat that never ends the work."""


def file_of(directory: Path, size: int) -> Path:
    """A local file whose bytes tell their places apart."""
    path = directory / "local"
    path.write_bytes(content_of(size))
    return path


@lru_cache(maxsize=2)
def content_of(size: int) -> bytes:
    """Its content."""
    return array("Q", range(-(-size // 8))).tobytes()[:size]


def stop_at(step: int) -> Callable[[], None]:
    """A heartbeat that ends the work at this step."""
    heartbeat, steps = Heartbeat(), 0

    def beat() -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            heartbeat.stop()
        heartbeat()

    return beat


class StoreContract:
    """The suite. A module runs it with a subclass and a fixture `subject`."""

    def test_a_file_comes_back(self, subject: Subject, tmp_path: Path) -> None:
        """A file of any size is kept under its name and fetched again, byte for byte."""
        store = subject.store()
        for number, size in enumerate(subject.sizes):
            name = f"p-{number}.tar.gz"
            keep(store, file_of(tmp_path, size), name, never)
            assert content_of(size) == subject.contents()[name]
            store.fetch(name, tmp_path / "fetched", never)
            assert content_of(size) == (tmp_path / "fetched").read_bytes()

    def test_save_leaves_the_local_file(self, subject: Subject, tmp_path: Path) -> None:
        """A save copies: the local file stays, and its later changes do not reach the copy."""
        file = file_of(tmp_path, 100)
        keep(subject.store(), file, NAME, never)
        assert content_of(100) == file.read_bytes()
        damage(file, 50)
        assert {NAME: content_of(100)} == subject.contents()

    def test_save_tells_what_was_sent(self, subject: Subject, tmp_path: Path) -> None:
        """A save of several parts reports how many bytes were sent so far, and all of them at the end."""
        size, sent = subject.sizes[-1], list[int]()
        file = file_of(tmp_path, size)
        subject.store().save(file, sha256(file), NAME, never, sent=sent.append)
        assert [size, True] == [sent[-1], len(set(sent)) > 1]
        assert 0 < min(sent)

    def test_save_is_whole_or_absent(self, subject: Subject, tmp_path: Path) -> None:
        """While a save runs, a listing has the whole file or none."""
        subject.slow_down()
        size, seen = subject.sizes[-1], list[dict[str, int]]()
        lister = subject.store()
        keep(subject.store(), file_of(tmp_path, size), NAME, lambda: seen.append(lister.list("p-")))
        assert {} in seen
        assert [] == [listed for listed in seen if listed not in ({}, {NAME: size})]
        assert {NAME: size} == lister.list("p-")

    def test_save_never_overwrites(self, subject: Subject, tmp_path: Path) -> None:
        """A name that is taken is refused, and the existing file stays as it was."""
        subject.put(NAME, b"older")
        with pytest.raises(StoreFailed, match=f"{NAME} exists already"):
            keep(subject.store(), file_of(tmp_path, 100), NAME, never)
        assert {NAME: b"older"} == subject.contents()

    def test_save_never_overwrites_a_file_of_another_writer(self, subject: Subject, tmp_path: Path) -> None:
        """A file that another writer has saved meanwhile stays as it is, and the slower save is refused."""
        subject.slow_down()
        another = iter([b"another"])

        def meanwhile() -> None:
            for content in another:
                subject.put(NAME, content)

        with pytest.raises(StoreFailed, match=f"{NAME} exists already"):
            keep(subject.store(), file_of(tmp_path, subject.sizes[-1]), NAME, meanwhile)
        assert {NAME: b"another"} == subject.contents()

    def test_save_verifies_the_local_file(self, subject: Subject, tmp_path: Path) -> None:
        """A local file that has changed since its digest was taken is refused, and nothing is left behind."""
        store = subject.store()
        for size in (1, *subject.sizes[-3:]):
            file = file_of(tmp_path, size)
            digest = sha256(file)
            damage(file, size - 1)
            with pytest.raises(UploadUnverified, match=f"{NAME} has changed since it was made"):
                store.save(file, digest, NAME, never)
            assert {} == subject.contents()

    def test_save_verifies_the_copy(self, subject: Subject, tmp_path: Path) -> None:
        """A copy that the medium has altered is refused, and nothing is left behind."""
        size = subject.sizes[-1]
        beat = subject.alter_copies(size)
        with pytest.raises(UploadUnverified, match=NAME):
            keep(subject.store(), file_of(tmp_path, size), NAME, beat)
        assert {} == subject.contents()

    def test_save_stops(self, subject: Subject, tmp_path: Path) -> None:
        """A save ends when its heartbeat raises, and nothing is left behind."""
        subject.slow_down()
        with pytest.raises(Stopped):
            keep(subject.store(), file_of(tmp_path, subject.sizes[-1]), NAME, stop_at(2))
        assert {} == subject.contents()

    def test_fetch_without_the_file(self, subject: Subject, tmp_path: Path) -> None:
        """A file that does not exist is named with its address, and no local file is made."""
        for others in ({}, {"p-2.tar.gz": b"another"}):
            for name, content in others.items():
                subject.put(name, content)
            with pytest.raises(BackupMissing) as caught:
                subject.store().fetch(NAME, tmp_path / "fetched", never)
            assert f"{subject.store().location.uri(NAME)} does not exist" == caught.value.message
            assert not (tmp_path / "fetched").exists()

    def test_fetch_replaces_a_local_file(self, subject: Subject, tmp_path: Path) -> None:
        """Whatever is at the local path is replaced by the whole file."""
        subject.put(NAME, content_of(1000))
        (tmp_path / "fetched").write_bytes(b"x" * 5000)
        subject.store().fetch(NAME, tmp_path / "fetched", never)
        assert content_of(1000) == (tmp_path / "fetched").read_bytes()

    def test_fetch_resumes(self, subject: Subject, tmp_path: Path) -> None:
        """Broken connections do not show in the file that was fetched."""
        subject.put(NAME, content_of(subject.sizes[-1]))
        subject.break_transfers()
        subject.store().fetch(NAME, tmp_path / "fetched", never)
        assert content_of(subject.sizes[-1]) == (tmp_path / "fetched").read_bytes()

    def test_fetch_stops(self, subject: Subject, tmp_path: Path) -> None:
        """A fetch ends when its heartbeat raises."""
        subject.put(NAME, content_of(1000))
        with pytest.raises(Stopped):
            subject.store().fetch(NAME, tmp_path / "fetched", stop_at(1))

    def test_read_start(self, subject: Subject) -> None:
        """The first bytes of a file are read, of a short file all of them."""
        for size in (1000, subject.sizes[-1]):
            subject.put(NAME, content_of(size))
            for limit in (1, 999, 1000, 1001):
                assert content_of(size)[:limit] == subject.store().read_start(NAME, limit)

    def test_read_start_without_the_file(self, subject: Subject) -> None:
        """A file that does not exist is named with its address."""
        with pytest.raises(BackupMissing) as caught:
            subject.store().read_start(NAME, 1)
        assert f"{subject.store().location.uri(NAME)} does not exist" == caught.value.message

    def test_list(self, subject: Subject) -> None:
        """Files of this folder that start with the prefix are listed with their sizes, and subfolders are not."""
        for name in ("p-1", "p-22", "q-1", "p-folder/p-3"):
            subject.put(name, name.encode())
        assert {"p-1": 3, "p-22": 4} == subject.store().list("p-")
        assert {"p-1": 3, "p-22": 4, "q-1": 3} == subject.store().list("")
        assert {} == subject.store().list("r-")

    def test_delete(self, subject: Subject) -> None:
        """A deleted file is gone and the others stay. A second delete is no error."""
        for name in ("p-1", "p-11"):
            subject.put(name, b"kept")
        subject.store().delete("p-1")
        subject.store().delete("p-1")
        assert {"p-11": b"kept"} == subject.contents()

    @pytest.mark.parametrize("use", USES)
    def test_folder_is_missing(self, use: Callable[[Store, Path], Any], subject: Subject, tmp_path: Path) -> None:
        """A bucket or a directory that does not exist is named by its address, and is not made."""
        missing = subject.missing()
        for _ in range(2):
            with pytest.raises(BucketMissing) as caught:
                use(missing, file_of(tmp_path, 100))
            assert str(missing.location) in caught.value.message

    def test_odd_characters(self, subject: Subject, tmp_path: Path) -> None:
        """Every name that a backup may have, in every path that an address may have, leads to its file."""
        store = subject.store(subject.odd_path)
        for number, name in enumerate(ODD_NAMES):
            keep(store, file_of(tmp_path, number), name, never)
            store.fetch(name, tmp_path / "fetched", never)
            assert content_of(number) == (tmp_path / "fetched").read_bytes()
            assert store.location == parse_location(store.location.uri(name).removesuffix(f"/{name}"))
        assert {name: number for number, name in enumerate(ODD_NAMES)} == store.list("")
        for name in ODD_NAMES:
            store.delete(name)
        assert {} == store.list("")
