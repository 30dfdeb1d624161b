import errno
import gzip
import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import BinaryIO

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metadata_tool.errors import ArchiveCorrupt, Stopped
from metadata_tool.zookeeper.datadir import JOINED, MARKER, DataDir
from metadata_tool.zookeeper.errors import (
    DataDirLocked,
    DataDirNotEmpty,
    DataDirTooSmall,
    DataDirUnusable,
    DataMisplaced,
    LogDirUnusable,
)
from support.compressed import COMPRESS, snappy
from support.damage import damage
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


def data_dir(path: Path) -> DataDir:
    """A data directory that also holds the logs."""
    return DataDir(path, path)


def contents(directory: Path) -> dict[str, bytes | None]:
    """Everything in a directory: the bytes of files, None for directories."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A new volume with everything that it may hold."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "myid").write_bytes(b"1\n")
    return tmp_path


@pytest.mark.parametrize(("zxid", "name"), [(0, "snapshot.0"), (0x6_0000_0000, "snapshot.600000000")])
def test_place(tmp_path: Path, zxid: int, name: str) -> None:
    """The snapshot is placed where ZooKeeper finds it, with the marker and nothing else."""
    placed = data_dir(tmp_path).place(zxid, writing(b"tree"), "kept")
    expected = {"version-2": None, f"version-2/{name}": b"tree", "version-2/restore.json": MARK}
    assert (tmp_path / "version-2" / name, expected) == (placed, contents(tmp_path))


def test_place_on_fresh_volume(fresh: Path) -> None:
    """The usual content of a new volume is accepted and kept."""
    before = contents(fresh)
    data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert before | {"version-2": None, "version-2/snapshot.1": b"tree", "version-2/restore.json": MARK} == contents(
        fresh
    )


def test_place_after_unfinished(fresh: Path) -> None:
    """The remains of an earlier attempt are replaced."""
    before = contents(fresh)
    partial = fresh / ".version-2.partial"
    partial.mkdir()
    (partial / "snapshot.1").write_bytes(b"half")
    (partial / "snapshot.7").write_bytes(b"other")
    data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert before | {"version-2": None, "version-2/snapshot.1": b"tree", "version-2/restore.json": MARK} == contents(
        fresh
    )


EMPTY = snapshot_bytes([node(path) for path in (b"", b"/zookeeper", b"/zookeeper/config", b"/zookeeper/quota")])
"""The first snapshot of a server that has found no other."""
MORE = snapshot_bytes([node(path) for path in (b"", b"/a", b"/zookeeper")])
EPOCHS = {"currentEpoch": b"7", "acceptedEpoch": b"9"}


def write_all(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files with these names and contents."""
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"snapshot.1": MORE}, "snapshot.1"),
        ({"snapshot.1": b"damaged"}, "snapshot.1"),
        ({"snapshot.1.gz": b"", **EPOCHS}, "snapshot.1.gz"),
        ({"snapshot.aF.tmp": b""}, "snapshot.aF.tmp"),
        ({"log.1": b""}, "log.1"),
        ({"log.100000001": b"", "snapshot.0": EMPTY}, "log.100000001"),
        ({"snapshot.0": MORE}, "snapshot.0"),
        ({"snapshot.0": EMPTY[:-1]}, "snapshot.0"),
        ({"snapshot.0.snappy": snappy(MORE)}, "snapshot.0.snappy"),
        ({"snapshot.1": EMPTY}, "snapshot.1"),
        ({"snapshot.0.tmp": EMPTY}, "snapshot.0.tmp"),
        ({MARKER: MARK}, MARKER),
    ],
)
def test_data(fresh: Path, files: dict[str, bytes], named: str) -> None:
    """Snapshots, logs and a restore's marker are data: they are refused, named and not touched."""
    write_all(fresh / "version-2", files)
    before = contents(fresh)
    assert data_dir(fresh).holds_data()
    with pytest.raises(DataDirNotEmpty) as refused:
        data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert before == contents(fresh)
    assert f"the data directory {fresh} is not empty, it holds version-2/{named}" == refused.value.args[0]


