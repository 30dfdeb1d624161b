"""Reads and writes backup files: a gzipped tar of `manifest.json` and `version-2/snapshot.<zxid in hex>`.

If the manifest describes a `broker.json`, that is the third member. Any tar program opens the file, and ZooKeeper
starts from an empty data directory into which it was extracted. The reader accepts these members only, in this order
and as plain files. It uses no path from the file, and a malicious file costs a bounded amount of memory.
docs/format.md describes the format.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from metadata_tool.broker_metadata.broker_file import KINDS, BrokerFile, CheckedLines, Line
from metadata_tool.broker_metadata.records import RecordError
from metadata_tool.errors import ArchiveCorrupt, CaptureUnsound, SpoolFailed
from metadata_tool.manifest import USE_ANOTHER, Manifest
from metadata_tool.zookeeper.snapshot import Node, SnapshotError, SnapshotReader, in_tree_order

MANIFEST = "manifest.json"
GZIP_LEVEL = 1
"""The fastest level. Metadata shrinks to a quarter. Higher levels save a few percent and take several times as long."""

_MANIFEST_LIMIT = 1 << 20
MANIFEST_WITHIN = _MANIFEST_LIMIT + (64 << 10)
"""The manifest is within these first bytes of a file, even if it does not shrink."""
_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_PADDING_LIMIT = 2 * tarfile.RECORDSIZE


class PackedArchive(NamedTuple):
    """What was written: the bytes of the members before compression, and the SHA-256 of the file (32 bytes)."""

    size_non_compressed: int
    sha256: bytes


def pack(
    target: Path, manifest: Manifest, snapshot: Path, heartbeat: Callable[[], None], broker: Path | None = None
) -> PackedArchive:
    """Write the archive of a snapshot file to `target`. `heartbeat` is called at every read and may stop it.

    `broker` is the `broker.json` that `manifest.broker` describes. The same manifest and files give the same archive,
    byte for byte.

    Raises:
        FileExistsError: `target` exists.
        OSError: a file cannot be read or written.
    """
    files = [(manifest.snapshot.name, manifest.snapshot.size, snapshot)]
    if manifest.broker and broker:
        files.append((manifest.broker.name, manifest.broker.size, broker))
    with (
        target.open("xb") as file,
        gzip.GzipFile("", "wb", GZIP_LEVEL, hashing := _HashingWriter(file), mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        text = manifest.encode()
        _add(tar, manifest, MANIFEST, len(text), io.BytesIO(text))
        for name, size, path in files:
            with path.open("rb") as source:
                _add(tar, manifest, name, size, _HeartbeatReader(source, heartbeat))
    return PackedArchive(len(text) + sum(size for _, size, _ in files), hashing.digest.digest())


def _add(
    tar: tarfile.TarFile, manifest: Manifest, name: str, size: int, source: "io.BytesIO | _HeartbeatReader"
) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = manifest.timestamp // 1000
    tar.addfile(member, source)


class _HashingWriter:
    """A file that hashes what is written to it, before a faulty disk can change it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes | memoryview) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


class _HeartbeatReader:
    """A file that calls the heartbeat at every read."""

    def __init__(self, source: BinaryIO, heartbeat: Callable[[], None]) -> None:
        self._source = source
        self._heartbeat = heartbeat

    def read(self, size: int = -1) -> bytes:
        self._heartbeat()
        return self._source.read(size)


class Tree(NamedTuple):
    """The encoded ACLs by key, and the znodes in tree order, which can be read once."""

    acls: Mapping[int, bytes]
    nodes: Iterator[Node]


