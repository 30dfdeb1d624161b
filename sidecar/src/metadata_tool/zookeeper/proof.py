"""The proof of ACLs: setACL tells nobody, so a znode's ACL version is read once more after the capture's zxid.

A version never goes back. The same before and after: so it was in between. A znode is proven without that if it was
read at or after the last zxid, up to the capture's, of which no event told.
"""

from collections.abc import Iterator, Sequence

from metadata_tool.zookeeper.closing import Closed
from metadata_tool.zookeeper.protocol import OP_BYTES, DataReply, Reply
from metadata_tool.zookeeper.reads import READ_BYTES, REPLY_BYTES, Gentleness, Reads
from metadata_tool.zookeeper.snapshot import is_ephemeral, path_of, version_of
from metadata_tool.zookeeper.spool import Changes, Spool


class Proof:
    """Reads again what is not proven yet."""

    def __init__(self, reads: Reads, spool: Spool, changes: Changes) -> None:
        self._reads = reads
        self._spool = spool
        self._changes = changes
        self._waiting = 0
        self._unproven: set[bytes] = set()
        self.read = 0
        """Znodes read again so far."""

    def run(self, closed: Closed, proven_at: int) -> set[bytes]:
        """The znodes whose ACL may be another at the capture's zxid; all were proven at an earlier zxid, or at 0.

        Raises:
            ZnodeUnreadable, WireError: as reads do.
        """
        self._unproven = set(closed.doubtful)
        if proven_at < closed.last_silent:
            for nodes in _portions(self._candidates(closed), self._reads.gentleness):
                self._reads.wires.until(lambda: self._waiting < self._reads.gentleness.in_flight)
                self._compare(nodes)
            self._reads.wires.until(lambda: not self._waiting)
        return self._unproven

    def _candidates(self, closed: Closed) -> Iterator[bytes]:
        """What changed lately first: it is likely to be gone soon, and what has gone cannot be proven."""
        for path, change in self._changes.live():
            if change.zxid < closed.last_silent and path not in closed.doubtful and not is_ephemeral(change.node):
                yield change.node
        for zxid, nodes in self._spool.batches():
            if zxid < closed.last_silent:
                for node in nodes:
                    if path_of(node) not in self._changes and not is_ephemeral(node):
                        yield node

    def _compare(self, nodes: Sequence[bytes]) -> None:
        def done(_zxid: int, replies: list[Reply]) -> None:
            self._waiting -= 1
            for node, reply in zip(nodes, replies, strict=True):
                if type(reply) is not DataReply or (reply.stat[:8], reply.stat[40:44]) != version_of(node):
                    self._unproven.add(path_of(node))

        self._waiting += 1
        self.read += len(nodes)
        self._reads.look([path_of(node) for node in nodes], done)


def _portions(nodes: Iterator[bytes], gentleness: Gentleness) -> Iterator[list[bytes]]:
    """Bounded in number, in the bytes of the request, and by what they had when they were read before."""
    portion: list[bytes] = []
    asks = gets = 0
    for node in nodes:
        its_asks, its_gets = len(path_of(node)) + OP_BYTES, len(node) + READ_BYTES
        over = asks + its_asks > gentleness.request_bytes or gets + its_gets > REPLY_BYTES
        if portion and (over or len(portion) >= gentleness.batch):
            yield portion
            portion, asks, gets = [], 0, 0
        portion.append(node)
        asks, gets = asks + its_asks, gets + its_gets
    if portion:
        yield portion
