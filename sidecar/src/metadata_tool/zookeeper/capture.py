"""A copy of the tree through the client port: parents first, level by level, by multi-reads into a spool.

A znode's stat, data and list of children come from one instant; so do its ACL and the version that its stat gives it.
The tree as a whole is exact when nothing was written meanwhile, which `first_zxid` and `last_zxid` tell.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, islice
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
_REPLY_BYTES = 1 << 20
"""What a server may have to gather for one reply, which it builds in its heap."""
_REQUEST_BYTES = 256 << 10
_NAME_BYTES = 64
_READ_BYTES = 100
_ATTEMPTS = 20
_PAUSE = 0.01
_SAY_EVERY = 10.0


@dataclass
class Capture:
    """What was captured: the zxid before and after, encoded ACLs by key, bytes of data, ephemerals left out."""

    first_zxid: int = 0
    last_zxid: int = 0
    acls: dict[int, bytes] = field(default_factory=dict)
    data_bytes: int = 0
    ephemerals: int = 0


class _Record(NamedTuple):
    """One znode at one instant; children only if it was expected to have any."""

    data: bytes | None
    stat: bytes
    children: list[bytes] | None

    def fits(self, acl: AclReply) -> bool:
        """Whether the ACL is that of this version, and the list of children was asked for if there are any."""
        complete = self.children is not None or not jute.child_count(self.stat)
        return complete and jute.acl_version(self.stat) == jute.acl_version(acl.stat)


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
        return captured

    def _read_level(self, paths: Iterable[bytes], below: PathQueue) -> None:
        for batch in _batches(paths):
            self._checkpoint()
            self._say()
            records = self._read(batch)
            for path in batch:
                if found := records.get(path):
                    record, acl = found
                    self._keep(path, record, acl)
                    children = (path + b"/" + name for name in sorted(record.children or ()))
                    for child in filter(self._in_scope, children):
                        below.put(child)

    def _keep(self, path: bytes, record: _Record, acl: bytes) -> None:
        key = self._keys.setdefault(acl, len(self._keys))
        self._spool.append(Node(path, record.data, key, jute.stored_stat(record.stat)).encode())
        self._captured.data_bytes += len(record.data or b"")
        self._found = self._found or path == self._chroot

    def _read(self, paths: Sequence[bytes]) -> dict[bytes, tuple[_Record, bytes]]:
        """Records and encoded ACLs of those znodes that still exist and are not ephemeral.

        ACLs come first: their replies tell how much data and how many children there will be to read.
        """
        done: dict[bytes, tuple[_Record, bytes]] = {}
        todo = list(paths)
        for attempt in range(_ATTEMPTS):
            time.sleep(attempt * _PAUSE)  # a server that lags behind, as behind a Service, needs a moment
            acls = self._read_acls(todo)
            todo = []
            for some in _bounded(acls):
                self._checkpoint()
                for path, record in self._read_records(some, acls).items():
                    if record.fits(acls[path]):
                        done[path] = record, self._unmasked(path, acls[path])
                    else:
                        todo.append(path)
            if not todo:
                return done
        raise ZooKeeperSessionLost(
            f"znode {printable(todo[0])} changed {_ATTEMPTS} times while it was read",
            "nothing was uploaded; find out which client changes its ACL or its children so fast",
        )

    def _unmasked(self, path: bytes, reply: AclReply) -> bytes:
        """The ACL, unless the server hid part of it; one that was seen before was looked at then."""
        return reply.acl if reply.acl in self._keys else _unmasked(path, reply)

    def _read_acls(self, paths: Sequence[bytes]) -> dict[bytes, AclReply]:
        acls: dict[bytes, AclReply] = {}
        for path, reply in zip(paths, self._session.acls([p or b"/" for p in paths]), strict=True):
            if isinstance(reply, Refusal):
                _refuse_unless_gone(path, reply)
            elif jute.is_ephemeral(reply.stat):
                self._captured.ephemerals += 1
            else:
                acls[path] = reply
        return acls

    def _read_records(self, paths: Sequence[bytes], acls: dict[bytes, AclReply]) -> dict[bytes, _Record]:
        """Data, stat and children of these znodes, all at one instant: a parent's cversion is that of its list."""
        reads: list[GetData | GetChildren] = []
        for path in paths:
            reads.append(GetData(path or b"/"))
            if jute.child_count(acls[path].stat):
                reads.append(GetChildren(path or b"/"))
        replies = iter(self._session.multi_read(reads))
        records: dict[bytes, _Record] = {}
        for path in paths:
            data = next(replies)
            children = next(replies) if jute.child_count(acls[path].stat) else None
            if isinstance(data, Refusal):
                _refuse_unless_gone(path, data)
            elif isinstance(data, DataReply) and jute.is_ephemeral(data.stat):
                self._captured.ephemerals += 1  # it was deleted and created anew
            elif isinstance(data, DataReply):
                records[path] = _Record(data.data, data.stat, children if isinstance(children, list) else None)
        return records

    def _in_scope(self, path: bytes) -> bool:
        inside = not self._chroot or (path + b"/").startswith(self._chroot + b"/")
        above = self._chroot.startswith(path + b"/")
        system = (path + b"/").startswith(SYSTEM + b"/")
        return inside or above or system

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said > _SAY_EVERY:
            log.info("captured %d znodes so far", self._spool.nodes)
            self._said = now


def _batches(paths: Iterable[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(paths)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def _bounded(acls: dict[bytes, AclReply]) -> Iterator[list[bytes]]:
    """The znodes in portions that neither make a large request nor ask for a large reply."""
    some: list[bytes] = []
    request = reply = 0
    for path, acl in acls.items():
        asks = 2 * (len(path) + 14)
        gets = _READ_BYTES + jute.data_size(acl.stat) + _NAME_BYTES * jute.child_count(acl.stat)
        if some and (request + asks > _REQUEST_BYTES or reply + gets > _REPLY_BYTES):
            yield some
            some, request, reply = [], 0, 0
        some.append(path)
        request, reply = request + asks, reply + gets
    if some:
        yield some


def _refuse_unless_gone(path: bytes, refusal: Refusal) -> None:
    if refusal.code == NO_NODE:
        return
    if refusal.code == NO_AUTH:
        raise ZnodeUnreadable(
            f"znode {printable(path)} may not be read",
            "give ZOOKEEPER_AUTH a user with READ and ADMIN on it, and the right password; nothing was uploaded",
        )
    raise ZnodeUnreadable(f"znode {printable(path)} cannot be read: ZooKeeper error {refusal.code}")


def _unmasked(path: bytes, reply: AclReply) -> bytes:
    """The ACL, unless the server hid its digests: without ADMIN it shows each as `user:x` (FinalRequestProcessor)."""
    try:
        acls, end = jute.unpack_acls(reply.acl)
    except ValueError:
        end = -1
    if end != len(reply.acl):
        raise ZooKeeperSessionLost(f"the ACL of znode {printable(path)} cannot be read", "nothing was uploaded")
    digests = [acl.id for acl in acls if acl.scheme == "digest"]
    if digests and all(digest.endswith(":x") for digest in digests):
        raise ZnodeUnreadable(
            f"the ACL of znode {printable(path)} comes back masked",
            "give ZOOKEEPER_AUTH a user with ADMIN on it (or, if its digest really is 'x', a digest that is one); "
            "nothing was uploaded",
        )
    return reply.acl
