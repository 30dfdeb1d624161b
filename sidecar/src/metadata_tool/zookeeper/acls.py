"""Reads ACLs. They cannot be part of a multi-read, so each is a request, in batches over several connections.

An ACL belongs to a version of its znode, (czxid, aversion): while both stay the same, so does the ACL.
"""

from collections import deque
from collections.abc import Callable, Sequence

from metadata_tool.zookeeper import jute, limits, protocol, stat
from metadata_tool.zookeeper.errors import DecodeError, ZnodeUnreadable
from metadata_tool.zookeeper.jute import LONG
from metadata_tool.zookeeper.protocol import AclReply, acl_replies
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, printable, version_of
from metadata_tool.zookeeper.stat import WIRE_SIZE as STAT_SIZE
from metadata_tool.zookeeper.wire import Answers, Requests, Wire

UNKNOWN = -2
"""The key of an ACL that was not read, or belongs to another version of the znode."""

_CZXID, _AVERSION = stat.at_end(stat.CZXID, STAT_SIZE), stat.at_end(stat.AVERSION, STAT_SIZE)
"""Where both are in the stat at the end of an answer to getACL."""


def same_version(one: bytes, other: bytes) -> bool:
    """Whether two stats on the wire belong to the same create and the same setACL."""
    return all(one[part] == other[part] for part in (stat.CZXID, stat.CTIME, stat.AVERSION))


def _version(reply: bytes) -> tuple[bytes, bytes]:
    return reply[_CZXID], reply[_AVERSION]


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
            _require_unmasked(path, acl)
            found = self.encoded_keys[acl] = LONG.pack(len(self.encoded_keys))
        return int(LONG.unpack(found)[0])

    def fitting(self, path: bytes, wanted: bytes, reply: AclReply | None) -> int:
        """The key of an answer that belongs to this stat on the wire, else UNKNOWN. Raises as `key`."""
        if type(reply) is bytes and (reply.endswith(wanted) or same_version(reply[-STAT_SIZE:], wanted)):
            return self.key(path, reply[:-STAT_SIZE])
        return UNKNOWN

    def of_stored(self, path: bytes, node: bytes, reply: AclReply) -> int:
        """The same for the stat of an encoded znode."""
        fits = isinstance(reply, bytes) and _version(reply) == version_of(node)
        return self.any_version(path, reply, UNKNOWN) if fits else UNKNOWN

    def any_version(self, path: bytes, reply: AclReply, otherwise: int) -> int:
        """The key of an answer that belongs to any version, or `otherwise` for a refusal. Raises as `key`."""
        return self.key(path, reply[:-STAT_SIZE]) if isinstance(reply, bytes) else otherwise

    def encoded(self) -> dict[int, bytes]:
        """The encoded ACLs by key that a snapshot must contain."""
        return {LONG.unpack(key)[0]: acl for acl, key in self.encoded_keys.items() if acl != jute.OPEN_ACL}


def _require_unmasked(path: bytes, acl: bytes) -> None:
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


def ask_acls(wire: Wire, paths: Sequence[bytes], done: Callable[[list[AclReply]], None]) -> None:
    """Read the ACLs of these encoded paths. `done` gets them in order, with the last answer."""

    def on_replies(answers: Answers) -> None:
        done(acl_replies(answers))

    Requests(wire, protocol.GET_ACL, paths, on_replies)


class _Query:
    """The ACLs of several znodes, read in batches. `then` is called with the last answer."""

    def __init__(self, paths: Sequence[bytes], then: Callable[[list[AclReply]], None]) -> None:
        self.paths = paths
        self.replies: list[list[AclReply]] = []
        self._missing = len(paths)
        self._then = then

    def ask_batch(self, wire: Wire, begin: int, size: int, on_idle: Callable[[Wire], None]) -> None:
        paths = self.paths[begin : begin + size]
        number = len(self.replies)
        self.replies.append([])

        def done(replies: list[AclReply]) -> None:
            self.replies[number] = replies
            self._missing -= len(paths)
            on_idle(wire)
            if not self._missing:
                self._then([reply for batch in self.replies for reply in batch])

        ask_acls(wire, paths, done)


class AclReader:
    """Reads ACLs over several connections, one batch after the other."""

    def __init__(self, wires: Sequence[Wire], batch: int) -> None:
        self._idle = deque(wire for wire in wires for _ in range(limits.ACL_BATCHES_IN_FLIGHT))
        self._batch = batch
        self._todo: deque[tuple[_Query, int]] = deque()

    def ask(self, paths: Sequence[bytes], then: Callable[[list[AclReply]], None]) -> None:
        """Read the ACLs of these encoded paths. `then` gets them in order, each from its own zxid."""
        query = _Query(paths, then)
        self._todo.extend((query, begin) for begin in range(0, len(paths), self._batch))
        while self._todo and self._idle:
            self._next_batch(self._idle.popleft())

    def _next_batch(self, wire: Wire) -> None:
        if self._todo:
            query, begin = self._todo.popleft()
            query.ask_batch(wire, begin, self._batch, self._next_batch)
        else:
            self._idle.append(wire)
