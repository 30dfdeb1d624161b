"""The newest sound backup, by its manifest."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from metadata_tool.catalog import backups
from metadata_tool.errors import ArchiveUnsupported, StoreUnreachable, ToolError
from metadata_tool.history import History
from metadata_tool.limits import MANIFESTS_READ
from metadata_tool.location import Location
from metadata_tool.store.directory import DirectoryStore
from support.backups import TIMESTAMP, location, make_backup


@dataclass
class Watched(DirectoryStore):
    """A directory that notes what is read. With an error, nothing can be."""

    location: Location
    error: ToolError | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open it."""
        super().__init__(self.location)

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Store.read_start`."""
        self.asked.append(name)
        if self.error:
            raise self.error
        return super().read_start(name, limit)


def newest(history: History, store: Watched) -> str:
    """The name of the newest backup that has a manifest. Empty if there is none."""
    found = history.newest(store, backups(store, "pulsar"))
    return str(found[0].name) if found else ""


@pytest.fixture
def store(folder: Path) -> Watched:
    """A folder with one backup."""
    make_backup(folder, timestamp=TIMESTAMP)
    return Watched(location(folder))


def test_only_the_newest_is_read_and_once(store: Watched, folder: Path) -> None:
    """The manifest of the newest backup is read once. If there is a newer one, that is read."""
    history, name = History(), f"pulsar-{TIMESTAMP}.tar.gz"
    make_backup(folder, timestamp=TIMESTAMP - 1)
    assert [name, name] == [newest(history, store), newest(history, store)]
    assert [name] == store.asked
    later = str(make_backup(folder, timestamp=TIMESTAMP + 1).name)
    assert later == newest(history, store)
    (folder / later).unlink()
    assert name == newest(history, store)
    assert [name, later] == store.asked


def test_own_backup_is_known(store: Watched) -> None:
    """The manifest of a backup that was just made is not read."""
    history, (made,) = History(), backups(store, "pulsar")
    found = history.newest(store, [made])
    assert found
    other = History()
    other.add(made, found[1])
    assert found == other.newest(store, [made])
    assert 1 == len(store.asked)


def test_reading_holds_nobody_up(store: Watched, folder: Path) -> None:
    """While one file is read from a store that hangs, what is known of others is told."""
    known, history = backups(store, "pulsar"), History()
    assert f"pulsar-{TIMESTAMP}.tar.gz" == newest(history, store)
    make_backup(folder, timestamp=TIMESTAMP + 1)
    reading, go = Event(), Event()

    class Hanging(Watched):
        def read_start(self, name: str, limit: int) -> bytes:
            reading.set()
            assert go.wait(60)
            return super().read_start(name, limit)

    hanging = Hanging(store.location)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(newest, history, hanging)
        assert reading.wait(60)
        told = pool.submit(history.newest, store, known)
        try:
            assert told.result(5)
        finally:
            go.set()
        assert f"pulsar-{TIMESTAMP + 1}.tar.gz" == asked.result(60)


def test_empty_folder(folder: Path) -> None:
    """Without backups there is none."""
    assert "" == newest(History(), Watched(location(folder)))


@pytest.mark.parametrize("content", [b"somebody else's", b"\x1f\x8b\x08\x00" + bytes(100)])
def test_other_files_are_no_backups(
    content: bytes, store: Watched, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in the far future that is no backup is told once, and passed over."""
    (folder / "pulsar-99999999999999.tar.gz").write_bytes(content)
    history = History()
    for _ in range(2):
        assert f"pulsar-{TIMESTAMP}.tar.gz" == newest(history, store)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "pulsar-99999999999999.tar.gz does not count as a backup" in message


def test_renamed_backup(store: Watched, folder: Path) -> None:
    """A copy of a backup under another time is no backup."""
    (folder / "pulsar-99999999999999.tar.gz").write_bytes((folder / f"pulsar-{TIMESTAMP}.tar.gz").read_bytes())
    assert f"pulsar-{TIMESTAMP}.tar.gz" == newest(History(), store)


def test_unreadable_store(store: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """If the store fails, that is a warning, and the manifest is read the next time."""
    history = History()
    store.error = StoreUnreachable("no answer")
    assert "" == newest(history, store)
    assert 2 == len(caplog.records)
    store.error = None
    assert f"pulsar-{TIMESTAMP}.tar.gz" == newest(history, store)


def test_genuine_leaves_out_what_leads_and_is_no_backup(store: Watched, folder: Path) -> None:
    """Files before the newest backup of each kind that are no backups are left out. Older ones are not read."""
    for name in ("pulsar-99999999999999", "pulsar-99999999999998", "pulsar-suspect-99999999999997", "pulsar-7"):
        (folder / f"{name}.tar.gz").write_bytes(b"x")
    history = History()
    for _ in range(2):
        found = history.genuine(store, backups(store, "pulsar"))
        assert [f"pulsar-{TIMESTAMP}.tar.gz", "pulsar-7.tar.gz"] == [str(backup.name) for backup in found]
    assert 4 == len(store.asked)


def test_genuine_finds_the_newest_sound_one(store: Watched, folder: Path) -> None:
    """Behind a suspect backup, the newest sound one is looked for too."""
    made = make_backup(folder, timestamp=TIMESTAMP + 9)
    (folder / str(made.name)).rename(folder / str(made.name.as_suspect))
    (folder / f"pulsar-{TIMESTAMP + 5}.tar.gz").write_bytes(b"x")
    found = History().genuine(store, backups(store, "pulsar"))
    assert [TIMESTAMP + 9, TIMESTAMP] == [backup.name.timestamp for backup in found]


def test_genuine_keeps_what_is_not_known(store: Watched) -> None:
    """A file that cannot be read, or that a later version wrote, is not called foreign."""
    every = backups(store, "pulsar")
    for error in (StoreUnreachable("no answer"), ArchiveUnsupported("format 2")):
        store.error = error
        assert every == History().genuine(store, every)


def test_a_few_are_tried(store: Watched, folder: Path) -> None:
    """Behind many files that are no backups, none is found, so that no search lasts long."""
    for number in range(MANIFESTS_READ):
        (folder / f"pulsar-{TIMESTAMP + 1 + number}.tar.gz").write_bytes(b"x")
    assert "" == newest(History(), store)
    assert MANIFESTS_READ == len(store.asked)
