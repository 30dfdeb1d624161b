"""Opens snapshots as servers write them: plain, or compressed (Java property zookeeper.snapshot.compression.method).

The suffix of the file's name is the format (SnapStream). `.gz` is gzip. `.snappy` is snappy-java's format, not that of
Snappy files (SnappyOutputStream, SnappyCodec): 8 magic bytes, two int32 versions, then blocks. A block is an int32 with
its size, and raw Snappy data without a checksum. So only the snapshot's own seals show that nothing was altered.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cramjam

from metadata_tool.zookeeper.limits import SNAPPY_BLOCK
from metadata_tool.zookeeper.snapshot import Readable, SnapshotError

GZIP, SNAPPY = ".gz", ".snappy"
MAGIC = {GZIP: b"\x1f\x8b", SNAPPY: b"\x82SNAPPY\0"}
"""How a compressed file begins. A server looks at nothing else before it loads one (SnapStream.isValidSnapshot)."""

_HEADER = struct.Struct(">8sii")
_SIZE = struct.Struct(">i")
_COMPATIBLE = 1
"""The oldest version of the format that snappy-java reads, and the only one so far."""


@contextmanager
def opened(path: Path) -> Iterator[Readable]:
    """A snapshot's content, decompressed. Reading it raises SnapshotError if the compressed data is damaged."""
    with path.open("rb") as file:
        if path.suffix == GZIP:
            yield _Gzip(file)
        else:
            yield _Snappy(file) if path.suffix == SNAPPY else file


class _Gzip:
    """The content of a gzip file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise SnapshotError(f"its gzip data is damaged ({error})") from error


class _Snappy:
    """The content of a file that snappy-java wrote."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begun = False
        self._block = b""

    def read(self, size: int, /) -> bytes:
        if not self._begun:
            self._read_header()
        while not self._block:
            head = self._file.read(_SIZE.size)
            if not head:
                return b""
            self._block = self._read_block(head)
        taken, self._block = self._block[:size], self._block[size:]
        return taken

    def _read_header(self) -> None:
        header = self._file.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(MAGIC[SNAPPY]):
            raise SnapshotError("it does not begin as snappy-java's files do")
        _, version, compatible = _HEADER.unpack(header)
        if version < _COMPATIBLE or compatible > _COMPATIBLE:
            raise SnapshotError(f"version {version} of snappy-java's format is unknown")
        self._begun = True

    def _read_block(self, head: bytes) -> bytes:
        size = _SIZE.unpack(head)[0] if len(head) == _SIZE.size else -1
        if not 0 <= size <= SNAPPY_BLOCK:
            raise SnapshotError(f"a snappy block claims {size} bytes")
        compressed = self._file.read(size)
        try:
            if len(compressed) < size or cramjam.snappy.decompress_raw_len(compressed) > SNAPPY_BLOCK:
                raise SnapshotError("a snappy block is incomplete or too large")
            return bytes(cramjam.snappy.decompress_raw(compressed))
        except cramjam.DecompressionError as error:
            raise SnapshotError(f"its snappy data is damaged ({error})") from error
