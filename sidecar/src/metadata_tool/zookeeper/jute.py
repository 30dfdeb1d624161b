"""ZooKeeper's serialisation, jute: what the wire and the snapshot share.

Big-endian; a string or buffer is an int32 length and its bytes, null is -1; a vector is an int32 count and its items.
Source: zookeeper-jute/src/main/resources/zookeeper.jute.
"""

import struct
from typing import NamedTuple

from metadata_tool.zookeeper.errors import DecodeError

INT = struct.Struct(">i")
LONG = struct.Struct(">q")
WIRE_STAT_SIZE = 68
STORED_STAT_SIZE = 60

_STORED = struct.Struct(">qqqqiiiqq")
_WIRE_CHILDREN = struct.Struct(">i16xi")
NONE = bytes(4)
NO_OWNER = bytes(8)

READ = 1
ALL_PERMISSIONS = 31

_NOT_UTF8 = "surrogateescape"
"""Java's own encoding of some characters is not UTF-8 (BinaryOutputArchive); they are to come back as they were."""


class Stat(NamedTuple):
    """StatPersisted: zxids, times in epoch milliseconds, versions. `cversion` counts creates, as stored on disk."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    pzxid: int

    @classmethod
    def unpack(cls, stored: bytes) -> "Stat":
        """Read the 60 bytes of a snapshot."""
        return cls._make(_STORED.unpack(stored))

    def pack(self) -> bytes:
        """The 60 bytes of a snapshot."""
        return _STORED.pack(*self)


unpack_stat = _STORED.unpack
"""The same as a plain tuple, for where there are millions."""


def as_set(stored: bytes, zxid: int, time: int) -> bytes:
    """A stored stat as a set leaves it at this zxid and time (epoch ms): one version more."""
    czxid, _, ctime, _, version, cversion, aversion, owner, pzxid = unpack_stat(stored)
    version = (version + 1) & 0x7FFF_FFFF
    return _STORED.pack(czxid, zxid, ctime, time, version, cversion, aversion, owner, pzxid)


class Acl(NamedTuple):
    """One entry of an ACL."""

    permissions: int
    scheme: str
    id: str


def buffer(value: bytes | None) -> bytes:
    """Encode a string or buffer; null and empty are different."""
    return INT.pack(-1) if value is None else INT.pack(len(value)) + value


def read_buffer(source: bytes, offset: int) -> tuple[bytes | None, int]:
    """Decode a string or buffer at `offset`; the value, and the offset after it.

    Raises:
        DecodeError: it does not fit into the source.
    """
    if offset + 4 > len(source):
        raise DecodeError("a field ends too early")
    (size,) = INT.unpack_from(source, offset)
    offset += 4
    if size < -1 or offset + size > len(source):
        raise DecodeError(f"a field claims {size} bytes")
    return (None, offset) if size == -1 else (source[offset : offset + size], offset + size)


def pack_acls(acls: list[Acl]) -> bytes:
    """Encode an ACL: the same bytes on the wire and in a snapshot's ACL cache."""
    entries = (INT.pack(perms) + _text(scheme) + _text(name) for perms, scheme, name in acls)
    return INT.pack(len(acls)) + b"".join(entries)


def unpack_acls(source: bytes, offset: int = 0) -> tuple[list[Acl], int]:
    """Decode an ACL at `offset`; its entries, and the offset after it.

    Raises:
        DecodeError: it is malformed.
    """
    try:
        (count,) = INT.unpack_from(source, offset)
        offset += 4
        acls = []
        for _ in range(count):
            (permissions,) = INT.unpack_from(source, offset)
            scheme, offset = read_buffer(source, offset + 4)
            name, offset = read_buffer(source, offset)
            acls.append(Acl(permissions, _read_text(scheme), _read_text(name)))
    except struct.error as error:
        raise DecodeError("an ACL ends too early") from error
    return acls, offset


def _text(value: str) -> bytes:
    return buffer(value.encode(errors=_NOT_UTF8))


def _read_text(value: bytes | None) -> str:
    return (value or b"").decode(errors=_NOT_UTF8)


OPEN_ACL = pack_acls([Acl(ALL_PERMISSIONS, "world", "anyone")])


def stored_stat(wire: bytes) -> bytes:
    """The 60 bytes that a snapshot keeps of the 68 that a client gets.

    A client sees cversion as `2 * stored - numChildren` (DataNode.copyStat), modulo 2^32; stored counts creates and
    is never negative, so it comes back exactly.
    """
    if wire[56:60] == NONE == wire[36:40]:
        return wire[:52] + wire[60:]
    cversion, children = _WIRE_CHILDREN.unpack_from(wire, 36)
    stored = ((cversion + children) & 0xFFFFFFFF) >> 1
    return b"".join((wire[:36], INT.pack(stored), wire[40:52], wire[60:]))


def is_ephemeral(wire: bytes) -> bool:
    """Whether a client's Stat is that of an ephemeral znode. Container and TTL owners reach clients as 0."""
    return wire[44:52] != NO_OWNER
