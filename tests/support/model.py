"""A model of a ZooKeeper server without sockets: a tree, its history by zxid, and bytes for each connection.

It does what a server does as far as a capture can see: every transaction has a zxid, a create, a delete and a set send
an event to the connection that watches, other transactions do not. Requests of a connection are answered in their
order, each at the zxid of the moment. Nothing happens by itself: a test says who does the next step.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.jute import INT, OPEN_ACL, Acl, buffer, pack_acls, read_buffer, unpack_acls
from metadata_tool.zookeeper.protocol import CHANGED, CREATED, DELETED, NO_AUTH, NO_NODE, THROTTLED
from metadata_tool.zookeeper.stat import Stat
from support.trees import client_stat

ACLS = [OPEN_ACL, *(pack_acls([Acl(31, "digest", f"user-{number}:secret")]) for number in range(3))]
FOREIGN_ACL = pack_acls([Acl(31, "digest", "foreign:secret")])
"""An ACL whose znodes the capture's login may read, but not administer, so that servers mask it."""
COUNTERS = b"/zookeeper/quota/a/zookeeper_stats"
"""The counters of a quota on /a, which change without an event and without a new stat."""
LATER_COUNTERS = b"/zookeeper/quota/b/zookeeper_stats"
"""Those of a quota on /b, which a client creates."""
_SYSTEM = [b"", b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/quota/a", COUNTERS]
_OP = struct.Struct(">i?i")
_LAST = _OP.pack(-1, True, -1)
_EPOCH = 1_700_000_000_000


class Znode(NamedTuple):
    """A znode of the model. One that is hidden is listed to the capture's login, but neither shown nor announced."""

    data: bytes
    stat: Stat
    acl: bytes
    hidden: bool = False


Tree = dict[bytes, Znode]


def parent_of(path: bytes) -> bytes:
    """The path above."""
    return path[: path.rfind(b"/")]


@dataclass
class Line:
    """One connection, as the server sees it: requests that wait, frames to be delivered, and whether it watches."""

    requests: deque[tuple[int, int, bytes]] = field(default_factory=deque)
    sent: deque[bytes] = field(default_factory=deque)
    watches: bool = False


class Server:
    """The tree, its history, and its connections."""

    def __init__(self, *, announces: bool = True, acl: bytes = OPEN_ACL, age: int = 0) -> None:
        """Events carry zxids if it `announces` (3.9 and later). Its znodes have this ACL, and are younger by `age`."""
        self.zxid = 100
        self.lines: list[Line] = []
        self.throttled = 0
        """How many requests are still to be throttled."""
        self.synced = 0
        """The zxid of the last answer to sync."""
        self._multi = False
        self._announces = announces
        self._age = age
        self.tree: Tree = {path: self._new(0) for path in _SYSTEM}
        self.history: dict[int, Tree] = {self.zxid: dict(self.tree)}
        for path in (b"/a", b"/b", b"/a/1", b"/a/2"):
            self.create(path, acl)

    def connect(self, number: int) -> None:
        """Open this many new connections. Earlier ones are closed."""
        self.lines = [Line() for _ in range(number)]

    # Other clients

    @contextmanager
    def multi(self) -> Iterator[None]:
        """All that the block does is one transaction: one zxid, and an event for each change."""
        self.fail()
        self._multi = True
        yield
        self._multi = False

    @property
    def _next_zxid(self) -> int:
        return self.zxid if self._multi else self.zxid + 1

    def create(self, path: bytes, acl: bytes = OPEN_ACL, *, owner: int = 0, hidden: bool = False) -> None:
        """Create a znode, if that is possible. `owner` is the session of an ephemeral one."""
        above = self.tree.get(parent_of(path))
        if above is None or above.hidden or path in self.tree or above.stat.ephemeral_owner:
            self.fail()
            return
        with_child = above.stat._replace(cversion=above.stat.cversion + 1, pzxid=self._next_zxid)

        def change() -> None:
            self.tree[path] = self._new(self.zxid, acl, owner)._replace(hidden=hidden)
            self.tree[parent_of(path)] = above._replace(stat=with_child)

        self._transact(change, CREATED, path)

    def create_sequential(self, parent: bytes) -> None:
        """Create a znode whose name counts up."""
        above = self.tree.get(parent)
        self.create(b"%s/s-%010d" % (parent, above.stat.cversion if above else 0))

    def set(self, path: bytes, size: int = 0) -> None:
        """Set other data, of at least this size."""

        def change() -> None:
            found = self.tree[path]
            stat = found.stat._replace(mzxid=self.zxid, mtime=self._time(), version=found.stat.version + 1)
            self.tree[path] = found._replace(data=b"%d" % self.zxid + b"." * size, stat=stat)

        self._transact(change, CHANGED, path) if path in self.tree else self.fail()

    def delete(self, path: bytes) -> None:
        """Delete a znode, if it has no children."""
        if path not in self.tree or path in _SYSTEM or self._names(path):
            self.fail()
            return

        def change() -> None:
            del self.tree[path]
            above = self.tree[parent_of(path)]
            self.tree[parent_of(path)] = above._replace(stat=above.stat._replace(pzxid=self.zxid))

        self._transact(change, DELETED, path)

    def delete_tree(self, path: bytes) -> None:
        """Delete a znode and all below it, one after the other."""
        for below in sorted((other for other in self.tree if other.startswith(path + b"/")), reverse=True):
            self.delete(below)
        self.delete(path)

    def set_acl(self, path: bytes, acl: bytes) -> None:
        """Set an ACL, which sends no event."""

        def change() -> None:
            found = self.tree[path]
            stat = found.stat._replace(aversion=found.stat.aversion + 1)
            self.tree[path] = found._replace(acl=acl, stat=stat)

        self._transact(change) if path in self.tree else self.fail()

    def fail(self) -> None:
        """A failed operation, or the start of a session: it has a zxid, and changes nothing."""
        if not self._multi:
            self._transact(lambda: None)

    def expire(self) -> None:
        """End the session of the connection that watches."""
        self.lines[0].sent.append(_frame(protocol.EVENT_XID, -1, 0, struct.pack(">iii", -1, -112, 0)))

    def _transact(self, change: Callable[[], None], kind: int = 0, path: bytes = b"") -> None:
        self.zxid = self._next_zxid
        hidden = path in self.tree and self.tree[path].hidden
        change()
        for counters in (COUNTERS, LATER_COUNTERS):
            if path.startswith(counters[16:18]) and counters in self.tree:
                self.tree[counters] = self.tree[counters]._replace(data=b"count=%d" % self.zxid)
        self.history[self.zxid] = dict(self.tree)
        if kind and not hidden and not (path in self.tree and self.tree[path].hidden):
            body = struct.pack(">ii", kind, 3) + buffer(path or b"/")
            for line in self.lines:
                if line.watches:
                    line.sent.append(_frame(protocol.EVENT_XID, self.zxid if self._announces else -1, 0, body))

    def _time(self) -> int:
        return _EPOCH + self._age + self.zxid

    def _new(self, zxid: int, acl: bytes = OPEN_ACL, owner: int = 0) -> Znode:
        time = self._time() if zxid else 0
        return Znode(b"", Stat(zxid, zxid, time, time, 0, 0, 0, owner, zxid), acl)

    # Requests

    def receive(self, number: int, sent: bytes) -> None:
        """Take frames of a connection, which wait then."""
        at = 0
        while at < len(sent):
            size, xid, kind = struct.unpack_from(">iii", sent, at)
            self.lines[number].requests.append((xid, kind, sent[at + 12 : at + 4 + size]))
            at += 4 + size

    def answer(self, number: int) -> None:
        """Answer the next request of a connection."""
        line = self.lines[number]
        xid, kind, body = line.requests.popleft()
        if self.throttled and kind != protocol.ADD_WATCH:
            self.throttled -= 1
            line.sent.append(_frame(xid, self.zxid, THROTTLED, b""))
            return
        error, reply = self._reply(line, kind, body)
        line.sent.append(_frame(xid, self.zxid, error, reply))

    def _reply(self, line: Line, kind: int, body: bytes) -> tuple[int, bytes]:
        if kind == protocol.ADD_WATCH:
            line.watches = True
            return 0, b""
        if kind == protocol.MULTI_READ:
            return 0, self._multi_read(body)
        path = _path(body)[0]
        if kind == protocol.SYNC:
            self.synced = self.zxid
            return 0, b""
        found = self.tree.get(path)
        if found is None or found.hidden:
            return NO_AUTH if found else NO_NODE, b""
        if kind == protocol.GET_ACL:
            return 0, _shown(found.acl) + self._stat(path, found)
        assert kind == protocol.COUNT_BELOW
        return 0, INT.pack(sum(other.startswith(path + b"/") for other in self.tree))

    def _multi_read(self, body: bytes) -> bytes:
        parts: list[bytes] = []
        at = 0
        while True:
            kind, last, _ = _OP.unpack_from(body, at)
            if last:
                return b"".join([*parts, _LAST])
            path, at = _path(body, at + _OP.size)
            at += 1  # whether to watch
            found = self.tree.get(path)
            if found is None or found.hidden:
                error = NO_AUTH if found else NO_NODE
                parts.append(struct.pack(">i?ii", protocol.REFUSED, False, error, error))
            elif kind == protocol.GET_DATA:
                parts.append(_OP.pack(kind, False, 0) + buffer(found.data) + self._stat(path, found))
            else:
                names = self._names(path)
                parts.append(_OP.pack(kind, False, 0) + INT.pack(len(names)) + b"".join(map(buffer, names)))

    def _names(self, path: bytes) -> list[bytes]:
        return [other[len(path) + 1 :] for other in self.tree if other and parent_of(other) == path]

    def _stat(self, path: bytes, found: Znode) -> bytes:
        return client_stat(found.stat, len(found.data), len(self._names(path)))


def _frame(xid: int, zxid: int, error: int, body: bytes) -> bytes:
    return struct.pack(">iiqi", 16 + len(body), xid, zxid, error) + body


def _path(body: bytes, at: int = 0) -> tuple[bytes, int]:
    path, end = read_buffer(body, at)
    return (b"" if path == b"/" else path or b""), end


def _shown(acl: bytes) -> bytes:
    """An ACL as the capture's login gets it: digests are masked where it may not administer the znode."""
    if acl != FOREIGN_ACL:
        return acl
    return pack_acls([entry._replace(id=entry.id.split(":")[0] + ":x") for entry in unpack_acls(acl)[0]])
