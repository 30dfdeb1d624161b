"""ACLs that the walk before has read, so that they are not asked for again: most of a capture is ACLs.

A znode whose ACL was never set (aversion 0) has that of its create, and a create is known by its path, its zxid and its
time: wherever the three are found again, also in an ensemble that was rolled back or started anew, it is the same
create. A setACL leaves no time behind, so nothing is known of a znode that had one.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence

from metadata_tool.zookeeper.acls import AclTable
from metadata_tool.zookeeper.jute import INT, LONG, OPEN_ACL
from metadata_tool.zookeeper.snapshot import NEVER_SET, OPEN_ACL_KEY, tree_key
from metadata_tool.zookeeper.spool import Spool


class KnownAcls:
    """What was learned of one walk, on disk; nothing, to begin with."""

    def __init__(self) -> None:
        self._walk: Spool | None = None
        self._acls: dict[bytes, bytes] = {}

    def learn(self, walk: Spool, table: AclTable) -> None:
        """Know what this walk has read, and no longer what another had."""
        self.forget()
        self._walk = walk.kept()
        self._acls = {LONG.pack(key): acl for key, acl in [(OPEN_ACL_KEY, OPEN_ACL), *table.encoded().items()]}

    def level(self, depth: int) -> "KnownLevel":
        """What is known of the znodes of a level; the root's is 0."""
        return KnownLevel(self._walk.level(depth) if self._walk else iter(()), self._acls)

    def forget(self) -> None:
        """Let go of the disk."""
        if self._walk:
            self._walk.close()
            self._walk = None


class KnownLevel:
    """A level of the walk before, read on beside the same level of the next."""

    def __init__(self, nodes: Iterator[tuple[bytes, bytes]], acls: Mapping[bytes, bytes]) -> None:
        self._nodes = nodes
        self._acls = acls
        self._path: bytes | None
        self._path, self._node = next(nodes, _NO_MORE)

    def replies(self, paths: Sequence[bytes]) -> list[bytes | None]:
        """What getACL would answer if nothing had changed; None where it must be asked. The paths are in tree order."""
        return [self._reply() if path == self._path or self._seek(path) else None for path in paths]

    def _seek(self, path: bytes) -> bool:
        wanted = tree_key(path)
        while self._path is not None and tree_key(self._path) < wanted:
            self._path, self._node = next(self._nodes, _NO_MORE)
        return path == self._path

    def _reply(self) -> bytes | None:
        """An ACL and a client's stat, in which all creates below it are taken for children: no more there can be."""
        node = self._node
        key, times, creates, aversion, owner, pzxid = _TAIL.unpack_from(node, len(node) - _TAIL.size)
        acl = self._acls.get(key)
        if acl is None or aversion != NEVER_SET:
            return None
        size = INT.pack(len(node) - len(self._path or b"") - _AROUND)
        return b"".join((acl, times, creates, aversion, owner, size, creates, pzxid))


_NO_MORE: tuple[None, bytes] = (None, b"")
_TAIL = struct.Struct(">8s36s4s4s8s8s")
"""How an encoded znode ends: the key of its ACL; czxid to version; cversion; aversion; owner; pzxid."""
_AROUND = INT.size + INT.size + _TAIL.size
"""Bytes of an encoded znode besides its path and its data."""
