"""ZooKeeper's client protocol, as far as a capture speaks it: requests out, replies sliced rather than parsed.

A snapshot keeps the same bytes as the wire, so slices are all that is needed. Sources: zookeeper.jute, ZooDefs.OpCode,
MultiOperationRecord, MultiResponse, KeeperException.Code.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.jute import INT, buffer, read_buffer
from metadata_tool.zookeeper.stat import SIZES, at_end
from metadata_tool.zookeeper.stat import WIRE_SIZE as STAT_SIZE

GET_DATA, GET_ACL, GET_CHILDREN, SYNC, PING, MULTI_READ = 4, 6, 8, 9, 11, 22
COUNT_BELOW, ADD_WATCH, CLOSE = 104, 106, -11
"""COUNT_BELOW is getAllChildrenNumber."""

NO_NODE, NO_AUTH, UNIMPLEMENTED, MARSHALLING, THROTTLED = -101, -102, -6, -5, -127

CREATED, DELETED, CHANGED = 1, 2, 3
"""Types of events (Watcher.Event.EventType)."""

_PERSISTENT_RECURSIVE = 1
_OP = struct.Struct(">i?i")
_GET_DATA, _GET_CHILDREN = _OP.pack(GET_DATA, False, -1), _OP.pack(GET_CHILDREN, False, -1)
_LAST_OP = _OP.pack(-1, True, -1)
_NO_WATCH = b"\0"
_ROOT = buffer(b"/")
ITEM = struct.Struct(">i5xi")
"""Of one result: its type, and then the length of its data, its number of names, or its error."""
ITEM_SIZE = 9
"""Before its length, number or error, which belongs to what follows."""
REFUSED = -1
_EVENT = struct.Struct(">ii")
OP_BYTES = 14
"""Of a read in a multi-read, besides its path."""


class Refusal(NamedTuple):
    """ZooKeeper's error code for one read, such as -101 (no such znode)."""

    code: int


class DataReply(NamedTuple):
    """getData: data as a field (its length and its bytes), and the client's 68 bytes of stat."""

    data: bytes
    stat: bytes


Reply = DataReply | list[bytes] | Refusal


def on_wire(path: bytes) -> bytes:
    """A snapshot's path as the protocol has it: the root is `/`, not empty."""
    return on_wire_each([path])[0]


def on_wire_each(paths: Iterable[bytes]) -> list[bytes]:
    """The same of many, of which there may be millions."""
    pack = INT.pack
    return [pack(len(path)) + path if path else _ROOT for path in paths]


def multi_read(data: Sequence[bytes], lists: Sequence[bytes] = ()) -> bytes:
    """A request for the data of some znodes and the children of some, paths as on the wire, all at one instant."""
    return _reader(_GET_DATA, data) + _reader(_GET_CHILDREN, lists) + _LAST_OP


def _reader(op: bytes, paths: Sequence[bytes]) -> bytes:
    return op + (_NO_WATCH + op).join(paths) + _NO_WATCH if paths else b""


def read_replies(body: bytes, at: int = 0) -> list[Reply]:
    """The answers to the reads of a multi-read, from this byte of its reply on.

    Raises:
        DecodeError: the reply is malformed.
    """
    try:
        return _read_replies(body, at)
    except struct.error as error:  # once for a reply: a million reads go through the loop
        raise DecodeError("the reply to a multi-read ends too early") from error


def _read_replies(body: bytes, at: int) -> list[Reply]:
    replies: list[Reply] = []
    keep, item, new = replies.append, ITEM.unpack_from, tuple.__new__  # which is what DataReply(...) does
    end = len(body) - _OP.size
    while at < end:
        kind, size = item(body, at)
        at += ITEM_SIZE
        if kind == GET_DATA:
            stat = at + 4 + size if size > 0 else at + 4
            keep(new(DataReply, (body[at:stat], body[stat : stat + STAT_SIZE])))
            at = stat + STAT_SIZE
        elif kind == GET_CHILDREN:
            names, at = _names(body, at)
            keep(names)
        elif kind == REFUSED:
            keep(Refusal(size))
            at += 4
        else:
            raise DecodeError(f"the reply to a multi-read has the unknown type {kind}")
    if at != end:
        raise DecodeError("the reply to a multi-read ends too early")
    return replies