@pytest.mark.parametrize(
    "files",
    [
        {},
        EPOCHS,
        {"snapshot.0": EMPTY, **EPOCHS},
        {"snapshot.0.gz": gzip.compress(EMPTY, mtime=0)},
        {"snapshot.0.snappy": snappy(EMPTY), "updatingEpoch": b""},
        {"snapshot.x": MORE, "log.txt": b"", "log": b"", ".nfs000000000000000100000001": b"", "logs.1": b""},
    ],
)
def test_server_that_only_waited(fresh: Path, files: dict[str, bytes]) -> None:
    """The files of a server that had no tree are not data. They are moved aside, so that no old epoch stays."""
    write_all(fresh / "version-2", files)
    assert (False, bool(files)) == (data_dir(fresh).holds_data(), data_dir(fresh).is_used())
    data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert {"snapshot.1": b"tree", MARKER: MARK} == contents(fresh / "version-2")
    assert [files] * bool(files) == [contents(path) for path in fresh.glob("version-2.kept.*")]


FOREIGN = st.one_of(
    st.sampled_from([".snapshot", ".trashcan", "aquota.group", ".Trash-0", ".nfs0001", "lost+found", ".zfs", "data"]),
    st.sampled_from(["version-2x", "Version-2", "version-2.old", ".version-2", "restore.json", "myid", "initialize"]),
    st.sampled_from(["snapshot", "snapshot.x", "snapshot.", "mysnapshot.1", "log", "log.txt", "zookeeper.log.1"]),
    st.binary(min_size=1, max_size=12).map(os.fsdecode),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)
"""Names that no server gives its data."""


@PATIENT
@given(
    st.dictionaries(
        FOREIGN.filter(lambda name: name not in {".", ".."} and not {"/", "\0"} & set(name)), st.booleans()
    ),
    st.sampled_from(["new", "waited", "data"]),
    st.booleans(),
)
def test_what_is_not_of_a_server(foreign: dict[str, bool], state: str, apart: bool) -> None:
    """Foreign files and directories, also unreadable ones, hinder no restore, and are neither moved nor deleted."""
    assume(not any(re.fullmatch(r"(snapshot|log)\.[0-9a-fA-F]+(\..*)?", name, re.DOTALL) for name in foreign))
    with TemporaryDirectory() as temporary:
        path = Path(temporary, "data")
        logs = Path(temporary, "logs") if apart else path
        for directory in {path, logs}:
            directory.mkdir()
            for name, is_directory in foreign.items():
                (directory / name).mkdir(0) if is_directory else (directory / name).write_bytes(b"precious")
        before = {directory: contents(directory) for directory in (path, logs)}
        volume = DataDir(path, logs)
        if state != "new":
            write_all(path / "version-2", EPOCHS | ({"snapshot.5": b"old"} if state == "data" else {}))
        assert (state == "data") == volume.holds_data()
        volume.place(9, writing(b"tree"), "kept", replacing=state == "data")
        after = {directory: contents(directory) for directory in (path, logs)}
        moved = {name for name in after[path] if name.startswith("version-2.kept.")}
    placed = {"version-2": None, "version-2/snapshot.9": b"tree", f"version-2/{MARKER}": MARK}
    assert before[path] | placed == {name: after[path][name] for name in after[path].keys() - moved}
    assert {"new": 0, "waited": 3, "data": 4}[state] == len(moved)
    assert not apart or before[logs] == after[logs]


@pytest.mark.parametrize("name", ["snapshot.1", "log.1", "snapshot.0.gz", "log.100000001"])
@pytest.mark.parametrize("replacing", [True, False])
def test_data_beside_version_2(fresh: Path, name: str, *, replacing: bool) -> None:
    """Snapshots or logs where no server looks for them show that the directory may be a wrong one."""
    (fresh / name).write_bytes(b"precious")
    before = contents(fresh)
    with pytest.raises(DataMisplaced, match=f"{fresh} holds {name}, not in version-2 but beside it"):
        data_dir(fresh).place(1, writing(b"tree"), "kept", replacing=replacing)
    assert before == contents(fresh)


