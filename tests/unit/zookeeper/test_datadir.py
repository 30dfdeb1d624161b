import errno
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.errors import ArchiveCorrupt, DataDirNotEmpty, DataDirUnusable, Stopped, ToolError
from metadata_tool.zookeeper.datadir import (
    MARKER,
    aside,
    find_znode,
    holds_data,
    next_epoch,
    place,
    read_marker,
    require_empty,
    require_space,
)
from support.trees import PATIENT, node, snapshot_bytes

MARK = b"which restore"
FULL = OSError(errno.ENOSPC, "No space left on device")
FAILURES = [
    pytest.param(FULL, DataDirUnusable, "No space left on device", id="disk full"),
    pytest.param(ArchiveCorrupt("it is damaged"), ArchiveCorrupt, "it is damaged", id="corrupt"),
    pytest.param(Stopped("told to stop"), Stopped, "told to stop", id="stopped"),
]


def writing(content: bytes) -> Callable[[BinaryIO], dict[str, bytes]]:
    """A `write` that succeeds, and leaves a marker."""

    def write(file: BinaryIO) -> dict[str, bytes]:
        file.write(content)
        return {MARKER: MARK}

    return write


def failing(error: Exception) -> Callable[[BinaryIO], dict[str, bytes]]:
    """A `write` that fails half-way."""

    def write(file: BinaryIO) -> dict[str, bytes]:
        file.write(b"half")
        raise error

    return write


def contents(directory: Path) -> dict[str, bytes | None]:
    """Everything in a directory: the bytes of files, None for directories."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A new volume, with all that may be on one."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "myid").write_bytes(b"1\n")
    return tmp_path


@pytest.mark.parametrize(("zxid", "name"), [(0, "snapshot.0"), (0x6_0000_0000, "snapshot.600000000")])
def test_place(tmp_path: Path, zxid: int, name: str) -> None:
    """The snapshot is put where ZooKeeper looks for it, and nothing else is but the marker."""
    placed = place(tmp_path, zxid, writing(b"tree"))
    expected = {"version-2": None, f"version-2/{name}": b"tree", "version-2/restore.json": MARK}
    assert (tmp_path / "version-2" / name, expected) == (placed, contents(tmp_path))


def test_place_on_fresh_volume(fresh: Path) -> None:
    """What a new volume holds is no obstacle, and is kept."""
    before = contents(fresh)
    place(fresh, 1, writing(b"tree"))
    assert before | {"version-2": None, "version-2/snapshot.1": b"tree", "version-2/restore.json": MARK} == contents(
        fresh
    )


def test_place_after_unfinished(fresh: Path) -> None:
    """What an earlier try left unfinished is replaced, all of it."""
    before = contents(fresh)
    partial = fresh / ".version-2.partial"
    partial.mkdir()
    (partial / "snapshot.1").write_bytes(b"half")
    (partial / "snapshot.7").write_bytes(b"other")
    place(fresh, 1, writing(b"tree"))
    assert before | {"version-2": None, "version-2/snapshot.1": b"tree", "version-2/restore.json": MARK} == contents(
        fresh
    )


@pytest.mark.parametrize("name", ["version-2", "snapshot.0", ".hidden", "myid2", "data"])
@pytest.mark.parametrize("is_directory", [True, False])
def test_not_empty(fresh: Path, name: str, *, is_directory: bool) -> None:
    """A directory that holds anything is refused and not touched, and the message names what was found."""
    found = fresh / name
    if is_directory:
        found.mkdir()
    else:
        found.write_bytes(b"precious")
    before = contents(fresh)
    with pytest.raises(DataDirNotEmpty) as refused:
        place(fresh, 1, writing(b"tree"))
    assert before == contents(fresh)
    assert f"it holds {name}" in refused.value.message
    assert str(fresh) in refused.value.message


def test_not_empty_keeps_unfinished(tmp_path: Path) -> None:
    """In a directory that is refused, not even an earlier try's remains are touched."""
    (tmp_path / ".version-2.partial").mkdir()
    (tmp_path / "version-2").mkdir()
    before = contents(tmp_path)
    with pytest.raises(DataDirNotEmpty):
        place(tmp_path, 1, writing(b"tree"))
    assert before == contents(tmp_path)


def test_second_place(tmp_path: Path) -> None:
    """A data directory is filled once; a second restore is refused and changes nothing."""
    place(tmp_path, 1, writing(b"first"))
    before = contents(tmp_path)
    with pytest.raises(DataDirNotEmpty):
        place(tmp_path, 2, writing(b"second"))
    assert before == contents(tmp_path)


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_failing_write(fresh: Path, error: Exception, expected: type[ToolError], said: str) -> None:
    """When writing fails, the directory is as it was and the error says why."""
    before = contents(fresh)
    with pytest.raises(expected, match=said):
        place(fresh, 1, failing(error))
    assert before == contents(fresh)


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_place_after_failure(fresh: Path, error: Exception, expected: type[ToolError], said: str) -> None:
    """After a failure, the next try succeeds."""
    with pytest.raises(expected, match=said):
        place(fresh, 1, failing(error))
    placed = place(fresh, 1, writing(b"tree"))
    content = b"tree"
    assert content == placed.read_bytes()


def test_absent_while_writing(tmp_path: Path) -> None:
    """As long as the snapshot is not complete, ZooKeeper would find none."""
    seen = []

    def write(file: BinaryIO) -> dict[str, bytes]:
        file.write(b"tree")
        seen.append((tmp_path / "version-2").exists())
        return {MARKER: MARK}

    place(tmp_path, 1, write)
    expected = [False]
    assert expected == seen


