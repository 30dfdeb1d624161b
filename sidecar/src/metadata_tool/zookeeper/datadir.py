"""Puts a snapshot into a data directory atomically.

ZooKeeper loads the newest readable snapshot in `version-2`, and starts empty if there is none. So the snapshot is
written to a directory beside it and synced, and then that directory is renamed to `version-2`.

If the logs have a directory of their own, three renames move both aside: the data to a name that says that it is half
moved, the logs, and the data again. So a process that is killed in between leaves logs without a snapshot, with which
no server starts, and never a snapshot without its logs, which is an older tree. The next move completes it.

A marker identifies the restore. It is in `version-2` too (ZooKeeper ignores unknown names), so it moves together with
the data that it describes. Nothing is ever deleted: an existing `version-2` is moved aside, which means renamed. So is
one that holds no data, because the epochs of an earlier ensemble keep a server from starting, or from joining.
All other files in the directories stay: those of the file system, of a storage system, or of users.
"""

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from metadata_tool.files import sync_directory
from metadata_tool.zookeeper import compression, server_data
from metadata_tool.zookeeper.errors import (
    DataDirLocked,
    DataDirNotEmpty,
    DataDirTooSmall,
    DataDirUnusable,
    DataMisplaced,
    LogDirUnusable,
)
from metadata_tool.zookeeper.snapshot import SnapshotError, SnapshotReader

VERSION_2 = "version-2"
MARKER = "restore.json"
JOINED = "restore-joined.json"
"""Beside `version-2`: the member started empty, to take its tree from the cluster of this restore."""
_PARTIAL = ".version-2.partial"
_HALF = ".half-moved"
"""The end of the name of data whose logs may not have been moved aside yet."""


Renames = list[tuple[Path, Path]]
"""Pairs of names, before and after."""


def snapshot_file(zxid: int) -> str:
    """The name of the snapshot of this zxid in `version-2`."""
    return f"snapshot.{zxid:x}"