def a_file(path: Path) -> None:
    """A file."""
    path.write_bytes(b"precious")


def a_dangling_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [a_file, a_dangling_link])
def test_version_2_is_no_directory(fresh: Path, make: Callable[[Path], None]) -> None:
    """A file or link in place of ZooKeeper's directory counts as data."""
    make(fresh / "version-2")
    with pytest.raises(DataDirNotEmpty, match=r"it holds version-2$"):
        data_dir(fresh).require_no_data()
    data_dir(fresh).place(1, writing(b"tree"), "kept", replacing=True)
    (kept,) = fresh.glob("version-2.kept.*")
    assert (True, b"tree") == (os.path.lexists(kept), (fresh / "version-2" / "snapshot.1").read_bytes())


def test_version_2_is_a_link(fresh: Path) -> None:
    """A link to an empty directory is moved aside, and its directory stays."""
    (fresh / "elsewhere").mkdir()
    (fresh / "version-2").symlink_to("elsewhere")
    data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert [] == list((fresh / "elsewhere").iterdir())
    assert not (fresh / "version-2").is_symlink()


def test_data_keeps_unfinished(tmp_path: Path) -> None:
    """A directory that is refused keeps even the remains of an earlier attempt."""
    (tmp_path / ".version-2.partial").mkdir()
    write_all(tmp_path / "version-2", {"log.1": b""})
    before = contents(tmp_path)
    with pytest.raises(DataDirNotEmpty):
        data_dir(tmp_path).place(1, writing(b"tree"), "kept")
    assert before == contents(tmp_path)


def test_second_place(tmp_path: Path) -> None:
    """A second restore into the same directory is refused and changes nothing."""
    data_dir(tmp_path).place(1, writing(b"first"), "kept")
    before = contents(tmp_path)
    with pytest.raises(DataDirNotEmpty):
        data_dir(tmp_path).place(2, writing(b"second"), "kept")
    assert before == contents(tmp_path)


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_failing_write(fresh: Path, error: Exception, expected: type[Exception], said: str) -> None:
    """When writing fails, the directory is as it was and the error says why."""
    before = contents(fresh)
    with pytest.raises(expected, match=said):
        data_dir(fresh).place(1, failing(error), "kept")
    assert before == contents(fresh)


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_place_after_failure(fresh: Path, error: Exception, expected: type[Exception], said: str) -> None:
    """After a failure, the next try succeeds."""
    with pytest.raises(expected, match=said):
        data_dir(fresh).place(1, failing(error), "kept")
    placed = data_dir(fresh).place(1, writing(b"tree"), "kept")
    content = b"tree"
    assert content == placed.read_bytes()


def test_absent_while_writing(tmp_path: Path) -> None:
    """Until the snapshot is complete, ZooKeeper finds none."""
    seen = []

    def write(file: BinaryIO) -> dict[str, bytes]:
        file.write(b"tree")
        seen.append((tmp_path / "version-2").exists())
        return {MARKER: MARK}

    data_dir(tmp_path).place(1, write, "kept")
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
    """A path that is not a directory is refused and not created, and the message names it."""
    path = make(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DataDirUnusable) as refused:
        data_dir(path).place(1, writing(b"tree"), "kept")
    assert before == contents(tmp_path)
    assert str(path) in refused.value.args[0]


def test_require_no_data(fresh: Path) -> None:
    """The check for data changes nothing."""
    (fresh / ".version-2.partial").mkdir()
    before = contents(fresh)
    data_dir(fresh).require_no_data()
    assert before == contents(fresh)


def test_read_marker(fresh: Path) -> None:
    """A directory has the marker of its restore, or none."""
    before = data_dir(fresh).marker()
    data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert (None, MARK) == (before, data_dir(fresh).marker())


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_failing_write_leaves_no_marker(fresh: Path, error: Exception, expected: type[Exception], said: str) -> None:
    """A failed restore leaves no marker."""
    with pytest.raises(expected, match=said):
        data_dir(fresh).place(1, failing(error), "kept")
    assert data_dir(fresh).marker() is None


