"""From the reply to a multi-read to encoded znodes: in one loop, for a million of them go through it."""

from collections.abc import Sequence
from typing import NamedTuple

from metadata_tool.errors import ZnodeUnreadable
from metadata_tool.zookeeper import jute, protocol
from metadata_tool.zookeeper.acls import UNKNOWN, AclTable, login_with
from metadata_tool.zookeeper.jute import NONE, WIRE_STAT_SIZE
from metadata_tool.zookeeper.protocol import GET_DATA, ITEM, AclReply, Refusal
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, encode_sliced, printable
from metadata_tool.zookeeper.wire import WireError


class Transcript(NamedTuple):
    """Znodes as a snapshot has them, in the order in which they were asked for; None: it has gone."""

    nodes: list[bytes | None]
    unknown: list[bytes]
    """Of these the ACL is not of the version that was read."""
    parents: list[bytes]
    """These have children."""
    end: int
    """Where in the reply the next answer begins."""


def transcribed(paths: Sequence[bytes], acls: Sequence[AclReply], body: bytes, table: AclTable) -> Transcript:
    """What a multi-read of data, whose ACLs were asked for before it, was answered. An ephemeral needs no ACL.

    Raises:
        ZnodeUnreadable: the server refused one, or hid part of its ACL.
        WireError, ValueError, struct.error: it is something else.
    """
    nodes: list[bytes | None] = []
    unknown: list[bytes] = []
    parents: list[bytes] = []
    keep, item, fitting = nodes.append, ITEM.unpack_from, table.fitting
    at = 0
    for path, acl in zip(paths, acls, strict=True):
        kind, size = item(body, at)
        begin = at + 9
        if kind != GET_DATA:
            if kind != protocol.REFUSED:
                raise ValueError(f"data was asked for, and type {kind} came")
            require_gone(path, Refusal(size))
            keep(None)
            at = begin + 4
            continue
        data_end = begin + 4 + size if size > 0 else begin + 4
        at = data_end + WIRE_STAT_SIZE
        stat = body[data_end:at]
        if jute.is_ephemeral(stat):
            key = OPEN_ACL_KEY
        else:
            key = fitting(path, stat, acl)
            if key == UNKNOWN:
                unknown.append(path)
        if stat[56:60] != NONE:
            parents.append(path)
        keep(encode_sliced(path, body[begin:data_end], key, jute.stored_stat(stat)))
    return Transcript(nodes, unknown, parents, at)


def require_gone(path: bytes, refusal: Refusal) -> None:
    """A znode that has gone needs no reading.

    Raises:
        ZnodeUnreadable: it is refused for another reason.
        WireError: the server is too busy.
    """
    if refusal.code == protocol.NO_NODE:
        return
    if refusal.code == protocol.NO_AUTH:
        raise ZnodeUnreadable(
            f"znode {printable(path)} may not be read",
            login_with("READ and ADMIN on it, and the right password"),
        )
    if refusal.code == protocol.THROTTLED:
        raise WireError("the server throttles every read")
    raise ZnodeUnreadable(f"znode {printable(path)} cannot be read: ZooKeeper error {refusal.code}")
