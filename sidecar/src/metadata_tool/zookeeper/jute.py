"""ZooKeeper's serialisation, jute, which the wire and the snapshot share.

All is big-endian. A string or buffer is an int32 length and its bytes, and null is -1. A vector is an int32 count and
its items.
Source: zookeeper-jute/src/main/resources/zookeeper.jute.
"""

import struct
from typing import NamedTuple

from metadata_tool.zookeeper.errors import DecodeError

INT = struct.Struct(">i")
LONG = struct.Struct(">q")

READ = 1
ALL_PERMISSIONS = 31

_NOT_UTF8 = "surrogateescape"
"""Java encodes some characters differently (BinaryOutputArchive). They must not change."""


class Acl(NamedTuple):
    """One entry of an ACL."""

    permissions: int
    scheme: str
    id: str


def buffer(value: bytes | None) -> bytes:
    """Encode a string or buffer. Null and empty are different."""
    return INT.pack(-1) if value is None else INT.pack(len(value)) + value


def read_buffer(source: bytes, offset: int) -> tuple[bytes | None, int]:
    """Decode a string or buffer at `offset`. Returns the value and the offset after it.

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
    """Encode an ACL as on the wire and in a snapshot."""
    entries = (INT.pack(perms) + _text(scheme) + _text(name) for perms, scheme, name in acls)
    return INT.pack(len(acls)) + b"".join(entries)


def unpack_acls(source: bytes, offset: int = 0) -> tuple[list[Acl], int]:
    """Decode an ACL at `offset`. Returns its entries and the offset after it.

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