def test_unreadable_marker(fresh: Path) -> None:
    """A marker that cannot be read is an error, not a directory without one."""
    (fresh / "version-2" / "restore.json").mkdir(parents=True)
    with pytest.raises(DataDirUnusable, match="cannot be used"):
        data_dir(fresh).marker()


def test_data_is_kept_aside(fresh: Path) -> None:
    """Replaced data is moved aside unchanged."""
    data_dir(fresh).place(1, writing(b"first"), "kept")
    before = {name: content for name, content in contents(fresh).items() if name.startswith("version-2/")}
    data_dir(fresh).place(2, writing(b"second"), "kept", replacing=True)
    now = contents(fresh)
    assert before == {re.sub(r"\.kept\.\w+", "", name): now[name] for name in now if ".kept." in name and "/" in name}
    assert (b"second", None) == (now["version-2/snapshot.2"], now.get("version-2/snapshot.1"))
    assert data_dir(fresh).holds_data()


@pytest.mark.parametrize(("error", "expected", "said"), FAILURES)
def test_failure_replaces_nothing(fresh: Path, error: Exception, expected: type[Exception], said: str) -> None:
    """If the new snapshot cannot be written, existing data is unchanged."""
    data_dir(fresh).place(1, writing(b"first"), "kept")
    before = contents(fresh)
    with pytest.raises(expected, match=said):
        data_dir(fresh).place(2, failing(error), "kept", replacing=True)
    assert before == contents(fresh)