def missing(directory: Path) -> Path:
    """A directory that does not exist."""
    return directory / "missing"


def file_instead(directory: Path) -> Path:
    """A file."""
    path = directory / "file"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("make", [missing, file_instead])
def test_unusable(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """What is not a directory is refused, not created, and the message names it."""
    path = make(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DataDirUnusable) as refused:
        place(path, 1, writing(b"tree"))
    assert before == contents(tmp_path)
    assert str(path) in refused.value.message


def test_require_empty(fresh: Path) -> None:
    """Looking whether a directory is empty changes nothing in it."""
    (fresh / ".version-2.partial").mkdir()
    before = contents(fresh)
    require_empty(fresh)
    assert before == contents(fresh)


@pytest.mark.parametrize("name", ["version-2", "log.1"])
def test_require_empty_refuses(tmp_path: Path, name: str) -> None:
    """A directory that is not empty is refused before anything is fetched."""
    (tmp_path / name).mkdir()
    with pytest.raises(DataDirNotEmpty, match=name):
        require_empty(tmp_path)


@pytest.mark.parametrize(
    ("zxid", "expected"),
    [(0, 1 << 32), (1, 1 << 32), (0xFFFF_FFFF, 1 << 32), (1 << 32, 2 << 32), (0x5_0000_0064, 0x6_0000_0000)],
)
def test_next_epoch(zxid: int, expected: int) -> None:
    """The next epoch begins with its first zxid."""
    assert expected == next_epoch(zxid)


@PATIENT
@given(st.integers(0, (0x7FFF_FFFF << 32) - 1))
def test_next_epoch_is_later(zxid: int) -> None:
    """The next epoch is later than every zxid of this one, by one epoch, and still a zxid."""
    later = next_epoch(zxid)
    assert ((zxid >> 32) + 1, 0) == divmod(later, 1 << 32)
    assert zxid < later < 1 << 63


def test_read_marker(fresh: Path) -> None:
    """A directory tells which restore it is from, and that it is from none."""
    before = read_marker(fresh)
    place(fresh, 1, writing(b"tree"))
    assert (None, MARK) == (before, read_marker(fresh))


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_failing_write_leaves_no_marker(fresh: Path, error: Exception, expected: type[ToolError], said: str) -> None:
    """What failed is not taken for done at the next start."""
    with pytest.raises(expected, match=said):
        place(fresh, 1, failing(error))
    assert read_marker(fresh) is None


def test_unreadable_marker(fresh: Path) -> None:
    """A marker that cannot be read is an error, not a directory without one."""
    (fresh / "version-2" / "restore.json").mkdir(parents=True)
    with pytest.raises(DataDirUnusable, match="cannot be used"):
        read_marker(fresh)


def test_data_is_kept_aside(fresh: Path) -> None:
    """Data that is to be replaced gets another name, and is whole."""
    place(fresh, 1, writing(b"first"))
    before = {name: content for name, content in contents(fresh).items() if name.startswith("version-2/")}
    place(fresh, 2, writing(b"second"), "version-2.kept")
    now = contents(fresh)
    assert before == {name.replace(".kept", ""): now[name] for name in now if name.startswith("version-2.kept/")}
    assert (b"second", None) == (now["version-2/snapshot.2"], now.get("version-2/snapshot.1"))
    assert holds_data(fresh)


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_failure_replaces_nothing(fresh: Path, error: Exception, expected: type[ToolError], said: str) -> None:
    """What was to be replaced is as it was when the new cannot be written."""
    place(fresh, 1, writing(b"first"))
    before = contents(fresh)
    with pytest.raises(expected, match=said):
        place(fresh, 2, failing(error), "version-2.kept")
    assert before == contents(fresh)


def test_last_step_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new cannot be put in place, the old gets its name back."""
    place(fresh, 1, writing(b"first"))
    before = contents(fresh)
    renames = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == ".version-2.partial":
            raise FULL
        return renames(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DataDirUnusable):
        place(fresh, 2, writing(b"second"), "version-2.kept")
    assert before == contents(fresh)


def test_what_is_kept_aside_is_no_data(tmp_path: Path) -> None:
    """A directory that holds nothing but what was kept aside is as good as empty."""
    (tmp_path / aside("replaced by restore 2/../x")).mkdir()
    assert ["version-2"] == [path.name.partition(".")[0] for path in tmp_path.iterdir()]
    assert not holds_data(tmp_path)


def test_space(tmp_path: Path) -> None:
    """A volume without room is refused before anything is written."""
    require_space(tmp_path, 1)
    with pytest.raises(DataDirUnusable, match="the restore needs"):
        require_space(tmp_path, 1 << 60)


def test_znode_in_a_snapshot(tmp_path: Path) -> None:
    """A znode is found in the newest snapshot; a damaged one, and none, hold nothing."""
    assert find_znode(tmp_path, b"/a") is None
    (tmp_path / "version-2").mkdir()
    for zxid, data in ((0x9, b"older"), (0x10, b"newer")):
        content = snapshot_bytes([node(b"", b""), node(b"/a", data)])
        (tmp_path / "version-2" / f"snapshot.{zxid:x}").write_bytes(content)
    expected = b"newer"
    assert expected == find_znode(tmp_path, b"/a")
    assert find_znode(tmp_path, b"/b") is None
    (tmp_path / "version-2" / "snapshot.11").write_bytes(content[:20])
    assert find_znode(tmp_path, b"/a") is None
