"""A model of a server without sockets: a tree, its history by zxid, and one stream of events and replies.

Every step is chosen by a seeded generator: another client writes, the server answers the next request, or the program
receives what the server has sent. So any interleaving can be tested, and each is repeatable.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple, cast

from metadata_tool.zookeeper.acl_verifier import AclVerifier
from metadata_tool.zookeeper.acls import AclTable
from metadata_tool.zookeeper.bulk_reader import BulkReader
from metadata_tool.zookeeper.changes import ChangeTracker, parent_of
from metadata_tool.zookeeper.consistent_cut import ConsistentCut, Cut
from metadata_tool.zookeeper.jute import OPEN_ACL, Acl, buffer, pack_acls
from metadata_tool.zookeeper.limits import ReadLimits
from metadata_tool.zookeeper.protocol import CHANGED, CREATED, DELETED, NO_NODE, AclReply, DataReply, Refusal, Reply
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.spool import Overlay, Spool, merged
from metadata_tool.zookeeper.stat import Stat
from support.trees import client_stat

START = 100
"""The zxid of the walk."""
ACLS = [OPEN_ACL, *(pack_acls([Acl(31, "digest", f"user-{number}:secret")]) for number in range(3))]


class Znode(NamedTuple):
    """A znode of the model."""

    data: bytes
    stat: Stat
    acl: bytes


Tree = dict[bytes, Znode]


class Server:
    """The tree, its history, requests that wait for the server, and what it has sent."""

    def __init__(self, seed: int, writes: int) -> None:
        """`writes` is how many changes other clients make."""
        self.random = Random(seed)
        self.zxid = START
        self.tree: Tree = {b"": _new(0)}
        for name in (b"/a", b"/b", b"/a/1", b"/a/2", b"/b/1"):
            self._add(name, OPEN_ACL, owner=0)
        self.walked = dict(self.tree)
        self.history: dict[int, Tree] = {self.zxid: dict(self.tree)}
        self.tracker = ChangeTracker(lambda _: True, bool)
        self.tracker.begin(self.zxid)
        self.limits = ReadLimits(batch=3)
        self.wires = self
        self._writes = writes
        self._requests: deque[Callable[[], None]] = deque()
        self._sent: deque[Callable[[], None]] = deque()

    def stop_writing(self) -> None:
        """Other clients write no more."""
        self._writes = 0

    def change_unseen(self, path: bytes) -> None:
        """Change a znode without an event."""
        self.zxid += 1
        found = self.tree[path]
        self.tree[path] = found._replace(stat=found.stat._replace(mzxid=self.zxid))

    # What the program sees: the part of BulkReader and Wires that it uses.

    def pump(self) -> None:
        """Do one step."""
        steps = [self._write] * (self._writes > 0)
        steps += [self._answer] * bool(self._requests) + [self._receive] * bool(self._sent)
        assert steps, "the program waits for nothing"
        self.random.choice(steps)()

    def until(self, done: Callable[[], bool]) -> None:
        """Do steps until this is true."""
        while not done():
            self.pump()

    def multi_read(
        self,
        data: Sequence[bytes],
        done: Callable[[int, list[Reply]], None],
        arrived: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Read data that is kept."""

        def receive(zxid: int, replies: list[Reply]) -> None:
            self.tracker.reply(zxid)
            self.tracker.clear(data)
            arrived(zxid)
            done(zxid, replies)

        self._requests.append(lambda: self._read(data, receive))

    def look(self, data: Sequence[bytes], done: Callable[[int, list[Reply]], None]) -> None:
        """Read data that is not kept."""

        def receive(zxid: int, replies: list[Reply]) -> None:
            self.tracker.reply(zxid)
            done(zxid, replies)

        self._requests.append(lambda: self._read(data, receive))

    def ask_acls_here(self, paths: Sequence[bytes], done: Callable[[list[AclReply]], None]) -> None:
        """Read ACLs, each at a zxid of its own."""
        replies: list[AclReply] = []

        def receive(reply: AclReply) -> None:
            replies.append(reply)
            if len(replies) == len(paths):
                done(replies)

        self._requests.extend(partial(self._read_acl, path, receive) for path in paths)

    # The server

    def _answer(self) -> None:
        self._requests.popleft()()

    def _receive(self) -> None:
        self._sent.popleft()()

    def _read(self, paths: Sequence[bytes], receive: Callable[[int, list[Reply]], None]) -> None:
        zxid, replies = self.zxid, [self._data(path) for path in paths]
        self._sent.append(lambda: receive(zxid, replies))

    def _data(self, path: bytes) -> Reply:
        found = self.tree.get(path)
        return DataReply(buffer(found.data), self._stat(path)) if found else Refusal(NO_NODE)

    def _read_acl(self, path: bytes, receive: Callable[[AclReply], None]) -> None:
        found = self.tree.get(path)
        reply = found.acl + self._stat(path) if found else Refusal(NO_NODE)
        self._sent.append(lambda: receive(reply))

    def _stat(self, path: bytes) -> bytes:
        found = self.tree[path]
        return client_stat(found.stat, len(found.data), self._children(path))

    def _children(self, path: bytes) -> int:
        return sum(parent_of(other) == path for other in self.tree if other)

    # Other clients

    def _write(self) -> None:
        self._writes -= 1
        self.zxid += 1
        path = self.random.choice(sorted(self.tree))
        self.random.choice([self._set, self._set, self._set_acl, self._create, self._delete, self._fail])(path)
        self.history[self.zxid] = dict(self.tree)

    def _set(self, path: bytes) -> None:
        found = self.tree[path]
        stat = found.stat._replace(mzxid=self.zxid, version=found.stat.version + 1)
        self.tree[path] = Znode(b"%d" % self.zxid, stat, found.acl)
        self._tell(CHANGED, path)

    def _set_acl(self, path: bytes) -> None:
        found = self.tree[path]
        stat = found.stat._replace(aversion=found.stat.aversion + 1)
        self.tree[path] = found._replace(stat=stat, acl=self.random.choice(ACLS))

    def _fail(self, _path: bytes) -> None:
        """A failed operation has a zxid and no event."""

    def _create(self, parent: bytes) -> None:
        path = b"%s/%d" % (parent, self.random.randrange(4))
        if path not in self.tree and not self.tree[parent].stat.ephemeral_owner:
            self._add(path, self.random.choice(ACLS), self.random.choice([0, 0, 7]))
            self._tell(CREATED, path)

    def _add(self, path: bytes, acl: bytes, owner: int) -> None:
        above = self.tree[parent_of(path)]
        stat = above.stat._replace(cversion=above.stat.cversion + 1, pzxid=self.zxid)
        self.tree[parent_of(path)] = above._replace(stat=stat)
        self.tree[path] = _new(self.zxid, acl, owner)

    def _delete(self, path: bytes) -> None:
        if path and not self._children(path):
            del self.tree[path]
            above = self.tree[parent_of(path)]
            self.tree[parent_of(path)] = above._replace(stat=above.stat._replace(pzxid=self.zxid))
            self._tell(DELETED, path)

    def _tell(self, kind: int, path: bytes) -> None:
        zxid = self.zxid
        self._sent.append(lambda: self.tracker.event(kind, path, zxid))