def test_last_step_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new snapshot cannot be placed, existing data gets its name back."""
    data_dir(fresh).place(1, writing(b"first"), "kept")
    before = contents(fresh)
    renames = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == ".version-2.partial":
            raise FULL
        return renames(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DataDirUnusable):
        data_dir(fresh).place(2, writing(b"second"), "kept", replacing=True)
    assert before == contents(fresh)


def test_what_is_kept_aside_is_no_data(tmp_path: Path) -> None:
    """A directory that holds only data that was moved aside counts as empty."""
    write_all(tmp_path / "version-2", {"log.1": b""})
    data_dir(tmp_path).move_aside("replaced by restore 2/../x")
    assert ["replaced_by_restore_2____x"] == [path.name.split(".")[1] for path in tmp_path.iterdir()]
    assert not data_dir(tmp_path).holds_data()


def test_space(tmp_path: Path) -> None:
    """A volume without room is refused before anything is written."""
    data_dir(tmp_path).require_space(1)
    with pytest.raises(DataDirTooSmall, match="bytes free and needs"):
        data_dir(tmp_path).require_space(1 << 60)


def test_space_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume with just enough room is enough. If a byte is missing, the message has both numbers."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    data_dir(tmp_path).require_space(100)
    with pytest.raises(DataDirTooSmall, match=f"^the data directory {tmp_path} has 100 bytes free and needs 101$"):
        data_dir(tmp_path).require_space(101)


def with_snapshots(directory: Path, older: int, suffix: str = "") -> bytes:
    """Write two snapshots whose znode /a differs, of this zxid and of 0x10. Returns the bytes of the newer one."""
    (directory / "version-2").mkdir()
    content = b""
    for zxid, data in ((older, b"older"), (0x10, b"newer")):
        content = COMPRESS[suffix](snapshot_bytes([node(b"", b""), node(b"/a", data), node(b"/b", b"and more")]))
        (directory / "version-2" / f"snapshot.{zxid:x}{suffix}").write_bytes(content)
    return content


def test_hexadecimal_names(tmp_path: Path) -> None:
    """The newest snapshot is the one of the highest zxid, which its name has in hex."""
    with_snapshots(tmp_path, 0xA)
    expected = b"newer"
    assert expected == data_dir(tmp_path).find_znode(b"/a")


@pytest.mark.parametrize("suffix", COMPRESS)
def test_znode_in_a_snapshot(tmp_path: Path, suffix: str) -> None:
    """A znode is found in the newest snapshot that is not damaged, compressed or not."""
    assert data_dir(tmp_path).find_znode(b"/a") is None
    content = with_snapshots(tmp_path, 0x9, suffix)
    expected = b"newer"
    assert expected == data_dir(tmp_path).find_znode(b"/a")
    assert data_dir(tmp_path).find_znode(b"/c") is None
    for place in (len(content) // 2, len(content) - 7):
        newest = tmp_path / "version-2" / f"snapshot.11{suffix}"
        newest.write_bytes(content.replace(b"newer", b"wrong") if not suffix else content)
        damage(newest, place)
        assert expected == data_dir(tmp_path).find_znode(b"/a")


@pytest.fixture
def apart(fresh: Path) -> DataDir:
    """A data directory whose logs are elsewhere."""
    (fresh / "logs").mkdir()
    return DataDir(fresh, fresh / "logs")


def test_logs_apart(apart: DataDir) -> None:
    """A separate directory for logs stays empty, and does not count as data inside the data directory."""
    apart.place(1, writing(b"tree"), "kept")
    assert {} == contents(apart.logs)


def test_logs_apart_are_data(apart: DataDir) -> None:
    """Old logs count as data, because ZooKeeper would replay them into the restored tree."""
    write_all(apart.logs / "version-2", {"log.1": b""})
    before = contents(apart.path)
    with pytest.raises(DataDirNotEmpty, match=rf"{apart.logs} is not empty, it holds version-2/log\.1$"):
        apart.place(1, writing(b"tree"), "kept")
    assert before == contents(apart.path)


def test_logs_beside_version_2(apart: DataDir) -> None:
    """Logs where no server looks for them are refused, and their directory is named."""
    (apart.logs / "log.1").write_bytes(b"")
    with pytest.raises(DataMisplaced, match=f"{apart.logs} holds log.1"):
        apart.place(1, writing(b"tree"), "kept", replacing=True)


def test_data_beside_empty_logs(apart: DataDir) -> None:
    """Data is refused even if the directory for logs is empty."""
    write_all(apart.path / "version-2", {"snapshot.2": b""})
    with pytest.raises(DataDirNotEmpty, match=r"it holds version-2/snapshot\.2$"):
        apart.place(1, writing(b"tree"), "kept")
    assert apart.holds_data()


def test_logs_apart_are_kept_aside(apart: DataDir) -> None:
    """Replaced data is moved aside in both directories, under the same name."""
    apart.place(1, writing(b"first"), "kept")
    (apart.logs / "version-2").mkdir()
    (apart.logs / "version-2" / "log.1").write_bytes(b"transactions")
    apart.place(2, writing(b"second"), "kept", replacing=True)
    (kept,) = apart.path.glob("version-2.kept.*")
    assert b"transactions" == (apart.logs / kept.name / "log.1").read_bytes()
    assert b"first" == (kept / "snapshot.1").read_bytes()
    assert not (apart.logs / "version-2").exists()


class Killed(BaseException):
    """The process is killed, so nothing that it would do afterwards is done."""


def killed_at(rename: int, restoring: Callable[[], object]) -> bool:
    """Restore, and be killed before the rename of this number, if there are as many."""
    renames, done = Path.rename, 0

    def counted(path: Path, target: Path) -> Path:
        nonlocal done
        if done == rename:
            raise Killed
        done += 1
        return renames(path, target)

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(Path, "rename", counted)
        restoring()
        return False
    return True


OLD = {"snapshot.1": b"first", MARKER: MARK}
OLD_LOGS = {"log.1": b"transactions"}
NEW = {"snapshot.2": b"second", MARKER: MARK}


def tree_in(directory: Path) -> dict[str, bytes | None]:
    """What a server would read there."""
    return contents(directory / "version-2") if (directory / "version-2").exists() else {}


@PATIENT
@given(st.lists(st.integers(0, 4), max_size=4))
def test_kill_between_both_directories(kills: list[int]) -> None:
    """However often a restore is killed, no server finds half a tree or a mixed one. A restore completes it."""
    with TemporaryDirectory() as temporary:
        volume = DataDir(Path(temporary, "data"), Path(temporary, "logs"))
        for directory, files in ((volume.path, OLD), (volume.logs, OLD_LOGS)):
            directory.mkdir()
            write_all(directory / "version-2", files)
        for kill in [*kills, 9]:
            replacing = volume.holds_data()

            def place(replacing: bool = replacing) -> None:
                volume.place(2, writing(b"second"), "kept", replacing=replacing)

            if not killed_at(kill, place):
                break
            found = tree_in(volume.path), tree_in(volume.logs)
            assert found in [(OLD, OLD_LOGS), ({}, OLD_LOGS), ({}, {})]
            assert (found == (OLD, OLD_LOGS)) == volume.holds_data()
            assert volume.is_half_moved() or found != ({}, OLD_LOGS)
        assert (NEW, {}) == (tree_in(volume.path), tree_in(volume.logs))
        (kept,) = volume.path.glob("version-2.*")
        assert (OLD, OLD_LOGS) == (contents(kept), contents(volume.logs / kept.name))


def test_logs_without_their_data(apart: DataDir) -> None:
    """Logs count as data again when a server has written data since their own was moved aside, or was put back."""
    write_all(apart.path / "version-2.kept.20250101T000000Z.half-moved", OLD)
    write_all(apart.logs / "version-2", OLD_LOGS)
    assert (True, False) == (apart.is_half_moved(), apart.holds_data())
    write_all(apart.path / "version-2", {"snapshot.3": b"since"})
    assert (False, True) == (apart.is_half_moved(), apart.holds_data())
    with pytest.raises(DataDirNotEmpty):
        apart.place(2, writing(b"second"), "kept")


def test_missing_logs_are_named(fresh: Path) -> None:
    """The message names the directory that cannot be used."""
    with pytest.raises(LogDirUnusable, match="transaction log directory"):
        DataDir(fresh, fresh / "elsewhere").require_no_data()


@pytest.mark.parametrize(("mode", "of_files"), [(0o755, 0o644), (0o700, 0o600), (0o2775, 0o664), (0o770, 0o660)])
def test_whoever_uses_the_directory_uses_what_is_placed(fresh: Path, mode: int, of_files: int) -> None:
    """Placed files get the mode of the data directory."""
    fresh.chmod(mode)
    placed = data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert mode == stat.S_IMODE(placed.parent.stat().st_mode)
    assert [of_files, of_files] == [stat.S_IMODE(path.stat().st_mode) for path in placed.parent.iterdir()]


@pytest.fixture
def chowns(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What a restore that is not root's gives away: name, user and group. It fails, as if the group were a stranger."""
    seen: list[tuple[str, int, int]] = []

    def chown(descriptor: int, user: int, group: int) -> None:
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, user, group))
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "fchown", chown)
    return seen


