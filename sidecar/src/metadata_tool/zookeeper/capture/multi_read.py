"""Decodes replies to multi-reads into encoded znodes, in one loop because millions go through it.

A reply holds an answer for each read, and ends with an item of type -1 (MultiResponse):

    byte     0     4      5      9       13      13 + n        13 + n + 68
    data     type  done   error  length  data    stat on the wire
    refused  type  done   error  error
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.capture.acl_table import UNKNOWN, AclReply, AclTable, ZnodeAcl
from metadata_tool.zookeeper.errors import ConnectionBroken, DecodeError, ReadRefused, ZnodeUnreadable
from metadata_tool.zookeeper.jute import LONG
from metadata_tool.zookeeper.protocol import GET_DATA, ITEM, ITEM_SIZE, Refusal
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, printable
from metadata_tool.zookeeper.stat import NEVER_SET, NO_CREATES, NO_OWNER, SHARED, stored_stat
from metadata_tool.zookeeper.stat import WIRE_SIZE as STAT_SIZE


class MultiReadResult(NamedTuple):
    """Znodes encoded as in a snapshot, in the order of the request, without those that no longer exist."""

    content: bytes
    nodes: int
    """Their number."""
    unknown: list[bytes]
    """Paths whose ACL belongs to another version than data and stat."""
    parents: dict[bytes, int]
    """Paths with children, and their number."""
    end: int
    """Where in the reply the next answer starts."""


def decoded(
    paths: Sequence[bytes], on_wire: Sequence[bytes], acls: Sequence[AclReply], body: bytes, table: AclTable
) -> MultiReadResult:
    """Decode the answers to getData, and join each with the ACL that was read before. An ephemeral needs no ACL.

    `on_wire` are the paths as encoded in the request. A snapshot has the same encoding, except for the root.

    Raises:
        ZnodeUnreadable, ReadRefused: the server refused one, or hid part of its ACL.
        DecodeError: the reply is malformed.
        ConnectionBroken: the server throttles every read.
    """
    try:
        return _decoded(paths, on_wire, acls, body, table)
    except struct.error as error:  # once for a reply, not for each of its znodes
        raise DecodeError("the reply to a multi-read ends too early") from error


def _decoded(
    paths: Sequence[bytes], on_wire: Sequence[bytes], acls: Sequence[AclReply], body: bytes, table: AclTable
) -> MultiReadResult:
    pieces: list[bytes] = []
    gone = 0
    unknown: list[bytes] = []
    parents: dict[bytes, int] = {}
    known, item, stat_and_item = table.encoded_keys.get, ITEM.unpack_from, _STAT_AND_ITEM.unpack_from
    body += _PADDING
    (kind, size), at = item(body), ITEM_SIZE
    for path, stored_path, acl in zip(paths, on_wire, acls, strict=True):
        if kind != GET_DATA:
            if kind != protocol.REFUSED or not size:
                raise DecodeError(f"the reply to getData has type {kind}")
            require_gone(path, Refusal(size))
            gone += 1
            (kind, size), at = item(body, at + 4), at + 4 + ITEM_SIZE
            continue
        end = at + 4 + size if size > 0 else at + 4
        data = body[at:end]
        head, children, pzxid, kind, size = stat_and_item(body, end)
        at = end + _STAT_AND_ITEM_SIZE
        if not head.endswith(NO_OWNER):
            key = _OPEN
        elif type(acl) is not ZnodeAcl or acl[1] != head or not (key := known(acl[0], b"")):
            key = LONG.pack(table.of_head(path, head, acl))  # no ACL, an earlier or later one, or a new one
            if key == _UNKNOWN:
                unknown.append(path)
        if children or not head.endswith(_PLAIN):
            head = stored_stat(body[end : end + STAT_SIZE])[SHARED]
            if children:
                parents[path] = children
        pieces += (stored_path if path else _ROOT, data, key, head, pzxid)
    return MultiReadResult(b"".join(pieces), len(paths) - gone, unknown, parents, at - ITEM_SIZE)


_STAT_AND_ITEM = struct.Struct(">52s4xi8si5xi")
"""Of a stat on the wire: SHARED, CHILDREN, WIRE_PZXID. Then how the next answer begins."""
_STAT_AND_ITEM_SIZE = STAT_SIZE + ITEM_SIZE
_PADDING = bytes(4)
"""The last item is shorter than the start of an answer."""
_PLAIN = NO_CREATES + NEVER_SET + NO_OWNER
"""How SHARED ends, cversion first, if a snapshot has the same: that of most znodes."""
_ROOT = bytes(4)
_OPEN, _UNKNOWN = LONG.pack(OPEN_ACL_KEY), LONG.pack(UNKNOWN)


def require_gone(path: bytes, refusal: Refusal) -> None:
    """Accept a refusal because the znode no longer exists.

    Raises:
        ZnodeUnreadable, ReadRefused: it was refused for another reason.
        ConnectionBroken: the server throttles every read.
    """
    if refusal.code == protocol.NO_NODE:
        return
    if refusal.code == protocol.NO_AUTH:
        raise ZnodeUnreadable(
            f"the login cannot read znode {printable(path)}",
            "READ and ADMIN on it, and the right password",
        )
    if refusal.code == protocol.THROTTLED:
        raise ConnectionBroken("the server throttles every read")
    raise ReadRefused(printable(path), refusal.code)
