"""The snapshots and transaction logs that a server keeps in `version-2`, and whether they hold data.

A server recognises its files by these names (FileTxnLog, FileSnap, Util.getZxidFromName) and ignores all others. The
epochs that it keeps beside them are not data, because a server that only waits for the others has them, too.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from metadata_tool.zookeeper import compression, initial_znodes
from metadata_tool.zookeeper.snapshot import SnapshotError, SnapshotReader

_DATA = re.compile(r"(snapshot|log)\.[0-9a-fA-F]+(\..*)?", re.DOTALL)
_SNAPSHOT = re.compile(r"snapshot\.([0-9a-fA-F]{1,16})(\.gz|\.snappy)?")
_SEAL = b"\0\0\0\x01/"
_HEAD = 10


def names(directory: Path) -> list[str]:
    """The files in a directory that have the names of snapshots and logs, sorted."""
    return sorted(path.name for path in directory.iterdir() if _DATA.fullmatch(path.name))


def names_with_data(directory: Path) -> list[str]:
    """The names without that of the snapshot that an empty server writes before it has found the others."""
    return [name for name in names(directory) if not _is_of_new_server(directory / name)]


def snapshots(directory: Path) -> list[Path]:
    """The snapshots, the newest first."""
    return sorted((path for path in directory.glob("*") if _SNAPSHOT.fullmatch(path.name)), key=zxid, reverse=True)


def zxid(snapshot: Path) -> int:
    """The zxid in a snapshot's name."""
    return int(snapshot.name.split(".")[1], 16)


def looks_complete(snapshot: Path) -> bool:
    """Whether a server would try to load it (SnapStream.isValidSnapshot)."""
    with snapshot.open("rb") as file:
        if magic := compression.MAGIC.get(snapshot.suffix):
            return file.read(len(magic)) == magic
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_SEAL)))
        return size >= _HEAD and file.read() == _SEAL


def _is_of_new_server(path: Path) -> bool:
    """Whether this is an undamaged snapshot of zxid 0 that has only the znodes of a new server."""
    if not _SNAPSHOT.fullmatch(path.name) or zxid(path):
        return False
    with suppress(SnapshotError), compression.opened(path) as stream:
        return all(node.path in initial_znodes.PATHS for node in SnapshotReader(stream).nodes())
    return False