def test_group_is_kept(fresh: Path, chowns: list[tuple[str, int, int]]) -> None:
    """What is made with the group of the directory is left alone."""
    data_dir(fresh).place(1, writing(b"tree"), "kept")
    assert [] == chowns


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another group")
def test_group_of_the_directory(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Restored by another user, it gets the directory's group where that may be, and is restored where not."""
    os.chown(tmp_path, -1, 10_001)
    chowns = request.getfixturevalue("chowns")
    data_dir(tmp_path).place(1, writing(b"tree"), "kept")
    expected = [(name, -1, 10_001) for name in (".version-2.partial", "snapshot.1", MARKER)]
    assert expected == chowns


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_root_gives_it_to_the_owner(fresh: Path) -> None:
    """Files that root restores get the owner of the directory."""
    os.chown(fresh, 10_000, 10_001)
    placed = data_dir(fresh).place(1, writing(b"tree"), "kept")
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (placed, placed.parent, placed.parent / MARKER)}
    assert {(10_000, 10_001)} == owners


def test_file_becomes_a_link_while_it_is_written(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The owner of the directory may replace a file by a link, and the target keeps its mode and its owner."""
    target = tmp_path_factory.mktemp("elsewhere") / "secret"
    target.touch(0o600)
    fresh.chmod(0o777)
    before = target.stat()

    def replace(file: BinaryIO) -> dict[str, bytes]:
        file.write(b"tree")
        (written,) = fresh.glob("*/snapshot.1")
        written.unlink()
        written.symlink_to(target)
        return {MARKER: MARK}

    data_dir(fresh).place(1, replace, "kept")
    assert before == target.stat()


def test_directory_becomes_a_link_while_it_is_filled(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The owner of the directory may replace a new directory by a link, and nothing is written behind it."""
    target = tmp_path_factory.mktemp("elsewhere")

    def replace(file: BinaryIO) -> dict[str, bytes]:
        file.write(b"tree")
        (written,) = fresh.glob("*/snapshot.1")
        written.parent.rename(fresh / "away")
        written.parent.symlink_to(target)
        return {MARKER: MARK}

    data_dir(fresh).place(1, replace, "kept")
    assert [] == list(target.iterdir())


def test_one_at_a_time(fresh: Path) -> None:
    """A second restore is refused while the first one runs, and accepted afterwards."""
    said = f"^the data directory {fresh} is in use by another process$"
    with data_dir(fresh).locked(), pytest.raises(DataDirLocked, match=said), data_dir(fresh).locked():
        pass
    with data_dir(fresh).locked():
        pass


def test_missing_directory_is_made(tmp_path: Path) -> None:
    """On an empty volume, the directory is made in its parent, and what is placed stays."""
    with data_dir(missing(tmp_path)).locked():
        assert not data_dir(missing(tmp_path)).holds_data()
        data_dir(missing(tmp_path)).place(1, writing(b"tree"), "kept")
    files = {"version-2": None, "version-2/snapshot.1": b"tree", "version-2/restore.json": MARK}
    assert files == contents(missing(tmp_path))


def test_directory_that_was_made_is_locked(tmp_path: Path) -> None:
    """A second restore is refused while the first one is about to fill the directory that it made."""
    with data_dir(missing(tmp_path)).locked(), pytest.raises(DataDirLocked), data_dir(missing(tmp_path)).locked():
        pass


def test_directory_that_was_made_in_vain_is_removed(tmp_path: Path) -> None:
    """If nothing was placed, or the restore was refused, the volume is as empty as before."""
    with data_dir(missing(tmp_path)).locked():
        pass
    with pytest.raises(Stopped), data_dir(missing(tmp_path)).locked():
        raise Stopped("refused")
    assert {} == contents(tmp_path)


def test_directory_that_was_there_stays(tmp_path: Path) -> None:
    """An empty directory that the operator made is not removed."""
    missing(tmp_path).mkdir()
    with data_dir(missing(tmp_path)).locked():
        pass
    assert {"missing": None} == contents(tmp_path)


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o2775, 0o770])
def test_directory_that_is_made_has_the_mode_of_its_parent(tmp_path: Path, mode: int) -> None:
    """ZooKeeper may use the directory, and what is placed in it, as it may use the volume."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(mode)
    with data_dir(missing(volume)).locked():
        placed = data_dir(missing(volume)).place(1, writing(b"tree"), "kept")
    assert [mode, mode] == [stat.S_IMODE(path.stat().st_mode) for path in (missing(volume), placed.parent)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_root_gives_a_directory_that_it_makes_to_the_owner_of_the_volume(tmp_path: Path) -> None:
    """The directory and what is placed in it get the owner and the group of its parent."""
    os.chown(tmp_path, 10_000, 10_001)
    with data_dir(missing(tmp_path)).locked():
        placed = data_dir(missing(tmp_path)).place(1, writing(b"tree"), "kept")
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (missing(tmp_path), placed.parent, placed)}
    assert {(10_000, 10_001)} == owners


@pytest.mark.parametrize("make", [lambda volume: volume / "not mounted" / "data", lambda volume: volume / "link"])
def test_nothing_else_is_made(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """If its parent is missing too, or if it is a link to nowhere, it is refused, and the message names it."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = contents(tmp_path)
    with pytest.raises(DataDirUnusable, match="No such file") as refused, data_dir(make(tmp_path)).locked():
        pass
    assert str(make(tmp_path)) in refused.value.args[0]
    assert before == contents(tmp_path)


