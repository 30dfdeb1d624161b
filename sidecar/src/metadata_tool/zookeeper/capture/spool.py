"""The captured tree on local disk, append-only: the znodes of the walk, level by level, and those read again later.

Merging the levels gives the tree in tree order, with memory for one batch per level, however large the tree is.
Everything that is read back is verified by a checksum, so damage on the disk is an error and never a wrong znode.

A batch in the file of a spool:

    byte  0     4     12         16        20
          size  zxid  CRC-32 of  CRC-32 of  encoded znodes
                      the znodes the head
                                 and its place
"""

import heapq
import math
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import chain, pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.errors import SpoolDamaged
from metadata_tool.zookeeper.snapshot import split, tail_of, tree_key, with_acl

_HEAD = struct.Struct(">iqI")
"""The head of a batch: the size of its znodes, their zxid, their CRC-32."""
_SEAL = struct.Struct(">I")
"""After the head: the CRC-32 of the head and its place in the file."""
_SEALED = _HEAD.size + _SEAL.size


class Spool:
    """Encoded znodes. Each level of the tree is in tree order, in batches that were read at one zxid each."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """An empty spool in an empty file, which is opened."""
        self._path = path
        self._file = file
        self._levels: list[int] = []
        self._size = 0
        self.nodes = 0

    @classmethod
    def create(cls, path: Path) -> "Spool":
        """An empty spool in a new file."""
        return cls(path, _created(path))

    def begin_level(self) -> None:
        """Start the next level of the tree."""
        self._levels.append(self._size)

    def append(self, zxid: int, content: bytes, nodes: int) -> None:
        """Add a number of encoded znodes that were read at this zxid. Within a level they come in tree order."""
        self._file.write(_sealed(_HEAD.pack(len(content), zxid, crc32(content)), self._size))
        self._file.write(content)
        self._size += _SEALED + len(content)
        self.nodes += nodes

    def read_before(self, zxid: int) -> Iterator[tuple[bytes, bytes]]:
        """The paths and znodes of batches that were read at an earlier zxid.

        Raises:
            SpoolDamaged: the file was truncated or damaged. All methods that read the file raise this.
        """
        self._file.flush()
        return self._nodes(0, self._size, zxid)

    def in_tree_order(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """The keys, paths and znodes in tree order: depth first, siblings sorted."""
        self._file.flush()
        bounds = pairwise([*self._levels, self._size])
        return heapq.merge(*(_keyed(self._nodes(start, end)) for start, end in bounds))

    def level(self, depth: int) -> Iterator[tuple[bytes, bytes]]:
        """The paths and znodes of one level in tree order. The root is level 0."""
        self._file.flush()
        bounds = [*self._levels, self._size]
        return self._nodes(*bounds[depth : depth + 2]) if depth + 1 < len(bounds) else iter(())

    def kept(self, path: Path) -> "Spool":
        """A spool that can be read after this one is closed. Its file is moved to `path`, on the same disk."""
        self._file.flush()
        self._path.replace(path)
        kept = copy(self)
        kept._file = path.open("rb+")  # noqa: SLF001  # of the same class
        return kept

    def _nodes(self, start: int, end: int, before: float = math.inf) -> Iterator[tuple[bytes, bytes]]:
        return chain.from_iterable(self._batches(start, end, before))

    def _batches(self, start: int, end: int, before: float) -> Iterator[list[tuple[bytes, bytes]]]:
        """The batches before a zxid. Each is read together with the head of the next one, in one read."""
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
                del content  # a merge holds a batch of each of many levels
                yield nodes
            start += size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _created(path: Path) -> BinaryIO:
    return path.open("xb+", buffering=limits.WRITE_BUFFER)


def _sealed(head: bytes, place: int) -> bytes:
    """A head with its checksum for this place, so that a batch at a wrong place of the disk is found."""
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
    """Znodes that were read again: the latest state of each, or its deletion. They are in a file.

    In memory are paths and zxids, and the stats that `tail` was asked for. A consistent cut asks for few.
    """

    def __init__(self, file: BinaryIO) -> None:
        """An empty overlay in an empty file, which is opened."""
        self._file = file
        self._places: dict[bytes, _Place | None] = {}
        self._tails: dict[bytes, bytes] = {}
        self._size = 0

    @classmethod
    def create(cls, path: Path) -> "Overlay":
        """An empty overlay in a new file."""
        return cls(_created(path))

    def __contains__(self, path: bytes) -> bool:
        return path in self._places

    def put(self, path: bytes, zxid: int, node: bytes) -> None:
        """Set the state of a znode, as it was read at this zxid. What is unchanged is not written again."""
        checksum, before = crc32(node), self._places.get(path)
        same_sum = before and (before.size, before.checksum) == (len(node), checksum)
        if before and same_sum and self._read(before) == node:
            self._places[path] = before._replace(zxid=zxid)
            return
        self._file.write(node)
        self._places[path] = _Place(self._size, len(node), zxid, checksum)
        self._size += len(node)
        if path in self._tails:
            self._tails[path] = tail_of(node)

    def set_acl(self, path: bytes, key: int) -> None:
        """Set the key of the ACL of a znode that was put."""
        if entry := self.get(path):
            self.put(path, entry.zxid, with_acl(entry.node, key))

    def remove(self, path: bytes) -> None:
        """Note that the znode was deleted."""
        self._places[path] = None
        self._tails.pop(path, None)

    def tail(self, path: bytes) -> bytes | None:
        """The key of the znode's ACL and its stat. None if it was not read again, or was deleted."""
        place = self._places.get(path)
        if place and path not in self._tails:
            self._tails[path] = tail_of(self._read(place))
        return self._tails.get(path)

    def size(self, path: bytes) -> int | None:
        """The size of the encoded znode, None in the same cases."""
        place = self._places.get(path)
        return place.size if place else None

    def get(self, path: bytes) -> OverlayEntry | None:
        """The state of a znode. None if it was not read again, or was deleted.

        Raises:
            SpoolDamaged: the file was truncated or damaged. All methods that read the file raise this.
        """
        place = self._places.get(path)
        return OverlayEntry(place.zxid, self._read(place)) if place else None

    def _read(self, place: _Place) -> bytes:
        self._file.flush()
        node = _pread(self._file.fileno(), place.begin, place.size)
        if crc32(node) != place.checksum:
            raise SpoolDamaged
        return node

    def live(self) -> Iterator[tuple[bytes, OverlayEntry]]:
        """The paths and states of znodes that were not deleted."""
        for path, place in self._places.items():
            if place and (change := self.get(path)):
                yield path, change

    def in_tree_order(self) -> Iterator[tuple[bytes, bytes, OverlayEntry | None]]:
        """All keys, paths and states in tree order. The state of a deleted znode is None."""
        for path in sorted(self._places, key=tree_key):
            yield tree_key(path), path, self.get(path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def merged(spool: Spool, overlay: Overlay) -> Iterator[tuple[bytes, bytes]]:
    """The paths and encoded znodes in tree order, with all changes of the overlay."""
    later = overlay.in_tree_order()
    changed, its_path, change = next(later, _NO_MORE)
    for key, path, node in spool.in_tree_order():
        while changed is not None and changed < key:
            if change:
                yield its_path, change.node
            changed, its_path, change = next(later, _NO_MORE)
        if key != changed:  # else the overlay replaces it
            yield path, node
    while changed is not None:
        if change:
            yield its_path, change.node
        changed, its_path, change = next(later, _NO_MORE)


_NO_MORE: tuple[None, bytes, None] = (None, b"", None)


class PathQueue:
    """Paths on disk, first in, first out: the next level, with up to millions of znodes. No path contains a NUL."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """An empty queue in an empty file, which is opened."""
        self._file = file
        self._path = path
        self._checksum = 0
        self.empty = True

    @classmethod
    def create(cls, path: Path) -> "PathQueue":
        """An empty queue in a new file."""
        return cls(path, _created(path))

    def put(self, paths: Iterable[bytes]) -> None:
        """Add paths at the end."""
        content = b"\0".join([*paths, b""])
        self._file.write(content)
        self._checksum = crc32(content, self._checksum)
        self.empty = self.empty and not content

    def put_below(self, children: Iterable[tuple[bytes, Sequence[bytes]]]) -> None:
        """Add paths, given as the path of each parent and the names of its children."""
        groups = []
        for path, names in children:
            if names:
                above = path + b"/"
                groups.append(above + (b"\0" + above).join(names))  # one join per parent, not one per child
        self.put(groups)

    def drain(self) -> Iterator[bytes]:
        """All paths in the order in which they were put. Then the file is removed.

        Raises:
            SpoolDamaged: the file was truncated or damaged, which shows at the end.
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
        """Remove the file, if it still exists."""
        self._file.close()
        self._path.unlink(missing_ok=True)