class Archive:
    """An open archive. The manifest is available at once.

    After that, the tree or the `broker.json` can be read once, from beginning to end.
    """

    def __init__(self, file: BinaryIO, heartbeat: Callable[[], None] = lambda: None) -> None:
        """Read the manifest. The heartbeat is called at every read, here and later.

        Raises:
            ArchiveCorrupt: the file is damaged, or not a backup file.
            ArchiveUnsupported: the file has a later format.
            SpoolFailed: the file cannot be read.
        """
        self._stream = _GzipStream(file, heartbeat)
        self.manifest_text = self._member(MANIFEST, _MANIFEST_LIMIT).read_all()
        """The bytes of manifest.json."""
        self.manifest = Manifest.decode(self.manifest_text)

    def tree(self, *, verified: bool = False, on_line: Callable[[Line], None] | None = None) -> "Tree":
        """The ACLs and the znodes. The archive is verified completely once the last znode was read.

        `on_line` gets each line of `broker.json` then. With `verified=True`, a caller who has verified the file before
        skips the checks of the tree and of `broker.json`, and the lines. The checksums are still verified.

        Raises:
            ArchiveCorrupt: the archive is damaged. This may be raised at any znode, and the znodes before it may be
                damaged too.
            SpoolFailed: the file cannot be read.
        """
        snapshot = self._snapshot()
        try:
            reader = SnapshotReader(snapshot)
        except SnapshotError as error:
            raise _unsound(error) from error
        nodes = reader.nodes()
        if not verified:
            nodes = in_tree_order(nodes, reader.header.acls, self.manifest.zxid)
        return Tree(reader.header.acls, self._nodes(snapshot, reader, nodes, verified=verified, on_line=on_line))

    def broker(self) -> Iterator[Line]:
        """The lines of `broker.json`, none if there is no such member. The tree is not checked, only its checksums.

        Raises:
            ArchiveCorrupt: the archive is damaged. This may be raised at any line, and at the end.
            SpoolFailed: the file cannot be read.
        """
        snapshot = self._snapshot()
        snapshot.skip()
        self._require_sum(snapshot, self.manifest.snapshot.sha256, "snapshot")
        if self.manifest.broker:
            yield from self._broker_lines(self.manifest.broker)
        self._require_end()

    def _broker_lines(self, described: BrokerFile) -> Iterator[Line]:
        member = self._broker_member(described)
        found = CheckedLines(io.BufferedReader(_RawMember(member), _CHUNK))
        try:
            yield from found
        except RecordError as error:
            raise _damaged(f"its {described.name} is invalid, {error}") from error
        self._require_sum(member, described.sha256, described.name)
        for kind in KINDS:
            saved, not_saved = described.saved.get(kind, 0), described.not_saved.get(kind, 0)
            if found.saved[kind] != saved or found.not_saved[kind] > not_saved:
                raise _damaged(f"the counts of {kind} in its {described.name} differ from its manifest")

    def _skip_broker(self, described: BrokerFile) -> None:
        member = self._broker_member(described)
        member.skip()
        self._require_sum(member, described.sha256, described.name)

    def _broker_member(self, described: BrokerFile) -> "_Member":
        member = self._member(described.name, described.size)
        if member.size != described.size:
            raise _damaged(f"the size of its {described.name} differs from its manifest")
        return member

    def _nodes(
        self,
        snapshot: "_Member",
        reader: SnapshotReader,
        nodes: Iterator[Node],
        *,
        verified: bool,
        on_line: Callable[[Line], None] | None,
    ) -> Iterator[Node]:
        count = 0
        try:
            if reader.header.sessions:
                raise SnapshotError("it has sessions, which a backup never has")
            for count, node in enumerate(nodes, 1):  # noqa: B007  # used after the loop
                yield node
            if not reader.bare:
                raise SnapshotError("it has data after its first seal")
        except SnapshotError as error:
            raise _unsound(error) from error
        if count != self.manifest.nodes:
            raise _damaged(f"it has {count} znodes instead of the {self.manifest.nodes} in its manifest")
        self._require_sum(snapshot, self.manifest.snapshot.sha256, "snapshot")
        if self.manifest.broker and verified:
            self._skip_broker(self.manifest.broker)
        elif self.manifest.broker:
            lines = self._broker_lines(self.manifest.broker)
            deque(map(on_line, lines) if on_line else lines, 0)
        self._require_end()

    def _snapshot(self) -> "_Member":
        snapshot = self._member(self.manifest.snapshot.name, self.manifest.snapshot.size)
        if snapshot.size != self.manifest.snapshot.size:
            raise _damaged("the size of its snapshot differs from its manifest")
        return snapshot

    def _member(self, name: str, limit: int) -> "_Member":
        try:
            header = tarfile.TarInfo.frombuf(self._stream.read_exactly(_BLOCK), "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise _damaged(f"it has no tar header for {name}") from error
        if header.name != name or header.type != tarfile.REGTYPE:
            raise _damaged(f"it has {header.name!a} instead of {name}")
        if not 0 <= header.size <= limit:
            raise _damaged(f"its tar header claims {header.size} bytes for {name}")
        return _Member(self._stream, name, header.size)

    def _require_sum(self, member: "_Member", expected: str, what: str) -> None:
        if member.sha256() != expected:
            raise _damaged(f"the SHA-256 of its {what} differs from its manifest")

    def _require_end(self) -> None:
        padding = self._stream.read(_PADDING_LIMIT + 1)
        if len(padding) > _PADDING_LIMIT or padding.strip(b"\0"):
            raise _damaged("it has data after its last member")


def beginning(manifest: bytes) -> bytes:
    """The beginning of an archive: a manifest.json of this text, and no other member."""
    content = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", GZIP_LEVEL, content, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        member = tarfile.TarInfo(MANIFEST)
        member.size = len(manifest)
        tar.addfile(member, io.BytesIO(manifest))
    return content.getvalue()


def verify(path: Path, heartbeat: Callable[[], None], each: Callable[[Node], None] = lambda _: None) -> Manifest:
    """Verify a complete archive, and return its manifest.

    `each` is called with every znode, in tree order. If an error is raised, these znodes may be damaged.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported, SpoolFailed: as `Archive` does.
    """
    with opened(path, heartbeat) as backup:
        for node in backup.tree().nodes:
            each(node)
        return backup.manifest


def extract_broker(path: Path, target: Path, heartbeat: Callable[[], None]) -> bool:
    """Write the `broker.json` of an archive to the new file `target`. False if it has none. It is verified meanwhile.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported, SpoolFailed: as `Archive` does.
        OSError: `target` cannot be written.
    """
    with opened(path, heartbeat) as backup:
        if not backup.manifest.broker:
            return False
        with target.open("xb") as file:
            for line, _ in backup.broker():
                file.write(line)
    return True


def verify_new(path: Path, what: str, heartbeat: Callable[[], None]) -> None:
    """Verify a file that was just made, as a restore does. `what` is the subject of the error.

    Raises:
        CaptureUnsound: it does not pass verification.
    """
    try:
        verify(path, heartbeat)
    except ArchiveCorrupt as error:
        raise CaptureUnsound(
            f"{what} does not pass verification, {error.message}",
            "Check the disk of SPOOL_DIR. If the disk works, report this bug. Nothing was uploaded",
        ) from error


@contextmanager
def opened(path: Path, heartbeat: Callable[[], None] = lambda: None) -> Iterator[Archive]:
    """Open an archive. Raises the errors of `Archive`, and OSError if the file cannot be opened."""
    with path.open("rb") as file:
        yield Archive(file, heartbeat)


class _GzipStream:
    """The decompressed bytes of a gzip file. Raises ArchiveCorrupt if the file is damaged."""

    def __init__(self, file: BinaryIO, heartbeat: Callable[[], None]) -> None:
        self._heartbeat = heartbeat
        self._file = gzip.GzipFile(fileobj=file, mode="rb")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes. Fewer only at the end of the file, after its CRC was verified."""
        parts = []
        self._heartbeat()
        try:
            while size and (chunk := self._file.read(min(size, _CHUNK))):
                parts.append(chunk)
                size -= len(chunk)
        except EOFError as error:
            raise _damaged("it ends too early") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _damaged("it is not a gzip file, or some of its bytes changed") from error
        except OSError as error:
            raise SpoolFailed(
                f"the fetched backup cannot be read: {error.strerror or error}", "Check the disk of SPOOL_DIR"
            ) from error
        return b"".join(parts)

    def read_exactly(self, size: int) -> bytes:
        content = self.read(size)
        if len(content) < size:
            raise _damaged("it ends too early")
        return content


class _Member:
    """The bytes of one tar member, hashed as they are read."""

    def __init__(self, stream: _GzipStream, name: str, size: int) -> None:
        self.size = size
        self._stream = stream
        self._name = name
        self._remaining = size
        self._digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        size = min(size, self._remaining)
        if not size:
            return b""
        chunk = self._stream.read_exactly(size)
        self._digest.update(chunk)
        self._remaining -= size
        if not self._remaining and self._stream.read_exactly(-self.size % _BLOCK).strip(b"\0"):
            raise _damaged(f"the padding after {self._name} is not zero")
        return chunk

    def read_all(self) -> bytes:
        return self.read(self.size)

    def skip(self) -> None:
        while self.read(_CHUNK):
            pass

    def sha256(self) -> str:
        """The SHA-256 in hex. All of the member must have been read."""
        if self._remaining:
            raise _damaged(f"{self._name} has data after its end")
        return self._digest.hexdigest()


class _RawMember(io.RawIOBase):
    """A tar member as a file."""

    def __init__(self, member: _Member) -> None:
        super().__init__()
        self._member = member

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        chunk = self._member.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _unsound(error: SnapshotError) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"the backup's snapshot is damaged, {error}", USE_ANOTHER)


def _damaged(what: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"the backup file is damaged, {what}", USE_ANOTHER)