def test_file_is_not_locked(tmp_path: Path) -> None:
    """A file in place of the directory is refused, and is not locked."""
    with pytest.raises(DataDirUnusable, match="Not a directory"), data_dir(file_instead(tmp_path)).locked():
        pass


def test_note_of_an_empty_start(fresh: Path) -> None:
    """The note of a member that started empty does not count as data."""
    before = data_dir(fresh).joined()
    for marker in (b"first", MARK):
        data_dir(fresh).note_joined(marker)
    assert (None, MARK) == (before, data_dir(fresh).joined())
    assert not data_dir(fresh).holds_data()
    assert {JOINED, "myid", "lost+found"} == {path.name for path in fresh.iterdir()}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("snapshot.1", snapshot_bytes([node(b"", b"")]), True),
        ("snapshot.1", snapshot_bytes([node(b"", b"")])[:-1], False),
        ("snapshot.1", b"", False),
        ("snapshot.0", snapshot_bytes([node(b"", b"")]), False),
        ("snapshot.0.gz", gzip.compress(b"", mtime=0), False),
        ("snapshot.0.snappy", snappy(b""), False),
        ("snapshot.1", bytes(4) + b"\0\0\0\x01/", False),
        ("snapshot.1", bytes(5) + b"\0\0\0\x01/", True),
        ("snapshot.aF.gz", b"\x1f\x8b", True),
        ("snapshot.1.gz", b"\x1f", False),
        ("snapshot.1.gz", snapshot_bytes([node(b"", b"")]), False),
        ("snapshot.1.snappy", b"\x82SNAPPY\0", True),
        ("snapshot.1.snappy", b"\x82SNAPPY", False),
        ("log.1", snapshot_bytes([node(b"", b"")]), False),
    ],
)
def test_has_snapshot(fresh: Path, name: str, content: bytes, *, expected: bool) -> None:
    """A snapshot counts if ZooKeeper would try to load it, so one that was cut does not."""
    (fresh / "version-2").mkdir()
    (fresh / "version-2" / name).write_bytes(content)
    assert expected == data_dir(fresh).has_snapshot()


