"""The backup file: a gzipped tar of `manifest.json` and, after it, `version-2/snapshot.<hex zxid>`.

Any tar opens it, and `tar xzf` into an empty data directory starts a ZooKeeper. Reading is strict: exactly these two
members, as they are written here, so nothing that a file claims can lead elsewhere or cost more than a bounded amount.
docs/format.md describes it.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from metadata_tool.errors import ArchiveCorrupt, SpoolFailed
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.zookeeper.snapshot import Node, SnapshotError, SnapshotReader, in_tree_order

MANIFEST = "manifest.json"
GZIP_LEVEL = 1
"""zlib's fastest: metadata shrinks to a quarter, higher levels save a few percent for several times the time."""

_MANIFEST_LIMIT = 1 << 20
_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_PADDING_LIMIT = 2 * tarfile.RECORDSIZE


class Packed(NamedTuple):
    """What was written: the bytes it holds before compression, and the SHA-256 of the file."""

    size_non_compressed: int
    sha256: bytes


def pack(target: Path, manifest: Manifest, snapshot: Path, heartbeat: Callable[[], None]) -> Packed:
    """Write the archive of a snapshot file.

    The same manifest and snapshot give the same archive, byte for byte.
    """
    with (
        target.open("xb") as file,
        gzip.GzipFile("", "wb", GZIP_LEVEL, hashed := _Hashed(file), mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        snapshot.open("rb") as source,
    ):
        text = manifest.encode()
        _add(tar, manifest, MANIFEST, len(text), io.BytesIO(text))
        _add(tar, manifest, manifest.snapshot.name, manifest.snapshot.size, _Stepping(source, heartbeat))
    return Packed(len(text) + manifest.snapshot.size, hashed.digest.digest())


def _add(tar: tarfile.TarFile, manifest: Manifest, name: str, size: int, source: "io.BytesIO | _Stepping") -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = manifest.timestamp // 1000
    tar.addfile(member, source)


class _Hashed:
    """A file that hashes what is written to it, before a disk can alter it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes | memoryview) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


class _Stepping:
    """A file that calls a checkpoint at every read."""

    def __init__(self, source: BinaryIO, heartbeat: Callable[[], None]) -> None:
        self._source = source
        self._heartbeat = heartbeat

    def read(self, size: int = -1) -> bytes:
        self._heartbeat()
        return self._source.read(size)


class Tree(NamedTuple):
    """Encoded ACLs by key; znodes in tree order, once."""

    acls: Mapping[int, bytes]
    nodes: Iterator[Node]


class Archive:
    """An open archive: its manifest at once, its tree once, from beginning to end."""

    def __init__(self, file: BinaryIO, heartbeat: Callable[[], None] = lambda: None) -> None:
        """Read the manifest. The checkpoint is called now and then, here and whenever something is read.

        Raises:
            ArchiveCorrupt: the file is damaged or none of ours.
            ArchiveUnsupported: it is of a later format.
        """
        self._stream = _GzipStream(file, heartbeat)
        text = self._member(MANIFEST, _MANIFEST_LIMIT)
        self.manifest = Manifest.decode(text.read_all())

    def tree(self, *, verified: bool = False) -> "Tree":
        """ACLs and znodes. When the last znode has come, everything that can be checked has been.

        With `verified` that was done before: only the bytes are checked, not again what they mean.

        Raises:
            ArchiveCorrupt: anything at all is wrong with it, which may show at any znode. What came before is not to be
                trusted either.
        """
        snapshot = self._snapshot()
        try:
            reader = SnapshotReader(snapshot)
        except SnapshotError as error:
            raise _unsound(error) from error
        nodes = reader.nodes()
        if not verified:
            nodes = in_tree_order(nodes, reader.header.acls, self.manifest.zxid)
        return Tree(reader.header.acls, self._nodes(snapshot, reader, nodes))

    def _nodes(self, snapshot: "_Member", reader: SnapshotReader, nodes: Iterator[Node]) -> Iterator[Node]:
        count = 0
        try:
            if reader.header.sessions:
                raise SnapshotError("it holds sessions, and a backup holds none")
            for count, node in enumerate(nodes, 1):  # noqa: B007  # it is wanted afterwards
                yield node
            if not reader.bare:
                raise SnapshotError("something follows its first seal")
        except SnapshotError as error:
            raise _unsound(error) from error
        if count != self.manifest.nodes:
            raise _damaged(f"it holds {count} znodes, its manifest says {self.manifest.nodes}")
        self._finish(snapshot)

    def _snapshot(self) -> "_Member":
        snapshot = self._member(self.manifest.snapshot.name, self.manifest.snapshot.size)
        if snapshot.size != self.manifest.snapshot.size:
            raise _damaged("its snapshot is not as long as its manifest says")
        return snapshot

    def _member(self, name: str, limit: int) -> "_Member":
        try:
            header = tarfile.TarInfo.frombuf(self._stream.read_exactly(_BLOCK), "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise _damaged(f"where {name} should be there is no tar header") from error
        if header.name != name or header.type != tarfile.REGTYPE:
            raise _damaged(f"where {name} should be there is {header.name!a}")
        if not 0 <= header.size <= limit:
            raise _damaged(f"{name} claims {header.size} bytes")
        return _Member(self._stream, name, header.size)

    def _finish(self, snapshot: "_Member") -> None:
        if snapshot.sha256() != self.manifest.snapshot.sha256:
            raise _damaged("its snapshot's SHA-256 is not the one in its manifest")
        padding = self._stream.read(_PADDING_LIMIT + 1)
        if len(padding) > _PADDING_LIMIT or padding.strip(b"\0"):
            raise _damaged("something follows its last member")


def verify(path: Path, heartbeat: Callable[[], None], each: Callable[[Node], None] = lambda _: None) -> Manifest:
    """Read an archive whole and check everything that can be checked; its manifest. Raises as `Archive` does.

    `each` is called with every znode; what it has seen counts only if nothing is raised.
    """
    with opened(path, heartbeat) as backup:
        for node in backup.tree().nodes:
            each(node)
        return backup.manifest


@contextmanager
def opened(path: Path, heartbeat: Callable[[], None] = lambda: None) -> Iterator[Archive]:
    """Open an archive. Raises as `Archive` does."""
    with path.open("rb") as file:
        yield Archive(file, heartbeat)


class _GzipStream:
    """The bytes in a gzip file; whatever is wrong with the file is an ArchiveCorrupt."""

    def __init__(self, file: BinaryIO, heartbeat: Callable[[], None]) -> None:
        self._heartbeat = heartbeat
        self._file = gzip.GzipFile(fileobj=file, mode="rb")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end, where the file's CRC has then been checked."""
        parts = []
        self._heartbeat()
        try:
            while size and (chunk := self._file.read(min(size, _CHUNK))):
                parts.append(chunk)
                size -= len(chunk)
        except EOFError as error:
            raise _damaged("it was cut off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _damaged("it is no gzip file, or its bytes were changed") from error
        except OSError as error:
            raise SpoolFailed(
                f"the fetched backup cannot be read: {error.strerror or error}", "Check SPOOL_DIR"
            ) from error
        return b"".join(parts)

    def read_exactly(self, size: int) -> bytes:
        found = self.read(size)
        if len(found) < size:
            raise _damaged("it was cut off")
        return found


class _Member:
    """The bytes of one tar member, hashed as they are read."""

    def __init__(self, stream: _GzipStream, name: str, size: int) -> None:
        self.size = size
        self._stream = stream
        self._name = name
        self._left = size
        self._digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        size = min(size, self._left)
        if not size:
            return b""
        chunk = self._stream.read_exactly(size)
        self._digest.update(chunk)
        self._left -= size
        if not self._left and self._stream.read_exactly(-self.size % _BLOCK).strip(b"\0"):
            raise _damaged(f"the padding of {self._name} is not empty")
        return chunk

    def read_all(self) -> bytes:
        return self.read(self.size)

    def sha256(self) -> str:
        """In hex, of the whole member, which has been read."""
        if self._left:
            raise _damaged(f"{self._name} is longer than what it holds")
        return self._digest.hexdigest()


def _unsound(error: SnapshotError) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"the backup's snapshot is damaged, {error}", USE_ANOTHER)


def _damaged(what: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"the backup file is damaged, {what}", USE_ANOTHER)
