"""The captured tree on local disk, append-only: what a walk read, level by level, and what was read again after it.

Merging the levels gives the tree in tree order with the memory of one batch a level, however large the tree is. What is
read back is checked against a checksum: a bit that a disk turned over is an error, and never a znode.
"""

import heapq
import math
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import SpoolDamaged
from metadata_tool.zookeeper.snapshot import split, tree_key

_HEAD = struct.Struct(">iqI")
"""Of a batch: bytes of its znodes, their zxid, the CRC-32 of these bytes."""
_SEAL = struct.Struct(">I")
"""After a head: the CRC-32 of the head and its place."""
_SEALED = _HEAD.size + _SEAL.size


class Spool:
    """Encoded znodes: each level of the tree in tree order, in batches that were read at one zxid each."""

    def __init__(self, path: Path) -> None:
        """Begin an empty spool; `path` is a file that does not exist yet."""
        self._path = path
        self._file = path.open("xb+", buffering=limits.WRITE_BUFFER)
        self._levels: list[int] = []
        self._size = 0
        self.nodes = 0

    def begin_level(self) -> None:
        """What is appended from here on belongs to the next level of the tree."""
        self._levels.append(self._size)

    def append(self, zxid: int, content: bytes, nodes: int) -> None:
        """Add so many encoded znodes that were read at this zxid; within a level they come in tree order."""
        self._file.write(_sealed(_HEAD.pack(len(content), zxid, crc32(content)), self._size))
        self._file.write(content)
        self._size += _SEALED + len(content)
        self.nodes += nodes

    def read_before(self, zxid: int) -> Iterator[tuple[bytes, bytes]]:
        """The znodes of batches that were read at an earlier zxid, each with its path.

        Raises:
            SpoolDamaged: the file was cut or damaged; so do all that read it.
        """
        self._file.flush()
        return self._nodes(0, self._size, zxid)

    def in_tree_order(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """All znodes, depth first and siblings sorted, each with its key and its path."""
        self._file.flush()
        bounds = pairwise([*self._levels, self._size])
        return heapq.merge(*(_keyed(self._nodes(start, end)) for start, end in bounds))

    def level(self, depth: int) -> Iterator[tuple[bytes, bytes]]:
        """The znodes of one level in tree order, each with its path; the root's is 0."""
        self._file.flush()
        bounds = [*self._levels, self._size]
        return self._nodes(*bounds[depth : depth + 2]) if depth + 1 < len(bounds) else iter(())

    def kept(self, path: Path) -> "Spool":
        """The same, to be read when this one is closed; its file is moved to here, on the same disk."""
        self._file.flush()
        self._path.replace(path)
        kept = copy(self)
        kept._file = path.open("rb+")  # noqa: SLF001  # another one of ours
        return kept

    def _nodes(self, start: int, end: int, before: float = math.inf) -> Iterator[tuple[bytes, bytes]]:
        return chain.from_iterable(self._batches(start, end, before))

    def _batches(self, start: int, end: int, before: float) -> Iterator[list[tuple[bytes, bytes]]]:
        """Each is read with the head of the next one, so that it takes one read; of a later one only its head is."""
        descriptor = self._file.fileno()
        head = _pread(descriptor, start, min(_SEALED, end - start))
        while head:
            if head != _sealed(head[: _HEAD.size], start):
                raise SpoolDamaged
            size, zxid, checksum = _HEAD.unpack_from(head)
            start += _SEALED
            if zxid >= before:
                head = _pread(descriptor, start + size, min(_SEALED, end - start - size))
            else:
                content = _pread(descriptor, start, min(size + _SEALED, end - start))
                content, head = content[:size], content[size:]
                nodes, whole = split(content)
                if crc32(content) != checksum or whole != size:
                    raise SpoolDamaged
                del content  # a tree may have many levels, and each is in one of its batches
                yield nodes
            start += size

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _sealed(head: bytes, place: int) -> bytes:
    """A head as it is at this place of the file: a batch that a disk wrote elsewhere is not taken for another."""
    return head + _SEAL.pack(crc32(head, place & 0xFFFF_FFFF))


def _pread(descriptor: int, start: int, size: int) -> bytes:
    content = os.pread(descriptor, size, start)
    if len(content) != size:
        raise SpoolDamaged
    return content


def _keyed(nodes: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes, bytes]]:
    return ((tree_key(path), path, node) for path, node in nodes)


class OverlayEntry(NamedTuple):
    """An encoded znode, and the zxid at which it was read."""

    zxid: int
    node: bytes


class _Place(NamedTuple):
    begin: int
    size: int
    zxid: int
    checksum: int