def test_half_of_keeping_aside_is_undone(apart: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second of both directories cannot be renamed, the first has its name again."""
    apart.place(1, writing(b"first"), "kept")
    (apart.logs / "version-2").mkdir()
    before = contents(apart.path)
    renames = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path == apart.path / "version-2":
            raise FULL
        return renames(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DataDirUnusable):
        apart.place(2, writing(b"second"), "kept", replacing=True)
    assert before == contents(apart.path)


@pytest.mark.parametrize(
    ("data", "logs"), [("log2", "log"), ("log", "log2"), ("logs/data", "logs"), ("data", "data/logs")]
)
def test_the_right_setting_is_named(tmp_path: Path, data: str, logs: str) -> None:
    """Of two directories the one that is at fault is named, however alike their names are."""
    path = tmp_path / data
    path.mkdir(parents=True)
    (tmp_path / logs).mkdir(parents=True, exist_ok=True)
    (path / "version-2" / MARKER).mkdir(parents=True)
    with pytest.raises(DataDirUnusable, match=r"^the data directory "):
        DataDir(path, tmp_path / logs).marker()


@pytest.mark.parametrize(
    ("error", "reason"), [(FULL, "No space left on device"), (OSError("the disk is odd"), "the disk is odd")]
)
def test_error_without_a_path(tmp_path: Path, error: OSError, reason: str) -> None:
    """An error that names no file is told of the data directory, with the system's words or its own."""
    (tmp_path / "logs").mkdir()
    with pytest.raises(DataDirUnusable, match=f"^the data directory {tmp_path} cannot be used: {reason}$"):
        DataDir(tmp_path, tmp_path / "logs").place(1, failing(error), "kept")
