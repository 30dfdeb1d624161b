"""A znode's stat, as the server sends it to clients (Stat) and as a snapshot stores it (StatPersisted).

Both are big-endian and share their first 52 bytes, but each counts cversion in its own way:

    byte   0      8      16     24     32       36        40        44               52          56           60     68
    wire   czxid  mzxid  ctime  mtime  version  cversion  aversion  ephemeral owner  dataLength  numChildren  pzxid
    stored czxid  mzxid  ctime  mtime  version  cversion  aversion  ephemeral owner  pzxid
    byte   0      8      16     24     32       36        40        44               52     60

Stored, cversion counts creates below the znode. A client gets `2 * stored - numChildren` (DataNode.copyStat).
Source: zookeeper-jute/src/main/resources/zookeeper.jute.
"""

import struct
from typing import NamedTuple

WIRE_SIZE, STORED_SIZE = 68, 60

CZXID = slice(0, 8)
MZXID = slice(8, 16)
CTIME = slice(16, 24)
MTIME = slice(24, 32)
VERSION = slice(32, 36)
CVERSION = slice(36, 40)
AVERSION = slice(40, 44)
OWNER = slice(44, 52)
SHARED = slice(0, 52)
"""What both have first."""
BEFORE_CVERSION, AFTER_CVERSION = slice(0, 36), slice(40, 52)
"""What both have first, without cversion."""
BEFORE_AVERSION, AFTER_AVERSION = slice(0, 40), slice(44, None)
"""All of a stored stat without aversion."""
STORED_PZXID = slice(52, 60)
DATA_LENGTH, CHILDREN, WIRE_PZXID = slice(52, 56), slice(56, 60), slice(60, 68)

NO_OWNER = bytes(8)
"""An OWNER, encoded: the znode is not ephemeral."""
NEVER_SET = bytes(4)
"""An AVERSION, encoded: the znode still has the ACL of its creation."""
NO_CHILDREN = NO_CREATES = bytes(4)
"""CHILDREN or CVERSION, encoded."""

_STORED = struct.Struct(">qqqqiiiqq")
_CVERSION_AND_CHILDREN = struct.Struct(">i16xi")
_INT = struct.Struct(">i")


class Stat(NamedTuple):
    """A stored stat: zxids, times in epoch milliseconds, versions."""

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
        """Decode the 60 bytes of a snapshot."""
        return cls._make(_STORED.unpack(stored))

    def pack(self) -> bytes:
        """The 60 bytes of a snapshot."""
        return _STORED.pack(*self)


unpack_stat = _STORED.unpack
"""The same as a plain tuple, which is faster for millions."""


def data_version(stat: bytes) -> int:
    """How often the data was set, from a stat of either form."""
    return int(_INT.unpack(stat[VERSION])[0])


def as_set(stored: bytes, zxid: int, time: int) -> bytes:
    """The stored stat after a setData at this zxid and time (epoch ms): version is one higher."""
    czxid, _, ctime, _, version, cversion, aversion, owner, pzxid = unpack_stat(stored)
    version = (version + 1) & 0x7FFF_FFFF
    return _STORED.pack(czxid, zxid, ctime, time, version, cversion, aversion, owner, pzxid)


def at_end(part: slice, size: int) -> slice:
    """The same part of a stat of this size that is at the end of some bytes."""
    stop = part.stop - size
    return slice(part.start - size, stop or None)


def stored_stat(wire: bytes) -> bytes:
    """The stored form of a client's stat. cversion comes back exactly, as it is never negative, modulo 2^32."""
    if wire[CHILDREN] == NO_CHILDREN and wire[CVERSION] == NO_CREATES:
        return wire[SHARED] + wire[WIRE_PZXID]
    cversion, children = _CVERSION_AND_CHILDREN.unpack_from(wire, CVERSION.start)
    stored = ((cversion + children) & 0xFFFFFFFF) >> 1
    return b"".join((wire[BEFORE_CVERSION], _INT.pack(stored), wire[AFTER_CVERSION], wire[WIRE_PZXID]))


def without_aversion(stored: bytes) -> bytes:
    """A stored stat without the number that setACL changes, for which there is no event."""
    return stored[BEFORE_AVERSION] + stored[AFTER_AVERSION]


def is_ephemeral(stat: bytes) -> bool:
    """Whether a stat, of either form, is that of an ephemeral znode. Clients get 0 for container and TTL owners."""
    return stat[OWNER] != NO_OWNER
