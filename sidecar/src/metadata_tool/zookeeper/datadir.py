"""Puts a snapshot into a data directory, whole or not at all.

ZooKeeper takes the newest readable file in `version-2` for its tree, and starts empty where there is none. So the file
is written beside it, synced, and the whole directory renamed into place: whoever looks, it is absent or complete.

A marker says which restore it was. It lies in `version-2` too (ZooKeeper passes over names that are not its own), so
that it comes and goes with the data it speaks of.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from metadata_tool.errors import DataDirNotEmpty, DataDirUnusable
from metadata_tool.files import sync_directory
from metadata_tool.zookeeper.snapshot import SnapshotError, SnapshotReader

VERSION_2 = "version-2"
MARKER = "restore.json"
_PARTIAL = ".version-2.partial"
_SNAPSHOT = re.compile(r"snapshot\.[0-9a-f]{1,16}")
_ASIDE = f"{VERSION_2}."
_HARMLESS = {"lost+found", "myid", _PARTIAL}
"""What a fresh volume may hold: the file system's own, the server's number, what an earlier try left unfinished."""


def snapshot_file(zxid: int) -> str:
    """What ZooKeeper calls the snapshot of this zxid, in `version-2`."""
    return f"snapshot.{zxid:x}"


def next_epoch(zxid: int) -> int:
    """The first zxid of the next epoch: no client of the old cluster has seen a later one, nor may a server."""
    return ((zxid >> 32) + 1) << 32


def read_marker(data_dir: Path) -> bytes | None:
    """The marker of the restore that was placed here; None where there was none.

    Raises:
        DataDirUnusable: it cannot be read.
    """
    try:
        return (data_dir / VERSION_2 / MARKER).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(data_dir, error) from error


def find_znode(data_dir: Path, path: bytes) -> bytes | None:
    """The data of a znode in the newest plain snapshot that ZooKeeper has written here; None where there is none.

    It is read from front to end, a few seconds for a million znodes; a damaged one is as good as none.

    Raises:
        DataDirUnusable: it cannot be read.
    """
    try:
        snapshots = [file for file in (data_dir / VERSION_2).glob("snapshot.*") if _SNAPSHOT.fullmatch(file.name)]
        if not snapshots:
            return None
        with max(snapshots, key=lambda file: int(file.suffix[1:], 16)).open("rb") as stream:
            return next((node.data for node in SnapshotReader(stream).nodes() if node.path == path), None)
    except SnapshotError:
        return None
    except OSError as error:
        raise _unusable(data_dir, error) from error


def holds_data(data_dir: Path) -> bool:
    """Whether a data directory holds anything but what a fresh volume may, and what was kept aside.

    Raises:
        DataDirUnusable: it is not a directory that can be read.
    """
    return bool(_data(data_dir))


def require_empty(data_dir: Path) -> None:
    """Refuse a data directory that holds data.

    Raises:
        DataDirNotEmpty: it does.
        DataDirUnusable: it is not a directory that can be read.
    """
    if found := _data(data_dir):
        raise DataDirNotEmpty(
            f"ZOOKEEPER_DATA_DIR {data_dir} is not empty, it holds {', '.join(found[:3])}",
            "a restore only starts a new ZooKeeper; give it an empty volume, or set OVERWRITE_EXISTING=true to keep "
            "that aside. Nothing was touched",
        )


def require_space(data_dir: Path, size: int) -> None:
    """Refuse a data directory without room for so many bytes, before the first is written.

    Raises:
        DataDirUnusable: there is not enough, or it cannot be told.
    """
    try:
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        raise _unusable(data_dir, error) from error
    if free < size:
        raise DataDirUnusable(
            f"ZOOKEEPER_DATA_DIR {data_dir} has {free} bytes free, the restore needs {size}", "enlarge the volume"
        )


def aside(why: str) -> str:
    """A name for data that is kept aside: why and when."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{_ASIDE}{re.sub(r'[^A-Za-z0-9_-]', '_', why)}.{now}"


def place(
    data_dir: Path, zxid: int, write: Callable[[BinaryIO], Mapping[str, bytes]], keep_as: str | None = None
) -> Path:
    """Let `write` make the snapshot of this zxid, and put it where ZooKeeper looks for it. The file's path.

    What `write` returns are files to lie beside it, by name: the one called MARKER is what `read_marker` gives from
    then on. With `keep_as`, a `version-2` that is there gets that name at last: killed in between, the directory counts
    as empty, and the next try goes on.

    Raises:
        DataDirNotEmpty: it holds data, and `keep_as` is not given.
        DataDirUnusable: it cannot be written, or is full.
        ToolError: whatever `write` raises; the directory is then as it was.
    """
    if keep_as is None:
        require_empty(data_dir)
    partial, placed = data_dir / _PARTIAL, data_dir / VERSION_2
    name = snapshot_file(zxid)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        with _synced(partial / name) as file:
            beside = write(file)
        for other, content in beside.items():
            with _synced(partial / other) as file:
                file.write(content)
        sync_directory(partial)
        _swap(partial, placed, data_dir / keep_as if keep_as and placed.exists() else None)
        sync_directory(data_dir)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return placed / name


def _swap(partial: Path, placed: Path, kept: Path | None) -> None:
    if kept:
        placed.rename(kept)
    try:
        partial.rename(placed)
    except OSError:
        if kept:
            kept.rename(placed)
        raise


def _data(data_dir: Path) -> list[str]:
    try:
        names = sorted(entry.name for entry in data_dir.iterdir())
    except OSError as error:
        raise _unusable(data_dir, error) from error
    return [name for name in names if name not in _HARMLESS and not name.startswith(_ASIDE)]


@contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _unusable(data_dir: Path, error: OSError) -> DataDirUnusable:
    return DataDirUnusable(
        f"ZOOKEEPER_DATA_DIR {data_dir} cannot be used: {error.strerror or error}",
        "mount a volume there that this user may write",
    )
