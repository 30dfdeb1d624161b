"""ZooKeeper's client protocol, as far as it is needed: encodes requests, and slices replies without parsing them.

A snapshot stores the same bytes as the wire, so slices are sufficient. Sources: zookeeper.jute, ZooDefs.OpCode,
MultiOperationRecord, MultiResponse, KeeperException.Code.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from metadata_tool.zookeeper.errors import DecodeError
from metadata_tool.zookeeper.jute import INT, OPEN_ACL, buffer, read_buffer
from metadata_tool.zookeeper.stat import WIRE_SIZE as STAT_SIZE

CREATE, GET_DATA, SET_DATA, GET_ACL, GET_CHILDREN, SYNC, PING, MULTI, MULTI_READ = 1, 4, 5, 6, 8, 9, 11, 14, 22
COUNT_BELOW, ADD_WATCH, CLOSE = 104, 106, -11
"""COUNT_BELOW is getAllChildrenNumber."""

NO_NODE, NO_AUTH, BAD_VERSION, NODE_EXISTS = -101, -102, -103, -110
UNIMPLEMENTED, MARSHALLING, THROTTLED = -6, -5, -127
AUTH_FAILED, LOGIN_DEMANDED = -115, -124
"""LOGIN_DEMANDED is SESSIONCLOSEDREQUIRESASLAUTH. The server closes the connection after it."""

CREATED, DELETED, CHANGED = 1, 2, 3
"""Types of events (Watcher.Event.EventType)."""

_PERSISTENT_RECURSIVE = 1
_EPHEMERAL = 1
"""A flag of a create (CreateMode)."""
_OP = struct.Struct(">i?i")
_GET_DATA, _GET_CHILDREN = _OP.pack(GET_DATA, False, -1), _OP.pack(GET_CHILDREN, False, -1)
_SET_DATA = _OP.pack(SET_DATA, False, -1)
_LAST_OP = _OP.pack(-1, True, -1)
_NO_WATCH = b"\0"
_ROOT = buffer(b"/")
ITEM = struct.Struct(">i5xi")
"""The start of one result: its type, and the length of its data, its number of names or its error."""
ITEM_SIZE = 9
"""Bytes before that length, number or error."""
REFUSED = -1
_EVENT = struct.Struct(">ii")
OP_BYTES = 14
"""Bytes of a read in a multi-read, besides its path."""


class Refusal(NamedTuple):
    """ZooKeeper's error code for one read, such as -101 (no such znode)."""

    code: int


class DataReply(NamedTuple):
    """The answer to getData: the data as a field (its length and its bytes), and 68 bytes of stat."""

    data: bytes
    stat: bytes


Reply = DataReply | list[bytes] | Refusal


def on_wire(path: bytes) -> bytes:
    """The encoding of a path in a request. The root is empty in a snapshot, and `/` in a request."""
    return on_wire_each([path])[0]


def on_wire_each(paths: Iterable[bytes]) -> list[bytes]:
    """The same for many paths."""
    pack = INT.pack
    return [pack(len(path)) + path if path else _ROOT for path in paths]


def multi_read(data: Sequence[bytes], lists: Sequence[bytes] = ()) -> bytes:
    """A request for the data of some znodes and the children of others at one zxid. The paths are encoded."""
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
    keep, item, new = replies.append, ITEM.unpack_from, tuple.__new__  # as DataReply(...), but faster
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
    unpack = _UNSIGNED.unpack_from  # as read_buffer, without a call for each name
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
    return names, end  # beyond the end of a reply that was cut off, which the caller notices


_UNSIGNED = struct.Struct(">I")
"""A length. A negative one is read as a huge one, which leads beyond the end of the reply."""


def watch_everything() -> bytes:
    """A request for the events of every znode: addWatch on `/`, persistent and recursive."""
    return on_wire(b"") + INT.pack(_PERSISTENT_RECURSIVE)


def create_ephemeral(path: bytes, data: bytes) -> bytes:
    """A request for a znode that ends with this session, and that every client may read and delete."""
    return on_wire(path) + buffer(data) + OPEN_ACL + INT.pack(_EPHEMERAL)


def set_data(path: bytes, data: bytes, version: int) -> bytes:
    """A request for new data of a znode, if it still has this version."""
    return on_wire(path) + buffer(data) + INT.pack(version)


def multi(writes: Iterable[bytes]) -> bytes:
    """A request for writes (`set_data`), of which all are done or none."""
    return b"".join(_SET_DATA + write for write in writes) + _LAST_OP


def multi_errors(body: bytes) -> list[int]:
    """The error of each write in the answer to such a request, 0 for none. If one has an error, none is done.

    Raises:
        DecodeError: it is malformed.
    """
    errors, at, end = [], 0, len(body) - _OP.size
    while 0 <= at < end:
        kind, _, error = _OP.unpack_from(body, at)
        if kind not in (SET_DATA, REFUSED):
            raise DecodeError(f"the answer to writes has the unknown type {kind}")
        at += _OP.size + (STAT_SIZE if kind == SET_DATA else INT.size)
        errors.append(error)
    if at != end or body[at:] != _LAST_OP:
        raise DecodeError("the answer to writes ends too early")
    return errors


def event(body: bytes) -> tuple[int, bytes]:
    """The type and path of an event (WatcherEvent). The root is empty. A negative type is about the session.

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
    """The frames of requests, with xids from `first`."""
    pack = _REQUEST.pack
    return b"".join([pack(8 + len(body), xid & 0x7FFF_FFFF, kind) + body for xid, body in enumerate(bodies, first)])


def special(xid: int, kind: int) -> bytes:
    """The frame of a request without a body, such as a ping."""
    return _REQUEST.pack(8, xid, kind)


_REQUEST = struct.Struct(">iii")
REPLY = struct.Struct(">iiqi")
"""The head of a reply: its length without these four bytes, xid, zxid, error."""
EVENT_XID, PING_XID = -1, -2
