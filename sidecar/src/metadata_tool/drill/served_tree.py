"""Compares the tree that a server serves with the snapshot that it was started from, over the wire."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import ZnodeStat

from metadata_tool.drill import limits
from metadata_tool.drill.restored_files import Saved, with_acls
from metadata_tool.drill.server import Server
from metadata_tool.errors import DrillFailed
from metadata_tool.zookeeper.jute import Acl, unpack_acls
from metadata_tool.zookeeper.snapshot import printable
from metadata_tool.zookeeper.stat import Stat


class _Request(NamedTuple):
    """A znode as it should be, and the answers that are awaited."""

    saved: Saved
    data: Any
    acl: Any


def compare(server: Server, written: Path, step: Callable[[int], None]) -> None:
    """Compare every znode: path, data, ACL, stat, and the number of its children. `step` gets a running count.

    Every znode of the snapshot must be served, and none may have more children than it has there. So the server has no
    znode that the snapshot does not have.

    Raises:
        DrillFailed: the server serves something else.
    """
    with _session(server) as client, written.open("rb") as file:
        answers = _asked(client, with_acls(file))
        children = _Children()
        for count, request in enumerate(answers, 1):
            children.add(request.saved[0].path, _checked(request))
            step(count)
        children.end()


@contextmanager
def _session(server: Server) -> Iterator[KazooClient]:
    client = KazooClient(hosts=server.address, timeout=limits.SESSION, auth_data=[("digest", server.login)])
    try:
        client.start(timeout=limits.SESSION)
        yield client
    except (KazooException, KazooTimeoutError) as error:
        raise DrillFailed(
            f"the server that DRILL_SERVER starts broke off, {type(error).__name__}",
            "Look at the server's log, and at its memory",
        ) from error
    finally:
        client.stop()
        client.close()


def _asked(client: KazooClient, saved: Iterator[Saved]) -> Iterator[_Request]:
    """Requests in the order of the snapshot, a few of them ahead."""
    waiting: deque[_Request] = deque()
    for each in saved:
        path = each[0].path.decode() or "/"
        waiting.append(_Request(each, client.get_async(path), client.get_acls_async(path)))
        if len(waiting) >= limits.IN_FLIGHT:
            yield waiting.popleft()
    yield from waiting


def _checked(request: _Request) -> int:
    """How many children the server counts below a znode that is as it should be."""
    node, acl = request.saved
    data, stat = _answer(node.path, request.data)
    served_acl, _ = _answer(node.path, request.acl)
    served = Stat(
        stat.czxid,
        stat.mzxid,
        stat.ctime,
        stat.mtime,
        stat.version,
        _stored_cversion(stat),
        stat.aversion,
        stat.ephemeralOwner,
        stat.pzxid,
    )
    acls, _ = unpack_acls(acl)
    differing = {
        "data": data != node.data,
        "ACL": [Acl(each.perms, each.id.scheme, each.id.id) for each in served_acl] != acls,
        "stat": served != Stat.unpack(node.stat),
    }
    for what, differs in differing.items():
        if differs:
            raise _other(f"ZooKeeper serves another {what} of znode {printable(node.path)} than was restored")
    return int(stat.numChildren)


def _stored_cversion(stat: ZnodeStat) -> int:
    """How many creates there were below a znode, which the server counts, modulo 2^31. See zookeeper/stat.py."""
    return ((int(stat.cversion) + int(stat.numChildren)) & 0xFFFFFFFF) >> 1


def _answer(path: bytes, pending: Any) -> Any:
    try:
        return pending.get(timeout=limits.SESSION)
    except KazooException as error:
        raise _other(f"ZooKeeper does not serve znode {printable(path)}, {type(error).__name__}") from error


def _other(what: str) -> DrillFailed:
    return DrillFailed(what, "Run the drill again with another backup. If that fails, too, report this bug")


class _Children:
    """Compares how many children each znode has with how many the server counts. Paths come in tree order."""

    def __init__(self) -> None:
        self._open: list[tuple[bytes, int, int]] = []
        """The last znode and those above it: path, children that the server counts, children seen."""

    def add(self, path: bytes, served: int) -> None:
        parent = path.rpartition(b"/")[0] if path else None
        while self._open and self._open[-1][0] != parent:
            self._close()
        if self._open:
            above, counted, seen = self._open.pop()
            self._open.append((above, counted, seen + 1))
        self._open.append((path, served, 0))

    def end(self) -> None:
        while self._open:
            self._close()

    def _close(self) -> None:
        path, served, seen = self._open.pop()
        if served != seen:
            raise _other(f"ZooKeeper serves {served} children of znode {printable(path)}, but {seen} were restored")
