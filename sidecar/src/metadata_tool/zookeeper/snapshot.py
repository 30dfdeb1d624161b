"""Reads and writes ZooKeeper's own snapshot file as a stream.

Layout (FileSnap, SnapStream, SerializeUtils, DataTree, ReferenceCountedACLCache): header, sessions, ACL cache, nodes,
the path `/`, a seal. A seal is the Adler-32 of everything before it as an int64, then the string `/`. Since 3.6 a
digest may follow (ZOOKEEPER-3150), since 3.9 the last processed zxid (ZOOKEEPER-4570), each with its own seal.
Files written here have neither, which every version loads. The path of the root is the empty string.

Files written here are in tree order: depth first, siblings sorted by their bytes. So a reader can verify, with memory
for one path, that every znode has a parent and occurs once.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.jute import INT, LONG, buffer
from metadata_tool.zookeeper.limits import SNAPSHOT_CHUNK, SnapshotLimits
from metadata_tool.zookeeper.stat import AVERSION, CZXID, NO_OWNER, OWNER, Stat, at_end, unpack_stat
from metadata_tool.zookeeper.stat import STORED_SIZE as STAT_SIZE

MAGIC = int.from_bytes(b"ZKSN", "big")
VERSION = 2
OPEN_ACL_KEY = -1
_DEFAULT_LIMITS = SnapshotLimits()

_HEADER = struct.Struct(">iiq")
_NULL = INT.pack(-1)
_END = buffer(b"/")
_TAIL = LONG.size + STAT_SIZE
_CZXID, _AVERSION, _OWNER = (at_end(part, STAT_SIZE) for part in (CZXID, AVERSION, OWNER))
"""Where these are in an encoded znode, which ends with its stat."""
_SEAL_SIZE = LONG.size + len(_END)
_DIGEST_SIZE = LONG.size + INT.size + LONG.size + _SEAL_SIZE
_LAST_ZXID_SIZE = LONG.size + _SEAL_SIZE


class SnapshotError(DecodeError):
    """A snapshot that ZooKeeper would not load, or would load wrongly. The message says where and why."""


class Node(NamedTuple):
    """One znode of a snapshot: its path (the root is empty), data or null, the key of its ACL, 60 bytes of stat."""

    path: bytes
    data: bytes | None
    acl: int
    stat: bytes

    @classmethod
    def decode(cls, encoded: bytes) -> "Node":
        """Decode the bytes of `encode`."""
        (size,) = INT.unpack_from(encoded)
        path, tail = encoded[4 : 4 + size], len(encoded) - _TAIL
        (size,) = INT.unpack_from(encoded, 4 + size)
        data = encoded[tail - size : tail] if size >= 0 else None
        return cls(path, data, LONG.unpack_from(encoded, tail)[0], encoded[tail + LONG.size :])

    def encode(self) -> bytes:
        """The bytes of this znode in a snapshot."""
        path, data, acl, stat = self
        if data is None:
            return b"".join((INT.pack(len(path)), path, _NULL, LONG.pack(acl), stat))
        return b"".join((INT.pack(len(path)), path, INT.pack(len(data)), data, LONG.pack(acl), stat))


def encode_sliced(path: bytes, data: bytes, acl: int, stat: bytes) -> bytes:
    """The same as `Node.encode`, for data that is already a field: its length and its bytes."""
    return INT.pack(len(path)) + path + data + LONG.pack(acl) + stat


def split(content: bytes) -> tuple[list[tuple[bytes, bytes]], int]:
    """The paths and encoded znodes at the start of `content`, up to an incomplete one, and where that one starts."""
    nodes: list[tuple[bytes, bytes]] = []
    keep, unpack = nodes.append, INT.unpack_from
    begin, end = 0, len(content)
    while begin + 8 <= end:
        (size,) = unpack(content, begin)
        data = begin + 4 + size
        if size < 0 or data + 4 > end:
            break
        (size,) = unpack(content, data)
        following = data + 4 + size + _TAIL if size > 0 else data + 4 + _TAIL
        if following > end:
            break
        keep((content[begin + 4 : data], content[begin:following]))
        begin = following
    return nodes, begin


AROUND_DATA = 4 + 4 + _TAIL
"""Bytes of an encoded znode besides its path and its data."""


def tail_of(node: bytes) -> bytes:
    """The end of an encoded znode: the key of its ACL and its stat. `acl_of` and `version_of` accept it, too."""
    return node[-_TAIL:]


def acl_of(node: bytes) -> int:
    """The key of an encoded znode's ACL."""
    return int(LONG.unpack_from(node, len(node) - _TAIL)[0])