def _names(body: bytes, at: int) -> tuple[list[bytes], int]:
    unpack = _UNSIGNED.unpack_from  # what read_buffer does, without a call for each of a million names
    (count,) = unpack(body, at)
    end = at + 4
    names: list[bytes] = []
    keep = names.append
    for _ in range(count):
        (size,) = unpack(body, end)
        begin = end + 4
        end = begin + size
        keep(body[begin:end])
    if b"" in names:
        raise DecodeError("a child has no name")
    return names, end  # beyond the end, if the last was cut off: who reads what follows finds out


_UNSIGNED = struct.Struct(">I")
"""A length, of which none is below 0: as a huge one it leads beyond the end."""


AclReply = bytes | Refusal
"""getACL: the encoded ACL, as a snapshot's cache keeps it, and after it the 68 bytes of stat that it belongs to."""


def acl_replies(answers: Iterable[tuple[int, int, bytes]]) -> list[AclReply]:
    """What several getACL were answered, each with a zxid, an error (0: none) and a body.

    Raises:
        DecodeError: one ends too early.
    """
    replies = [Refusal(error) if error else body for _, error, body in answers]
    if any(len(reply) < INT.size + STAT_SIZE for reply in replies if type(reply) is bytes):
        raise DecodeError("an ACL ends too early")
    return replies


def sizes(acls: Sequence[AclReply]) -> tuple[Sequence[int], Sequence[int]]:
    """Bytes of data and numbers of children, as the stats of getACL's answers have them; 0 where it was refused."""
    pairs = [acl[_SIZES] if type(acl) is bytes else _NO_SIZES for acl in acls]
    numbers = struct.unpack(f">{2 * len(pairs)}I", b"".join(pairs))  # a number below 0 is none to subtract
    return numbers[::2], numbers[1::2]


_SIZES, _NO_SIZES = at_end(SIZES, STAT_SIZE), bytes(8)
"""Where an answer, which ends with a stat, has its two numbers."""


def watch_everything() -> bytes:
    """A request for events of every znode, now and later: addWatch on `/`, persistent and recursive."""
    return on_wire(b"") + INT.pack(_PERSISTENT_RECURSIVE)


def event(body: bytes) -> tuple[int, bytes]:
    """Type and path of an event; the root's is empty. Types below 0 are of the session (WatcherEvent).

    Raises:
        DecodeError: the event is malformed.
    """
    if len(body) < _EVENT.size:
        raise DecodeError("an event ends too early")
    kind, _ = _EVENT.unpack_from(body)
    path, _ = read_buffer(body, _EVENT.size)
    return kind, b"" if path is None or path == b"/" else path


def count(body: bytes) -> int:
    """The answer to getAllChildrenNumber.

    Raises:
        DecodeError: it is malformed.
    """
    if len(body) < INT.size:
        raise DecodeError("a number ends too early")
    return int(INT.unpack_from(body)[0])


def requests(first: int, kind: int, bodies: Sequence[bytes]) -> bytes:
    """Frames of requests, numbered from `first`."""
    pack = _REQUEST.pack
    return b"".join([pack(8 + len(body), xid & 0x7FFF_FFFF, kind) + body for xid, body in enumerate(bodies, first)])


def special(xid: int, kind: int) -> bytes:
    """A frame of a request that has no body, a ping say."""
    return _REQUEST.pack(8, xid, kind)


_REQUEST = struct.Struct(">iii")
REPLY = struct.Struct(">iiqi")
"""A reply's frame: its length without these four bytes; xid, zxid, error. An event's xid is -1, a ping's -2."""
EVENT_XID, PING_XID = -1, -2
