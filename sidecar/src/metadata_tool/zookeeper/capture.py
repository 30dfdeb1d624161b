"""A copy of the tree through the client port: parents first, level by level, by multi-reads into a spool.

A znode's stat, data and list of children come from one instant; so do its ACL and the version that its stat gives it.
The tree as a whole is exact when nothing was written meanwhile, which `first_zxid` and `last_zxid` tell.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from metadata_tool.errors import SettingError, ZnodeUnreadable, ZooKeeperSessionLost
from metadata_tool.lifecycle import Checkpoint
from metadata_tool.zookeeper import jute
from metadata_tool.zookeeper.session import (
    NO_AUTH,
    NO_NODE,
    AclReply,
    DataReply,
    GetChildren,
    GetData,
    Refusal,
    Session,
)
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, printable
from metadata_tool.zookeeper.spool import PathQueue, Spool

log = logging.getLogger(__name__)

SYSTEM = b"/zookeeper"
_BATCH = 256
_BATCH_BYTES = 1 << 20
_REQUEST_BYTES = 256 << 10
_CHILDREN_AT_ONCE = 20_000
_ATTEMPTS = 20
_SAY_EVERY = 10.0


@dataclass
class Capture:
    """What was captured: the zxid before and after, encoded ACLs by key, znodes, bytes of data, ephemerals left out."""

    first_zxid: int = 0
    last_zxid: int = 0
    acls: dict[int, bytes] = field(default_factory=dict)
    nodes: int = 0
    data_bytes: int = 0
    ephemerals: int = 0


class _Record(NamedTuple):
    data: bytes | None
    stat: bytes
    children: list[bytes]


def capture(session: Session, spool: Spool, workdir: Path, chroot: bytes, checkpoint: Checkpoint) -> Capture:
    """Copy the tree into the spool, without ephemerals.

    With a chroot (`/a/b`, or empty) only what lies under it is copied, with the znodes above it and ZooKeeper's own
    under `/zookeeper`, all at their real paths: clients of a restored ensemble use the same chroot.

    Raises:
        ZnodeUnreadable: a znode may not be read, or its ACL comes back masked.
        ZooKeeperSessionLost: the connection broke, or a znode changed faster than it could be read.
    """
    return _Walk(session, spool, chroot, checkpoint).run(workdir)


class _Walk:
    def __init__(self, session: Session, spool: Spool, chroot: bytes, checkpoint: Checkpoint) -> None:
        self._session = session
        self._spool = spool
        self._chroot = chroot
        self._checkpoint = checkpoint
        self._keys: dict[bytes, int] = {jute.OPEN_ACL: OPEN_ACL_KEY}
        self._batch = 16
        self._said = time.monotonic()
        self._captured = Capture()
        self._found = not chroot

    def run(self, workdir: Path) -> Capture:
        captured = self._captured
        self._session.sync()
        captured.first_zxid = self._session.zxid
        with ExitStack() as queues:
            below = PathQueue(workdir / "level-0")
            below.put(b"")
            for depth in count(1):
                level, below = below, PathQueue(workdir / f"level-{depth}")
                queues.callback(below.close)
                self._spool.begin_level()
                self._read_level(level.drain(), below)
                if not below.size:
                    break
        if not self._found:
            raise SettingError(
                f"ZOOKEEPER_SERVERS: the chroot {printable(self._chroot)} does not exist", "check its spelling"
            )
        captured.last_zxid = self._session.zxid
        captured.acls = {key: acl for acl, key in self._keys.items() if key != OPEN_ACL_KEY}
        captured.nodes = self._spool.nodes
        return captured

    def _read_level(self, paths: Iterable[bytes], below: PathQueue) -> None:
        for batch in self._batches(paths):
            self._checkpoint()
            self._say()
            records = self._read(batch)
            for path in batch:
                if found := records.get(path):
                    record, acl = found
                    self._keep(path, record, acl)
                    children = (path + b"/" + name for name in sorted(record.children))
                    for child in filter(self._in_scope, children):
                        below.put(child)

    def _keep(self, path: bytes, record: _Record, acl: bytes) -> None:
        key = self._keys.setdefault(acl, len(self._keys))
        self._spool.append(Node(path, record.data, key, jute.stored_stat(record.stat)).encode())
        self._captured.data_bytes += len(record.data or b"")
        self._found = self._found or path == self._chroot

    def _read(self, paths: Sequence[bytes]) -> dict[bytes, tuple[_Record, bytes]]:
        """Records and encoded ACLs of those znodes that still exist and are not ephemeral."""
        done: dict[bytes, tuple[_Record, bytes]] = {}
        todo = list(paths)
        for _ in range(_ATTEMPTS):
            records = self._read_data(todo)
            self._read_children(records)
            todo = []
            for path, reply in zip(records, self._session.acls([p or b"/" for p in records]), strict=True):
                record = records[path]
                if isinstance(reply, Refusal):
                    _refuse_unless_gone(path, reply)
                elif jute.acl_version(reply.stat) != jute.acl_version(record.stat):
                    todo.append(path)
                else:
                    done[path] = record, _unmasked(path, reply)
            if not todo:
                return done
        raise ZooKeeperSessionLost(
            f"the ACL of znode {printable(todo[0])} changed {_ATTEMPTS} times while it was read",
            "nothing was uploaded; find out which client changes it",
        )

    def _read_data(self, paths: Sequence[bytes]) -> dict[bytes, _Record]:
        records: dict[bytes, _Record] = {}
        size = 0
        for path, reply in zip(paths, self._session.multi_read([GetData(p or b"/") for p in paths]), strict=True):
            if isinstance(reply, Refusal):
                _refuse_unless_gone(path, reply)
            elif isinstance(reply, DataReply):
                size += len(reply.data or b"") + len(reply.stat)
                if jute.is_ephemeral(reply.stat):
                    self._captured.ephemerals += 1
                else:
                    records[path] = _Record(reply.data, reply.stat, [])
        self._adapt(size)
        return records

    def _read_children(self, records: dict[bytes, _Record]) -> None:
        """Read parents again together with their children: a parent's cversion must be that of its list."""
        parents = [path for path, record in records.items() if jute.child_count(record.stat)]
        for some in _by_children(parents, records):
            self._checkpoint()
            reads = [read for path in some for read in (GetData(path or b"/"), GetChildren(path or b"/"))]
            replies = self._session.multi_read(reads)
            for path, data, children in zip(some, replies[::2], replies[1::2], strict=True):
                if isinstance(data, DataReply) and isinstance(children, list):
                    records[path] = _Record(data.data, data.stat, children)
                else:
                    _refuse_unless_gone(path, next(r for r in (data, children) if isinstance(r, Refusal)))
                    del records[path]

    def _in_scope(self, path: bytes) -> bool:
        inside = not self._chroot or (path + b"/").startswith(self._chroot + b"/")
        above = self._chroot.startswith(path + b"/")
        system = (path + b"/").startswith(SYSTEM + b"/")
        return inside or above or system

    def _batches(self, paths: Iterable[bytes]) -> Iterator[list[bytes]]:
        """Paths in batches that are bounded by what the last replies weighed, and by the size of a request."""
        batch: list[bytes] = []
        size = 0
        for path in paths:
            if batch and (len(batch) >= self._batch or size + len(path) > _REQUEST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(path)
            size += len(path) + 14
        if batch:
            yield batch

    def _adapt(self, size: int) -> None:
        if size > _BATCH_BYTES:
            self._batch = max(1, self._batch // 4)
        elif size < _BATCH_BYTES // 4:
            self._batch = min(_BATCH, self._batch * 2)

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said > _SAY_EVERY:
            log.info("captured %d znodes so far", self._spool.nodes)
            self._said = now


def _by_children(parents: Sequence[bytes], records: dict[bytes, _Record]) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    children = 0
    for path in parents:
        more = jute.child_count(records[path].stat)
        if some and children + more > _CHILDREN_AT_ONCE:
            yield some
            some, children = [], 0
        some.append(path)
        children += more
    if some:
        yield some


def _refuse_unless_gone(path: bytes, refusal: Refusal) -> None:
    if refusal.code == NO_NODE:
        return
    if refusal.code == NO_AUTH:
        raise ZnodeUnreadable(
            f"znode {printable(path)} may not be read",
            "give ZOOKEEPER_AUTH a user with READ and ADMIN on it; nothing was uploaded",
        )
    raise ZnodeUnreadable(f"znode {printable(path)} cannot be read: ZooKeeper error {refusal.code}")


def _unmasked(path: bytes, reply: AclReply) -> bytes:
    """The ACL, unless the server hid its digests (FinalRequestProcessor does, without ADMIN)."""
    acls, _ = jute.unpack_acls(reply.acl)
    if any(acl.scheme == "digest" and acl.id.endswith(":x") for acl in acls):
        raise ZnodeUnreadable(
            f"the ACL of znode {printable(path)} comes back masked",
            "give ZOOKEEPER_AUTH a user with ADMIN on it; nothing was uploaded",
        )
    return reply.acl
