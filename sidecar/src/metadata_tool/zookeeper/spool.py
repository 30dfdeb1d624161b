"""The captured tree on local disk, append-only: what a walk read, level by level, and what was read again after it.

Merging the levels gives the tree in tree order with the memory of one buffer a level, however large the tree is.
"""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from metadata_tool.zookeeper.snapshot import split, tree_key

_BUFFER = 1 << 16
_WRITE_BUFFER = 1 << 20


class Spool:
    """Encoded znodes: each level of the tree in tree order, in batches that were read at one zxid each."""

    def __init__(self, path: Path) -> None:
        """Begin an empty spool; `path` is a file that does not exist yet."""
        self._path = path
        self._file = path.open("xb+", buffering=_WRITE_BUFFER)
        self._levels: list[int] = []
        self._batches: list[tuple[int, int]] = []
        self._size = 0
        self.nodes = 0

    def begin_level(self) -> None:
        """What is appended from here on belongs to the next level of the tree."""
        self._levels.append(self._size)

    def append(self, zxid: int, nodes: Sequence[bytes]) -> None:
        """Add encoded znodes that were read at this zxid; within a level they come in tree order."""
        self._batches.append((self._size, zxid))
        content = b"".join(nodes)
        self._file.write(content)
        self._size += len(content)
        self.nodes += len(nodes)

    def batches(self) -> Iterator[tuple[int, Iterator[tuple[bytes, bytes]]]]:
        """The zxid of each batch, and its znodes, each with its path."""
        self._file.flush()
        for (start, zxid), (end, _) in pairwise([*self._batches, (self._size, 0)]):
            yield zxid, self._run(start, end)

    def in_tree_order(self) -> Iterator[tuple[bytes, bytes]]:
        """All znodes, depth first and siblings sorted, each with its key."""
        self._file.flush()
        bounds = pairwise([*self._levels, self._size])
        return heapq.merge(*(_keyed(self._run(start, end)) for start, end in bounds if end > start))

    def level(self, depth: int) -> Iterator[tuple[bytes, bytes]]:
        """The znodes of one level in tree order, each with its path; the root's is 0."""
        self._file.flush()
        bounds = [*self._levels, self._size]
        return self._run(*bounds[depth : depth + 2]) if depth + 1 < len(bounds) else iter(())

    def kept(self, path: Path) -> "Spool":
        """Its levels, to be read when this one is closed; its file is moved to here, on the same disk."""
        self._file.flush()
        self._path.replace(path)
        kept = copy(self)
        kept._file = path.open("rb+")  # noqa: SLF001  # another one of ours
        kept._batches = []  # noqa: SLF001  # of no use any more, and many
        return kept

    def _run(self, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        descriptor = self._file.fileno()
        window = b""
        while start < end:
            size = max(_BUFFER, len(window))  # twice as much each time, until a large znode is whole
            chunk = os.pread(descriptor, min(size, end - start), start)
            if not chunk:
                raise OSError("the spool file was cut while it was in use")
            start += len(chunk)
            window += chunk
            nodes, rest = split(window)
            yield from nodes
            window = window[rest:]
        if window:
            raise OSError("the spool file was damaged while it was in use")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _keyed(nodes: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    return ((tree_key(path), node) for path, node in nodes)


class Change(NamedTuple):
    """An encoded znode, and the zxid at which it was read."""

    zxid: int
    node: bytes


class _Place(NamedTuple):
    begin: int
    size: int
    zxid: int


class Changes:
    """What was read again: the latest of each znode, or that it has gone. Paths and zxids are in memory, no more."""

    def __init__(self, path: Path) -> None:
        """Begin with nothing; `path` is a file that does not exist yet."""
        self._file = path.open("xb+", buffering=_WRITE_BUFFER)
        self._places: dict[bytes, _Place | None] = {}
        self._size = 0

    def __contains__(self, path: bytes) -> bool:
        return path in self._places

    def put(self, path: bytes, change: Change) -> None:
        """This is how a znode is now."""
        self._file.write(change.node)
        self._places[path] = _Place(self._size, len(change.node), change.zxid)
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

    def get(self, path: bytes) -> Change | None:
        """How a znode was when it was read again; None if it was not, or has gone."""
        place = self._places.get(path)
        if place is None:
            return None
        self._file.flush()
        node = os.pread(self._file.fileno(), place.size, place.begin)
        if len(node) != place.size:
            raise OSError("the spool file was cut while it was in use")
        return Change(place.zxid, node)

    def live(self) -> Iterator[tuple[bytes, Change]]:
        """Those that have not gone, with their paths."""
        for path, place in self._places.items():
            if place and (change := self.get(path)):
                yield path, change

    def in_tree_order(self) -> Iterator[tuple[bytes, Change | None]]:
        """All of them, depth first and siblings sorted, each with its key; None for what has gone."""
        for path in sorted(self._places, key=tree_key):
            yield tree_key(path), self.get(path)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def merged(spool: Spool, changes: Changes) -> Iterator[bytes]:
    """The tree in tree order, as it is with all changes."""
    later = changes.in_tree_order()
    changed, change = next(later, _NO_MORE)
    for key, node in spool.in_tree_order():
        while changed is not None and changed < key:
            if change:
                yield change.node
            changed, change = next(later, _NO_MORE)
        if key != changed:  # else what comes next is newer
            yield node
    while changed is not None:
        if change:
            yield change.node
        changed, change = next(later, _NO_MORE)


_NO_MORE: tuple[None, None] = (None, None)


class PathQueue:
    """Paths on disk, first in, first out: the znodes of the next level, which may be millions. No path holds a NUL."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb+", buffering=_WRITE_BUFFER)
        self._path = path
        self.empty = True

    def put(self, paths: Iterable[bytes]) -> None:
        """Add paths at the end."""
        content = b"\0".join([*paths, b""])
        self._file.write(content)
        self.empty = self.empty and not content

    def drain(self) -> Iterator[bytes]:
        """All paths in the order they were put; the file is gone afterwards."""
        self._file.seek(0)
        rest = b""
        try:
            while chunk := self._file.read(_BUFFER):
                *paths, rest = (rest + chunk).split(b"\0")
                yield from paths
        finally:
            self.close()

    def close(self) -> None:
        """Remove the file; no matter if that was done before."""
        self._file.close()
        self._path.unlink(missing_ok=True)