def with_acl(node: bytes, acl: int) -> bytes:
    """An encoded znode with another key."""
    return node[:-_TAIL] + LONG.pack(acl) + node[-STAT_SIZE:]


def version_of(node: bytes) -> tuple[bytes, bytes]:
    """The encoded (czxid, aversion) of an encoded znode, which its ACL belongs to."""
    return node[_CZXID], node[_AVERSION]


def is_ephemeral(node: bytes) -> bool:
    """Whether an encoded znode is ephemeral."""
    return node[_OWNER] != NO_OWNER


class Written(NamedTuple):
    """What was written: the number of znodes, the bytes of the file and its SHA-256 in hex."""

    nodes: int
    size: int
    sha256: str


class Readable(Protocol):
    """A file, as far as reading needs it."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, none at the end."""


def tree_key(path: bytes) -> bytes:
    """A key that sorts paths in tree order: a slash comes before every other byte, and no path contains a NUL."""
    return path.replace(b"/", b"\0")


def printable(path: bytes) -> str:
    """A path for messages: the root is `/`, and all is on one line."""
    return escaped(path.decode(errors="backslashreplace") or "/")


def escaped(text: str) -> str:
    """Text of others for a message: on one line, and without what a terminal would obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def inserted(nodes: Iterable[Node], added: Iterable[Node]) -> Iterator[Node]:
    """The znodes with a few `added`, in tree order. An added znode is left out if its path exists."""
    return merged(nodes, sorted(added, key=lambda node: tree_key(node.path)))


def merged(nodes: Iterable[Node], added: Iterable[Node]) -> Iterator[Node]:
    """The same for any number of `added` znodes that are in tree order."""
    others = iter(added)
    waiting = next(others, None)
    waits_for = tree_key(waiting.path) if waiting else b""
    for node in nodes:
        if waiting:
            key = tree_key(node.path)
            while waiting and waits_for <= key:
                if waits_for < key:
                    yield waiting
                waiting = next(others, None)
                waits_for = tree_key(waiting.path) if waiting else b""
        yield node
    if waiting:
        yield waiting
        yield from others


def write(out: BinaryIO, acls: Mapping[int, bytes], nodes: Iterable[bytes]) -> Written:
    """Write a snapshot of encoded znodes, parents first, with no sessions.

    `acls` maps keys to encoded ACLs. The key -1 (world:anyone, all permissions) needs no entry.
    """
    digest = hashlib.sha256()
    adler, size, count = 1, 0, 0
    head = [_HEADER.pack(MAGIC, VERSION, -1), INT.pack(0), INT.pack(len(acls))]
    pending = [*head, *(LONG.pack(key) + acls[key] for key in sorted(acls))]
    pending_size = sum(map(len, pending))

    def flush() -> None:
        nonlocal adler, size, pending_size
        chunk = b"".join(pending)
        pending.clear()
        pending_size = 0
        adler = zlib.adler32(chunk, adler)
        digest.update(chunk)
        out.write(chunk)
        size += len(chunk)

    for node in nodes:
        pending.append(node)
        pending_size += len(node)
        count += 1
        if pending_size >= SNAPSHOT_CHUNK:
            flush()
    pending.append(_END)
    flush()
    pending.append(LONG.pack(adler) + _END)
    flush()
    return Written(count, size, digest.hexdigest())


@dataclass
class Header:
    """Session timeouts in ms by session id, encoded ACLs by key."""

    sessions: dict[int, int]
    acls: dict[int, bytes]


class SnapshotReader:
    """Reads a snapshot as a stream: first `header`, then `nodes()` to the end, which verifies the seals."""

    def __init__(self, stream: Readable, limits: SnapshotLimits = _DEFAULT_LIMITS) -> None:
        """Read the header.

        Raises:
            SnapshotError: this is not a snapshot, or its header is damaged.
        """
        self._limits = limits
        self._source = _Source(stream, limits)
        self.header = self._read_header()
        self.digest_zxid: int | None = None
        self.last_zxid: int | None = None

    def _read_header(self) -> Header:
        source = self._source
        magic, version, _ = _HEADER.unpack(source.take(_HEADER.size))
        if magic != MAGIC:
            raise SnapshotError("it is not a ZooKeeper snapshot, because it does not begin with ZKSN")
        if version != VERSION:
            raise SnapshotError(f"snapshot version {version} is unknown, only {VERSION} is supported")
        sessions = {source.read_long(): source.read_int() for _ in range(source.count(self._limits.header_items))}
        acls: dict[int, bytes] = {}
        begin = source.position
        for _ in range(source.count(self._limits.header_items)):
            key = source.read_long()
            acls[key] = source.acl()
            if source.position - begin > self._limits.acls:
                raise SnapshotError(f"its ACLs take more than {self._limits.acls} bytes")
        return Header(sessions, acls)

    def nodes(self) -> Iterator[Node]:
        """All znodes in the order of the file.

        Raises:
            SnapshotError: the file is truncated or damaged. Do not trust the znodes before that either.
        """
        source = self._source
        while True:
            yield from source.whole_nodes()
            path = source.buffer()
            if path == b"/":
                break
            if path is None:
                raise SnapshotError(f"a znode has no path, near byte {source.position}")
            data = source.buffer()
            tail = source.take(_TAIL)
            yield Node(path, data, LONG.unpack_from(tail)[0], tail[LONG.size :])
        source.seal()
        self._read_trailers()

    def _read_trailers(self) -> None:
        source = self._source
        left = source.remaining(_DIGEST_SIZE + _LAST_ZXID_SIZE)
        if left not in (0, _DIGEST_SIZE, _LAST_ZXID_SIZE, _DIGEST_SIZE + _LAST_ZXID_SIZE):
            raise SnapshotError("there are bytes after the end")
        if left >= _DIGEST_SIZE:
            self.digest_zxid = source.read_long()
            source.take(INT.size + LONG.size)
            source.seal()
        if left in (_LAST_ZXID_SIZE, _DIGEST_SIZE + _LAST_ZXID_SIZE):
            self.last_zxid = source.read_long()
            source.seal()

    @property
    def bare(self) -> bool:
        """Whether the file ended with the first seal. Valid after `nodes()`."""
        return self.digest_zxid is None and self.last_zxid is None


def in_tree_order(nodes: Iterable[Node], acls: Mapping[int, bytes], zxid: int) -> Iterator[Node]:
    """Pass on the znodes of a snapshot while they are valid for a tree at this zxid.

    Raises:
        SnapshotError: a znode has no parent, comes twice or out of order, has an invalid path or ACL, is ephemeral, or
            is newer than the snapshot.
    """
    for node in _as_tree(nodes):
        _, _, acl, stat = node
        if not _fits(stat, zxid):
            raise _misfit(node, zxid)
        if acl != OPEN_ACL_KEY and acl not in acls:
            raise SnapshotError(f"znode {printable(node.path)} refers to the unknown ACL {acl}")
        yield node


def _as_tree(nodes: Iterable[Node]) -> Iterator[Node]:
    """Verify that each znode comes after its parent, with siblings sorted, so in tree order and once."""
    nodes = iter(nodes)
    last = next(nodes, None)
    if last is None:
        raise SnapshotError("it has no znodes, not even the root")
    if last.path:
        raise SnapshotError(f"the first znode is {printable(last.path)}, not the root")
    yield last
    above: list[tuple[bytes | None, bytes]] = []  # the parent and name of each ancestor
    parent: bytes | None = None
    last_path, last_name = b"", b""
    for node in nodes:
        path = node[0]
        cut = path.rfind(b"/")
        name, its_parent = path[cut + 1 :], path[:cut]
        if cut < 0 or name in _NO_NAMES or b"\0" in name or not name.isascii():
            _check_path(path)
        if its_parent == last_path:
            above.append((parent, last_name))
            parent, last_name = last_path, b""
        while parent != its_parent:
            if not above:
                raise _misplaced(path, last_path)
            parent, last_name = above.pop()
        if name <= last_name:
            raise _misplaced(path, last_path)
        last_path, last_name = path, name
        yield node


_NO_NAMES = (b"", b".", b"..")


def _misplaced(path: bytes, last: bytes) -> SnapshotError:
    _check_path(path)
    if tree_key(path) <= tree_key(last):
        return SnapshotError(f"znode {printable(path)} comes twice or out of order")
    return SnapshotError(f"znode {printable(path)} has no parent")


def _check_path(path: bytes) -> None:
    """Refuse an invalid path, as PathUtils.validatePath does."""
    names = path.split(b"/")
    if names[0] or any(name in _NO_NAMES for name in names[1:]) or b"\0" in path:
        raise SnapshotError(f"{printable(path)} is not the path of a znode")
    try:
        path.decode()
    except UnicodeDecodeError:
        raise SnapshotError(f"{printable(path)} is not the path of a znode, because it is not UTF-8") from None


def _fits(stored: bytes, zxid: int) -> bool:
    """Whether a znode is persistent and not newer than the snapshot."""
    czxid, mzxid, _, _, _, _, _, owner, pzxid = unpack_stat(stored)
    return not owner and czxid <= zxid and mzxid <= zxid and pzxid <= zxid


def _misfit(node: Node, zxid: int) -> SnapshotError:
    stat = Stat.unpack(node.stat)
    if stat.ephemeral_owner:
        return SnapshotError(f"znode {printable(node.path)} is ephemeral")
    newest = max(stat.czxid, stat.mzxid, stat.pzxid)
    return SnapshotError(f"znode {printable(node.path)} has zxid {newest:#x}, later than the snapshot's {zxid:#x}")


class _Source:
    """A stream with a buffer (the window), and the Adler-32 of all consumed bytes."""

    def __init__(self, stream: Readable, limits: SnapshotLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._window = b""
        self._offset = 0
        self._discarded = 0
        self._adler = 1

    @property
    def position(self) -> int:
        """The number of bytes consumed."""
        return self._discarded + self._offset

    def whole_nodes(self) -> Iterator[Node]:
        """The complete znodes in the window, up to the end or an unusual one, which `nodes` reads by field."""
        window, start, end, most = self._window, self._offset, len(self._window), self._limits.field
        read_int, read_long, new = INT.unpack_from, LONG.unpack_from, tuple.__new__  # as Node(...), but faster
        while start + 8 <= end:
            (size,) = read_int(window, start)
            begin, data_at = start + 4, start + 8 + size
            if size < 0 or data_at > end:
                break
            path = window[begin : begin + size]
            (size,) = read_int(window, data_at - 4)
            tail = data_at + size if size >= 0 else data_at
            if path == b"/" or not -1 <= size <= most or tail + _TAIL > end:
                break
            start = tail + _TAIL
            data = window[data_at:tail] if size >= 0 else None
            yield new(Node, (path, data, read_long(window, tail)[0], window[tail + 8 : start]))
        self._offset = start

    def take(self, size: int) -> bytes:
        start = self._offset
        end = start + size
        if end > len(self._window):
            self._refill(size)
            start, end = 0, size
        self._offset = end
        return self._window[start:end]

    def buffer(self) -> bytes | None:
        (size,) = INT.unpack(self.take(4))
        if size == -1:
            return None
        if not 0 <= size <= self._limits.field:
            raise SnapshotError(f"a field claims {size} bytes, near byte {self.position}")
        return self.take(size)

    def read_int(self) -> int:
        return int(INT.unpack(self.take(INT.size))[0])

    def read_long(self) -> int:
        return int(LONG.unpack(self.take(LONG.size))[0])

    def count(self, limit: int = 0x7FFF_FFFF) -> int:
        count = self.read_int()
        if not 0 <= count <= limit:
            raise SnapshotError(f"a list claims {count} items, near byte {self.position}")
        return count

    def acl(self) -> bytes:
        begin = self.position
        count = self.count()
        parts = [INT.pack(count)]
        for _ in range(count):
            parts += (self.take(INT.size), buffer(self._text_of_acl()), buffer(self._text_of_acl()))
            if self.position - begin > self._limits.acl:
                raise SnapshotError(f"an ACL takes more than {self._limits.acl} bytes, near byte {self.position}")
        return b"".join(parts)

    def _text_of_acl(self) -> bytes:
        text = self.buffer()
        if text is None:  # its hash, which a server needs, is a NullPointerException
            raise SnapshotError(f"an ACL has no scheme or no id, near byte {self.position}")
        return text

    def seal(self) -> None:
        self._adler = zlib.adler32(self._window[: self._offset], self._adler)
        self._discard()
        expected = self._adler
        if self.read_long() != expected:
            raise SnapshotError(f"the checksum at byte {self.position} does not match")
        if self.buffer() != b"/":
            raise SnapshotError(f"the seal at byte {self.position} is broken")

    def remaining(self, limit: int) -> int:
        """The number of bytes left. If that is above the limit, so is the number returned, but it may be smaller."""
        self._fill(limit + 1)
        return len(self._window) - self._offset

    def _refill(self, size: int) -> None:
        self._fill(size)
        if len(self._window) - self._offset < size:
            raise SnapshotError(f"it ends too early, at byte {self._discarded + len(self._window)}")
        self._adler = zlib.adler32(self._window[: self._offset], self._adler)
        self._discard()

    def _fill(self, size: int) -> None:
        parts = [self._window]
        have = len(self._window) - self._offset
        while have < size:
            chunk = self._stream.read(SNAPSHOT_CHUNK)
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        self._window = b"".join(parts)

    def _discard(self) -> None:
        self._discarded += self._offset
        self._window = self._window[self._offset :]
        self._offset = 0