@dataclass(frozen=True)
class DataDir:
    """ZooKeeper's `dataDir`, and its `dataLogDir`, which is the same if it is unset.

    Every method raises DataDirUnusable or LogDirUnusable if that directory cannot be read or written, or is full.
    """

    path: Path
    logs: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the directory against other restores during the block.

        A missing directory is created if its parent exists, and removed again if it is still empty after the block.

        Raises:
            DataDirLocked: another process has locked it.
        """
        with self._explaining():
            is_new = self._make()
            directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # some file systems have no locks
                self._lock(directory)
            try:
                yield
            finally:
                if is_new:
                    with suppress(OSError):  # it is not empty
                        self.path.rmdir()
        finally:
            os.close(directory)

    def _make(self) -> bool:
        """Create the directory if it is missing, with owner, group and mode of its parent. Returns whether it was."""
        if os.path.lexists(self.path):
            return False
        with _opened(self.path.parent) as parent:
            try:
                os.mkdir(self.path.name, 0o700, dir_fd=parent)
            except FileExistsError:  # another restore has just created it
                return False
            made = os.open(self.path.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            try:
                _give_away(made, os.fstat(parent))
            finally:
                os.close(made)
            os.fsync(parent)
        return True

    def _lock(self, directory: int) -> None:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirLocked(self.path) from None

    def marker(self) -> bytes | None:
        """The marker of the restore that was placed here, None if there is none."""
        return self._read(self.path / VERSION_2 / MARKER)

    def joined(self) -> bytes | None:
        """The marker of the cluster from which an empty member takes its tree, None if there is none."""
        return self._read(self.path / JOINED)

    def note_joined(self, marker: bytes) -> None:
        """Note that a member starts empty, so that its data is recognised after a restart."""
        with self._explaining(), _opened(self.path) as directory:
            self._write(directory, f"{JOINED}.new", _writing(marker))
            os.replace(f"{JOINED}.new", JOINED, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def has_snapshot(self) -> bool:
        """Whether there is a snapshot that ZooKeeper would try to load (SnapStream.isValidSnapshot).

        That of zxid 0 does not count: an empty server writes it before it has found the others.
        """
        with self._explaining():
            found = server_data.snapshots(self.path / VERSION_2)
            return any(server_data.looks_complete(path) for path in found if server_data.zxid(path))

    def find_znode(self, path: bytes) -> bytes | None:
        """The data of a znode in the newest undamaged snapshot, None if there is none.

        The snapshot is read to its end, where its seals are: a few seconds for a million znodes.
        """
        for snapshot in server_data.snapshots(self.path / VERSION_2):
            with self._explaining(), suppress(SnapshotError), compression.opened(snapshot) as stream:
                found = [node.data for node in SnapshotReader(stream).nodes() if node.path == path]
                return found[0] if found else None
        return None

    def holds_data(self) -> bool:
        """Whether there is data of a server or a restore, apart from data that was moved aside, or half of it was."""
        return bool(self._data())

    def is_used(self) -> bool:
        """Whether there is anything that `move_aside` moves: data, or what a server without data has left."""
        with self._explaining():
            return bool(self._used())

    def is_half_moved(self) -> bool:
        """Whether the data was moved aside, and its logs may not have been. `move_aside` completes that."""
        with self._explaining():
            return self._half_moved() is not None

    def require_no_data(self) -> None:
        """Check that there is no data of a server or a restore.

        Raises:
            DataDirNotEmpty: there is data.
            DataMisplaced: there is data where no server looks for it. The directory may be a wrong one.
        """
        self.require_in_place()
        for directory, found in self._data().items():
            raise DataDirNotEmpty(directory, found)

    def require_in_place(self) -> None:
        """Check that all data is in `version-2`.

        Raises:
            DataMisplaced: there is data beside it.
        """
        for directory in self._directories:
            with self._explaining():
                found = server_data.names(directory)
            if found:
                raise DataMisplaced(directory, found)

    def require_space(self, size: int) -> None:
        """Check that there is room for this many bytes, before the first one is written.

        Raises:
            DataDirTooSmall: there is not enough room.
        """
        with self._explaining():
            free = shutil.disk_usage(self.path).free
        if free < size:
            raise DataDirTooSmall(self.path, free, size)

    def move_aside(self, why: str) -> Renames:
        """Move each `version-2` aside unless it is empty. Returns what was renamed, in this order.

        The new name has the reason and the time, and is the same in both directories.
        """
        name = f"{VERSION_2}.{re.sub(r'[^A-Za-z0-9_-]', '_', why)}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        done: Renames = []
        with self._explaining():
            try:
                for before, after in self._moves(name):
                    before.rename(after)
                    done.append((before, after))
                    sync_directory(before.parent)
            except OSError:
                _undo(done)
                raise
        return done

    def _moves(self, name: str) -> Renames:
        """The renames that move everything aside, under this name or that of a move that was interrupted."""
        used = self._used()
        half = self._half_moved()
        if half:
            named = half.with_name(half.name.removesuffix(_HALF))
            logs = [(path, path.with_name(named.name)) for path in used if path.parent == self.logs]
            return [*logs, (half, named), *((path, path.with_name(name)) for path in used if path.parent == self.path)]
        if len(used) < 2:
            return [(path, path.with_name(name)) for path in used]
        logs_now, data_now = used
        half, named = data_now.with_name(f"{name}{_HALF}"), data_now.with_name(name)
        return [(data_now, half), (logs_now, logs_now.with_name(name)), (half, named)]

    def _half_moved(self) -> Path | None:
        """The data of a move that was interrupted, unless a server has written data since."""
        if self.logs == self.path or self._names(self.path):
            return None
        return max(self.path.glob(f"{VERSION_2}.*{_HALF}"), default=None)

    def place(
        self, zxid: int, write: Callable[[BinaryIO], Mapping[str, bytes]], aside: str, *, replacing: bool = False
    ) -> Path:
        """Have `write` write the snapshot of this zxid, and place it atomically. Returns the path of the file.

        `write` returns the content of further files by name. The one called MARKER is the result of `marker` from then
        on. Once all is written, an existing `version-2` is moved aside for the reason `aside`. If the process is killed
        after that, the directory holds no data, and the next attempt continues.

        Raises:
            DataDirNotEmpty: there is data, and `replacing` is false.
            DataMisplaced: there is data where no server looks for it.
            Exception: any error of `write`. The directory is then unchanged.
        """
        if replacing:
            self.require_in_place()
        else:
            self.require_no_data()
        partial, placed = self.path / _PARTIAL, self.path / VERSION_2
        with self._explaining():
            try:
                self._fill(partial, snapshot_file(zxid), write)
                _rename(partial, placed, self.move_aside(aside))
                sync_directory(self.path)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return placed / snapshot_file(zxid)

    def _fill(self, partial: Path, name: str, write: Callable[[BinaryIO], Mapping[str, bytes]]) -> None:
        """Create a directory with all files, synced."""
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        with _opened(partial, os.O_NOFOLLOW) as directory:
            self._give_away(directory)
            beside: dict[str, bytes] = {}
            self._write(directory, name, lambda file: beside.update(write(file)))
            for other, content in beside.items():
                self._write(directory, other, _writing(content))
            os.fsync(directory)

    def _write(self, directory: int, name: str, write: Callable[[BinaryIO], object]) -> None:
        """Write a new file of an open directory, which stays the same even if its path becomes another's."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        with open(name, "xb", opener=lambda name, flags: os.open(name, flags, 0o666, dir_fd=directory)) as file:
            write(file)
            self._give_away(file.fileno())
            file.flush()
            os.fsync(file.fileno())

    def _give_away(self, descriptor: int) -> None:
        """Give an open file the owner, group and mode of the data directory."""
        _give_away(descriptor, self.path.stat())

    @property
    def _directories(self) -> list[Path]:
        """Both directories, the logs first, or one if they are the same."""
        return list(dict.fromkeys((self.logs, self.path)))

    def _used(self) -> list[Path]:
        """Each `version-2` that is not an empty directory."""
        found = [directory / VERSION_2 for directory in self._directories if os.path.lexists(directory / VERSION_2)]
        return [path for path in found if path.is_symlink() or not path.is_dir() or any(path.iterdir())]

    def _data(self) -> dict[Path, list[str]]:
        """The files with data, by the directory that their paths are from.

        A `version-2` that is not a directory counts as data. Logs whose data was moved aside do not: they follow it.
        """
        found = {}
        with self._explaining():
            for directory in reversed(self._directories):
                next(directory.iterdir(), None)  # it must be there, and readable
                if directory == self.path or not self._half_moved():
                    found[directory] = self._names(directory)
        return {directory: names for directory, names in found.items() if names}

    @staticmethod
    def _names(directory: Path) -> list[str]:
        """The paths of files with data in one of the directories."""
        path = directory / VERSION_2
        if not path.is_dir():
            return [VERSION_2] if os.path.lexists(path) else []
        names = server_data.names_with_data(path)
        names += [MARKER] if os.path.lexists(path / MARKER) else []
        return [f"{VERSION_2}/{name}" for name in names]

    def _read(self, path: Path) -> bytes | None:
        with self._explaining():
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            found = Path(os.fsdecode(error.filename or b""))
            holding = [each for each in (self.path, self.logs) if found.is_relative_to(each)]
            where = max(holding, key=lambda each: len(each.parts), default=self.path)  # one may be inside the other
            fault = DataDirUnusable if where == self.path else LogDirUnusable
            raise fault(where, error.strerror or str(error)) from error


@contextmanager
def _opened(directory: Path, more: int = 0) -> Iterator[int]:
    """The descriptor of a directory. `more` are further flags."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | more)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _give_away(descriptor: int, wanted: os.stat_result) -> None:
    """Give an open file the owner, group and mode of a directory, because ZooKeeper may be another user.

    That user may replace files by links at any time, so nothing is changed by its path.
    """
    found = os.fstat(descriptor)
    if os.geteuid() == 0:
        os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
    elif found.st_gid != wanted.st_gid:
        with suppress(PermissionError):  # this user is not in that group
            os.fchown(descriptor, -1, wanted.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode) & (0o2777 if stat.S_ISDIR(found.st_mode) else 0o666))


def _writing(content: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(content)


def _rename(partial: Path, placed: Path, kept: Renames) -> None:
    try:
        partial.rename(placed)
    except OSError:
        _undo(kept)
        raise


def _undo(done: Renames) -> None:
    for before, now in reversed(done):
        now.rename(before)
