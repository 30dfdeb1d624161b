"""Puts a snapshot into a data directory, whole or not at all.

ZooKeeper takes the newest readable file in `version-2` for its tree, and starts empty where there is none. So the file
is written beside it, synced, and the whole directory renamed into place: whoever looks, it is absent or complete.

A marker says which restore it was. It lies in `version-2` too (ZooKeeper passes over names that are not its own), so
that it comes and goes with the data it speaks of.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from metadata_tool.errors import DataDirNotEmpty, DataDirUnusable
from metadata_tool.files import sync_directory

VERSION_2 = "version-2"
MARKER = "restore.json"
_PARTIAL = ".version-2.partial"
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


def require_empty(data_dir: Path) -> None:
    """Refuse a data directory that holds anything.

    Raises:
        DataDirNotEmpty: it does.
        DataDirUnusable: it is not a directory that can be read.
    """
    try:
        found = sorted(entry.name for entry in data_dir.iterdir() if entry.name not in _HARMLESS)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    if found:
        raise DataDirNotEmpty(
            f"ZOOKEEPER_DATA_DIR {data_dir} is not empty, it holds {', '.join(found[:3])}",
            "a restore only starts a new ZooKeeper; give it an empty volume. Nothing was touched",
        )


def place(data_dir: Path, zxid: int, write: Callable[[BinaryIO], Mapping[str, bytes]]) -> Path:
    """Let `write` make the snapshot of this zxid, and put it where ZooKeeper looks for it. The file's path.

    What `write` returns are files to lie beside it, by name: the one called MARKER is what `read_marker` gives from
    then on.

    Raises:
        DataDirNotEmpty, DataDirUnusable: as `require_empty`, or the disk is full.
        ToolError: whatever `write` raises; the directory is then as it was.
    """
    require_empty(data_dir)
    partial = data_dir / _PARTIAL
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
        partial.rename(data_dir / VERSION_2)
        sync_directory(data_dir)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return data_dir / VERSION_2 / name


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