class Overlay:
    """What was read again: the latest of each znode, or that it has gone. Paths and zxids are in memory, no more."""

    def __init__(self, path: Path) -> None:
        """Begin with nothing; `path` is a file that does not exist yet."""
        self._file = path.open("xb+", buffering=limits.WRITE_BUFFER)
        self._places: dict[bytes, _Place | None] = {}
        self._size = 0

    def __contains__(self, path: bytes) -> bool:
        return path in self._places

    def put(self, path: bytes, change: OverlayEntry) -> None:
        """This is how a znode is now."""
        self._file.write(change.node)
        self._places[path] = _Place(self._size, len(change.node), change.zxid, crc32(change.node))
        self._size += len(change.node)

    def seen_again(self, path: bytes, zxid: int) -> None:
        """A znode, which was put, is still the same at a later zxid."""
        if place := self._places[path]:
            self._places[path] = place._replace(zxid=zxid)

    def remove(self, path: bytes) -> None:
        """There is no such znode now."""
        self._places[path] = None

    def size(self, path: bytes) -> int | None:
        """Bytes of an encoded znode; None if it was not read again, or has gone."""
        place = self._places.get(path)
        return place.size if place else None

    def get(self, path: bytes) -> OverlayEntry | None:
        """How a znode was when it was read again; None if it was not, or has gone.

        Raises:
            SpoolDamaged: the file was cut or damaged; so do all that read it.
        """
        place = self._places.get(path)
        if place is None:
            return None
        self._file.flush()
        node = _pread(self._file.fileno(), place.begin, place.size)
        if crc32(node) != place.checksum:
            raise SpoolDamaged
        return OverlayEntry(place.zxid, node)

    def live(self) -> Iterator[tuple[bytes, OverlayEntry]]:
        """Those that have not gone, with their paths."""
        for path, place in self._places.items():
            if place and (change := self.get(path)):
                yield path, change

    def in_tree_order(self) -> Iterator[tuple[bytes, bytes, OverlayEntry | None]]:
        """All of them, depth first and siblings sorted, each with its key and its path; None for what has gone."""
        for path in sorted(self._places, key=tree_key):
            yield tree_key(path), path, self.get(path)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def merged(spool: Spool, overlay: Overlay) -> Iterator[tuple[bytes, bytes]]:
    """The tree in tree order, as it is with all changes: paths and encoded znodes."""
    later = overlay.in_tree_order()
    changed, its_path, change = next(later, _NO_MORE)
    for key, path, node in spool.in_tree_order():
        while changed is not None and changed < key:
            if change:
                yield its_path, change.node
            changed, its_path, change = next(later, _NO_MORE)
        if key != changed:  # else what comes next is newer
            yield path, node
    while changed is not None:
        if change:
            yield its_path, change.node
        changed, its_path, change = next(later, _NO_MORE)


_NO_MORE: tuple[None, bytes, None] = (None, b"", None)


class PathQueue:
    """Paths on disk, first in, first out: the znodes of the next level, which may be millions. No path holds a NUL."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb+", buffering=limits.WRITE_BUFFER)
        self._path = path
        self._checksum = 0
        self.empty = True

    def put(self, paths: Iterable[bytes]) -> None:
        """Add paths at the end."""
        content = b"\0".join([*paths, b""])
        self._file.write(content)
        self._checksum = crc32(content, self._checksum)
        self.empty = self.empty and not content

    def put_below(self, children: Iterable[tuple[bytes, Sequence[bytes]]]) -> None:
        """Add the paths of znodes, which come as the path of each parent and the names below it."""
        groups = []
        for path, names in children:
            if names:
                above = path + b"/"
                groups.append(above + (b"\0" + above).join(names))  # one join, not one for each of a million
        self.put(groups)

    def drain(self) -> Iterator[bytes]:
        """All paths in the order they were put; the file is gone afterwards.

        Raises:
            SpoolDamaged: it was cut or damaged, as is found at the end.
        """
        return chain.from_iterable(self._drained())

    def _drained(self) -> Iterator[list[bytes]]:
        self._file.seek(0)
        rest, checksum = b"", 0
        try:
            while chunk := self._file.read(limits.READ_BUFFER):
                checksum = crc32(chunk, checksum)
                *paths, rest = (rest + chunk).split(b"\0")
                yield paths
            if checksum != self._checksum:
                raise SpoolDamaged
        finally:
            self.close()

    def close(self) -> None:
        """Remove the file; no matter if that was done before."""
        self._file.close()
        self._path.unlink(missing_ok=True)