def _new(zxid: int, acl: bytes = OPEN_ACL, owner: int = 0) -> Znode:
    return Znode(b"", Stat(zxid, zxid, 0, 0, 0, 0, 0, owner, zxid), acl)


@dataclass
class Captured:
    """A server after a cut, and the files of the capture."""

    server: Server
    cut: Cut
    table: AclTable
    spool: Spool
    overlay: Overlay

    def tree(self) -> Tree:
        """What was captured. Ephemerals have the open ACL."""
        acls = {OPEN_ACL_KEY: OPEN_ACL, **self.table.encoded()}
        nodes = (Node.decode(node) for _, node in merged(self.spool, self.overlay))
        return {node.path: Znode(node.data or b"", Stat.unpack(node.stat), acls[node.acl]) for node in nodes}

    def truth(self) -> Tree:
        """The tree of the server at the zxid of the cut."""
        return self.server.history[self.cut.zxid]

    def verify(self, verified_at_zxid: int = 0) -> set[bytes]:
        """Run the verifier. Returns the znodes whose ACL is unverified."""
        reader = cast("BulkReader", self.server)
        return AclVerifier(reader, self.spool, self.overlay).run(self.cut, verified_at_zxid)

    def cut_again(self, unverified: set[bytes]) -> None:
        """Read these again, and make another cut."""
        for path in unverified:
            self.server.tracker.mark(path)
        self.cut = ConsistentCut(cast("BulkReader", self.server), self.table, self.overlay, {}).run()


@contextmanager
def captured(seed: int, writes: int = 60) -> Iterator[Captured]:
    """A walk at one zxid, some steps, and a cut. Other clients write throughout."""
    server, table = Server(seed, writes), AclTable()
    with (
        TemporaryDirectory() as directory,
        closing(Spool(Path(directory, "walk"))) as spool,
        closing(Overlay(Path(directory, "changes"))) as overlay,
    ):
        for depth in range(3):
            spool.begin_level()
            level = sorted((path for path in server.walked if path.count(b"/") == depth), key=tree_key)
            nodes = [Node(path, b"", OPEN_ACL_KEY, server.walked[path].stat.pack()).encode() for path in level]
            spool.append(START, b"".join(nodes), len(nodes))
        for _ in range(server.random.randrange(writes // 2)):
            server.pump()
        cut = ConsistentCut(cast("BulkReader", server), table, overlay, {}).run()
        yield Captured(server, cut, table, spool, overlay)
