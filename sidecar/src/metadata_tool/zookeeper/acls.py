"""ACLs, which no multi-read can bring: asked for one by one, a few at a time on each of several connections.

An ACL belongs to (czxid, aversion) of its znode: as long as both are the same, so is the ACL.
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
"""The key of an ACL that was not read, or not in the version that the znode has."""

_CZXID, _AVERSION = stat.at_end(stat.CZXID, STAT_SIZE), stat.at_end(stat.AVERSION, STAT_SIZE)
"""Where a getACL's answer, which ends with a stat, has them."""


def _same_version(one: bytes, other: bytes) -> bool:
    """Whether two stats, as clients get them, are of the same create and the same setACL."""
    return all(one[part] == other[part] for part in (stat.CZXID, stat.CTIME, stat.AVERSION))


def _version(reply: bytes) -> tuple[bytes, bytes]:
    return reply[_CZXID], reply[_AVERSION]


class AclTable:
    """The different ACLs, each with a key, as a snapshot has them."""

    def __init__(self) -> None:
        self.encoded_keys = {jute.OPEN_ACL: LONG.pack(OPEN_ACL_KEY)}
        """As a snapshot has them, by ACL."""

    def key(self, path: bytes, acl: bytes) -> int:
        """The key of an ACL.

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
        """The key of a reply that is of this client's stat; UNKNOWN if it is of another version. Raises as `key`."""
        if type(reply) is bytes and (reply.endswith(wanted) or _same_version(reply[-STAT_SIZE:], wanted)):
            return self.key(path, reply[:-STAT_SIZE])
        return UNKNOWN

    def of_stored(self, path: bytes, node: bytes, reply: AclReply) -> int:
        """The same for an encoded znode."""
        fits = isinstance(reply, bytes) and _version(reply) == version_of(node)
        return self.any_version(path, reply, UNKNOWN) if fits else UNKNOWN

    def any_version(self, path: bytes, reply: AclReply, otherwise: int) -> int:
        """The key of a reply whatever version it is of; another key if it is a refusal. Raises as `key`."""
        return self.key(path, reply[:-STAT_SIZE]) if isinstance(reply, bytes) else otherwise

    def encoded(self) -> dict[int, bytes]:
        """Encoded ACLs by key, those that a snapshot has to hold."""
        return {LONG.unpack(key)[0]: acl for acl, key in self.encoded_keys.items() if acl != jute.OPEN_ACL}


def _require_unmasked(path: bytes, acl: bytes) -> None:
    """Without ADMIN a server shows each digest as `user:x` (FinalRequestProcessor)."""
    entries, end = jute.unpack_acls(acl)
    if end != len(acl):
        raise DecodeError(f"the ACL of znode {printable(path)} is malformed")
    digests = [entry.id for entry in entries if entry.scheme == "digest"]
    if digests and all(digest.endswith(":x") for digest in digests):
        raise ZnodeUnreadable(
            f"the ACL of znode {printable(path)} comes back masked",
            "ADMIN on it (if its digest really is 'x', set a valid digest)",
        )


def ask_acls(wire: Wire, paths: Sequence[bytes], done: Callable[[list[AclReply]], None]) -> None:
    """Ask for the ACLs of these, paths as on the wire; `done` gets them in their order, once all are there."""

    def on_replies(answers: Answers) -> None:
        done(acl_replies(answers))

    Requests(wire, protocol.GET_ACL, paths, on_replies)


class _Asked:
    """The ACLs of several znodes, asked for in portions; `then` is called once all are there."""

    def __init__(self, paths: Sequence[bytes], then: Callable[[list[AclReply]], None]) -> None:
        self.paths = paths
        self.replies: list[list[AclReply]] = []
        self._missing = len(paths)
        self._then = then

    def portion(self, wire: Wire, begin: int, size: int, filled: Callable[[Wire], None]) -> None:
        paths = self.paths[begin : begin + size]
        number = len(self.replies)
        self.replies.append([])

        def done(replies: list[AclReply]) -> None:
            self.replies[number] = replies
            self._missing -= len(paths)
            filled(wire)
            if not self._missing:
                self._then([reply for portion in self.replies for reply in portion])

        ask_acls(wire, paths, done)


class AclReader:
    """Asks for ACLs over several connections, a portion after the other."""

    def __init__(self, wires: Sequence[Wire], portion: int) -> None:
        self._idle = deque(wire for wire in wires for _ in range(limits.ACL_BATCHES_IN_FLIGHT))
        self._portion = portion
        self._todo: deque[tuple[_Asked, int]] = deque()

    def ask(self, paths: Sequence[bytes], then: Callable[[list[AclReply]], None]) -> None:
        """Ask for the ACLs of these, paths as on the wire; `then` gets them in order, each as of its own moment."""
        asked = _Asked(paths, then)
        self._todo.extend((asked, begin) for begin in range(0, len(paths), self._portion))
        while self._todo and self._idle:
            self._feed(self._idle.popleft())

    def _feed(self, wire: Wire) -> None:
        if self._todo:
            asked, begin = self._todo.popleft()
            asked.portion(wire, begin, self._portion, self._feed)
        else:
            self._idle.append(wire)
