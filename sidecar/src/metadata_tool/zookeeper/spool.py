"""The captured tree on local disk, append-only: one run of znodes a level, each run in tree order.

Merging the runs gives the tree in tree order with the memory of one buffer a level, however large the tree is.
"""

import heapq
import os
from collections.abc import Iterator
from pathlib import Path

from metadata_tool.zookeeper.jute import INT
from metadata_tool.zookeeper.snapshot import tree_key

_BUFFER = 1 << 16


class Spool:
    """Encoded znodes, written level by level."""

    def __init__(self, path: Path) -> None:
        """Begin an empty spool; `path` is a file that does not exist yet."""
        self._file = path.open("xb+", buffering=1 << 20)
        self._starts: list[int] = []
        self._size = 0
        self.nodes = 0

    def begin_level(self) -> None:
        """What is appended from here on belongs to the next level of the tree."""
        self._starts.append(self._size)

    def append(self, node: bytes) -> None:
        """Add an encoded znode; within a level they come in tree order."""
        self._file.write(INT.pack(len(node)))
        self._file.write(node)
        self._size += 4 + len(node)
        self.nodes += 1

    def in_tree_order(self) -> Iterator[bytes]:
        """All znodes, depth first and siblings sorted."""
        self._file.flush()
        bounds = zip(self._starts, [*self._starts[1:], self._size], strict=True)
        runs = [self._run(start, end) for start, end in bounds if end > start]
        for _, node in heapq.merge(*runs):
            yield node

    def _run(self, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        descriptor = self._file.fileno()
        window, at = b"", 0
        while start < end or at < len(window):
            while len(window) - at < 4 or len(window) - at - 4 < INT.unpack_from(window, at)[0]:
                chunk = os.pread(descriptor, min(_BUFFER, end - start), start)
                if not chunk:
                    raise OSError("the spool file was cut while it was in use")
                start += len(chunk)
                window, at = window[at:] + chunk, 0
            size = INT.unpack_from(window, at)[0]
            node = window[at + 4 : at + 4 + size]
            at += 4 + size
            path_size = INT.unpack_from(node)[0]
            yield tree_key(node[4 : 4 + path_size]), node

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class PathQueue:
    """Paths on disk, first in, first out: the znodes of the next level, which may be millions."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb+", buffering=1 << 20)
        self._path = path
        self.size = 0

    def put(self, path: bytes) -> None:
        """Add a path at the end."""
        self._file.write(INT.pack(len(path)))
        self._file.write(path)
        self.size += 1

    def drain(self) -> Iterator[bytes]:
        """All paths in the order they were put; the file is gone afterwards."""
        self._file.seek(0)
        try:
            for _ in range(self.size):
                yield self._file.read(INT.unpack(self._file.read(4))[0])
        finally:
            self.close()

    def close(self) -> None:
        """Remove the file; no matter if that was done before."""
        self._file.close()
        self._path.unlink(missing_ok=True)
