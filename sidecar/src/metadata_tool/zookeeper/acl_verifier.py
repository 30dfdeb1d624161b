"""Verifies ACLs: setACL has no event, so the ACL version of each znode is read again after the capture's zxid.

A version never decreases. If it is the same before and after, it was the same in between. A znode needs no second read
if it was read at or after the last zxid without an event, up to the capture's zxid.
"""

from collections.abc import Iterator, Sequence

from metadata_tool.zookeeper.bulk_reader import BulkReader, in_batches
from metadata_tool.zookeeper.consistent_cut import Cut
from metadata_tool.zookeeper.errors import ZnodeUnreadable
from metadata_tool.zookeeper.limits import READ_BYTES
from metadata_tool.zookeeper.multi_read import require_gone
from metadata_tool.zookeeper.protocol import OP_BYTES, DataReply, Refusal, Reply
from metadata_tool.zookeeper.snapshot import is_ephemeral, printable, version_of
from metadata_tool.zookeeper.spool import Overlay, Spool
from metadata_tool.zookeeper.stat import STORED_SIZE, stored_stat, without_aversion


class AclVerifier:
    """Reads znodes again whose ACL is not verified yet."""

    def __init__(self, reader: BulkReader, spool: Spool, overlay: Overlay) -> None:
        self._reader = reader
        self._spool = spool
        self._overlay = overlay
        self._waiting = 0
        self._unverified: set[bytes] = set()

    def run(self, cut: Cut, verified_at_zxid: int) -> set[bytes]:
        """The znodes whose ACL at the capture's zxid is unverified. All were verified at `verified_at_zxid`, or at 0.

        Raises:
            ZnodeUnreadable: a znode is hidden from this login.
            WireError, DecodeError: as reads do.
        """
        self._unverified = set(cut.doubtful)
        if verified_at_zxid < cut.last_unannounced_zxid:
            for nodes in in_batches(map(_sized, self._candidates(cut)), self._reader.limits):
                self._reader.wires.until(lambda: self._waiting < self._reader.limits.in_flight)
                self._compare(nodes)
            self._reader.wires.until(lambda: not self._waiting)
        return self._unverified

    def _candidates(self, cut: Cut) -> Iterator[tuple[bytes, bytes]]:
        """Paths and znodes. Recently changed ones come first: a deleted znode cannot be verified."""
        for path, change in self._overlay.live():
            if change.zxid < cut.last_unannounced_zxid and path not in cut.doubtful and not is_ephemeral(change.node):
                yield path, change.node
        for path, node in self._spool.read_before(cut.last_unannounced_zxid):
            if path not in self._overlay and not is_ephemeral(node):
                yield path, node

    def _compare(self, nodes: Sequence[tuple[bytes, bytes]]) -> None:
        def done(_zxid: int, replies: list[Reply]) -> None:
            self._waiting -= 1
            for (path, node), reply in zip(nodes, replies, strict=True):
                if type(reply) is not DataReply or stored_stat(reply.stat) != node[-STORED_SIZE:]:
                    self._differs(path, node, reply)

        self._waiting += 1
        self._reader.look([path for path, _ in nodes], done)

    def _differs(self, path: bytes, node: bytes, reply: Reply) -> None:
        if isinstance(reply, Refusal):
            require_gone(path, reply)
            self.require_event(path)
            self._unverified.add(path)
        elif isinstance(reply, DataReply):
            stat = stored_stat(reply.stat)
            if without_aversion(stat) != without_aversion(node[-STORED_SIZE:]):
                self.require_event(path)
            if version_of(stat) != version_of(node):
                self._unverified.add(path)

    def require_event(self, path: bytes) -> None:
        """Refuse a change without an event: the server withholds events that the login may not see (ZOOKEEPER-4799)."""
        if path not in self._reader.tracker.dirty:
            raise ZnodeUnreadable(
                f"znode {printable(path)} changed without a watch event. "
                "This login cannot see it, or one of its children",
                "READ and ADMIN on every znode",
            )


def _sized(found: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], int, int]:
    """A znode with its bytes in a request, and in a reply if its size is unchanged."""
    path, node = found
    return found, len(path) + OP_BYTES, len(node) + READ_BYTES
