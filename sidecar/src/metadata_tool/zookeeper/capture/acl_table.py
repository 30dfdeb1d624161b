"""The ACLs of a capture. An ACL belongs to a version of its znode: while czxid and aversion stay, so does the ACL."""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from metadata_tool.zookeeper import jute, stat
from metadata_tool.zookeeper.errors import ConnectionBroken, DecodeError, ZnodeUnreadable
from metadata_tool.zookeeper.jute import INT, LONG
from metadata_tool.zookeeper.net.messages import Answer
from metadata_tool.zookeeper.protocol import NO_AUTH, NO_NODE, Refusal
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, printable, version_of
from metadata_tool.zookeeper.stat import WIRE_SIZE as STAT_SIZE

UNKNOWN = -2
"""The key of an ACL that was not read, or belongs to another version of the znode."""

_STAT = struct.Struct(">52sII8x")
"""A stat on the wire: SHARED, DATA_LENGTH, CHILDREN. Both are unsigned, so that no sum gets smaller."""


class ZnodeAcl(NamedTuple):
    """An ACL as a snapshot stores it, with the first 52 bytes of its znode's stat, its data length and its children.

    From the cache of an earlier capture, cversion in `head` and `children` count creates.
    """

    acl: bytes
    head: bytes
    data_length: int
    children: int


AclReply = ZnodeAcl | Refusal
"""The answer to getACL."""


def acl_replies(answers: Iterable[Answer]) -> list[AclReply]:
    """The answers to several getACL. A body is the ACL and 68 bytes of stat.

    Raises:
        DecodeError: one ends too early.
    """
    replies: list[AclReply] = []
    keep, unpack, new = replies.append, _STAT.unpack_from, tuple.__new__  # as ZnodeAcl(...), but faster
    for _, error, body in answers:
        if error:
            keep(Refusal(error))
            continue
        end = len(body) - STAT_SIZE
        if end < INT.size:
            raise DecodeError("an ACL ends too early")
        head, data_length, children = unpack(body, end)
        keep(new(ZnodeAcl, (body[:end], head, data_length, children)))
    return replies


class AclTable:
    """The different ACLs, each with the key that a snapshot uses."""

    def __init__(self) -> None:
        self.encoded_keys = {jute.OPEN_ACL: LONG.pack(OPEN_ACL_KEY)}
        """Encoded keys by encoded ACL."""

    def key(self, path: bytes, acl: bytes) -> int:
        """The key of an encoded ACL.

        Raises:
            ZnodeUnreadable: the server hid part of it.
            DecodeError: it is not an ACL.
        """
        found = self.encoded_keys.get(acl)
        if found is None:
            self.require_unmasked(path, acl)
            found = self.encoded_keys[acl] = LONG.pack(len(self.encoded_keys))
        return int(LONG.unpack(found)[0])

    def of_head(self, path: bytes, head: bytes, reply: AclReply) -> int:
        """The key of an ACL that belongs to the znode with this start of a stat, else UNKNOWN. Raises as `key` does.

        Raises:
            ConnectionBroken: the answer is another error than a znode that is gone or hidden.
        """
        found = _shown(path, reply)
        return self.key(path, found.acl) if found and self.same_version(found.head, head) else UNKNOWN

    def of_tail(self, path: bytes, tail: bytes, reply: AclReply) -> int:
        """The same for the end of an encoded znode."""
        found = _shown(path, reply)
        if found and (found.head[stat.CZXID], found.head[stat.AVERSION]) == version_of(tail):
            return self.key(path, found.acl)
        return UNKNOWN

    def of_any_version(self, path: bytes, reply: AclReply, otherwise: int) -> int:
        """The key of an ACL of any version, or `otherwise` if there is none. Raises as `of_head` does."""
        found = _shown(path, reply)
        return self.key(path, found.acl) if found else otherwise

    def same_version(self, one: bytes, other: bytes) -> bool:
        """Whether two starts of stats belong to the same create and the same setACL.

        The time tells creates apart that have the same zxid in different histories of an ensemble.
        """
        return all(one[part] == other[part] for part in (stat.CZXID, stat.CTIME, stat.AVERSION))

    def require_unmasked(self, path: bytes, acl: bytes) -> None:
        """Refuse an ACL whose digests are masked as `user:x`, as for a login without ADMIN (FinalRequestProcessor)."""
        entries, end = jute.unpack_acls(acl)
        if end != len(acl):
            raise DecodeError(f"the ACL of znode {printable(path)} is malformed")
        digests = [entry.id for entry in entries if entry.scheme == "digest"]
        if digests and all(digest.endswith(":x") for digest in digests):
            raise ZnodeUnreadable(
                f"the server masks the ACL of znode {printable(path)}",
                "ADMIN on it (if its digest really is 'x', set a valid digest)",
            )

    def encoded(self) -> dict[int, bytes]:
        """The encoded ACLs by key that a snapshot must contain."""
        return {LONG.unpack(key)[0]: acl for acl, key in self.encoded_keys.items() if acl != jute.OPEN_ACL}


def _shown(path: bytes, reply: AclReply) -> ZnodeAcl | None:
    """The ACL in an answer. None if its znode is gone or hidden, which the next read of its data finds out.

    Raises:
        ConnectionBroken: any other error, as of a session that has expired.
    """
    if isinstance(reply, ZnodeAcl):
        return reply
    if reply.code not in {NO_NODE, NO_AUTH}:
        raise ConnectionBroken(f"ZooKeeper's error {reply.code} for the ACL of znode {printable(path)}")
    return None
