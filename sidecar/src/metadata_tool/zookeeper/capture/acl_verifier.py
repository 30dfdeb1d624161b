"""Verifies ACLs: setACL has no event, so the ACL version of each znode is read again after the capture's zxid.

A version never decreases. If it is the same before and after, it was the same in between. A znode needs no second read
if it was read at or after the last zxid without an event, up to the capture's zxid.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from metadata_tool.zookeeper.capture.batches import in_batches
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.consistent_cut import Cut
from metadata_tool.zookeeper.capture.multi_read import require_gone
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.requests import ReadZnodes, only_answer
from metadata_tool.zookeeper.capture.spool import Overlay, Spool
from metadata_tool.zookeeper.errors import ZnodeUnreadable
from metadata_tool.zookeeper.limits import READ_BYTES, ReadLimits
from metadata_tool.zookeeper.net.messages import Reply, Request
from metadata_tool.zookeeper.protocol import OP_BYTES, DataReply, Refusal
from metadata_tool.zookeeper.snapshot import is_ephemeral, printable, version_of
from metadata_tool.zookeeper.stat import STORED_SIZE, stored_stat, without_aversion

Candidate = tuple[bytes, bytes]
"""A path, and the znode as it was captured."""


def unverified_znodes(cut: Cut, verified_at_zxid: int, spool: Spool, overlay: Overlay) -> Iterator[Candidate]:
    """The znodes whose ACL may have been set after they were read.

    An earlier pass has verified all at `verified_at_zxid`, 0 if there was none. Recently changed ones come first,
    because a deleted znode cannot be verified.
    """
    if verified_at_zxid >= cut.last_unannounced_zxid:
        return
    for path, change in overlay.live():
        if change.zxid < cut.last_unannounced_zxid and path not in cut.unverified and not is_ephemeral(change.node):
            yield path, change.node
    for path, node in spool.read_before(cut.last_unannounced_zxid):
        if path not in overlay and not is_ephemeral(node):
            yield path, node


@dataclass(slots=True, eq=False)
class ReadAgain(ReadZnodes):
    """A multi-read whose replies are compared with what was captured, and not kept."""

    candidates: Sequence[Candidate] = field(kw_only=True)

    @classmethod
    def compared_with(cls, candidates: Sequence[Candidate]) -> "ReadAgain":
        """The request for the znodes of these."""
        read = ReadZnodes.of([path for path, _ in candidates])
        return cls(read.kind, read.bodies, paths=read.paths, candidates=candidates)


class AclVerifier(Phase):
    """Reads znodes again whose ACL is not verified yet. Then `unverified` are those whose ACL cannot be.

    Raises:
        ZnodeUnreadable: a znode is hidden from this login.
        DecodeError, ConnectionBroken, OperationMissing: as other reads do.
    """

    name = "verify"

    def __init__(
        self, tracker: ChangeTracker, candidates: Iterable[Candidate], unverified: Iterable[bytes], limits: ReadLimits
    ) -> None:
        super().__init__(tracker)
        self.unverified = set(unverified)
        self._batches = in_batches(map(_sized, candidates), limits)
        self._most = limits.in_flight
        self._in_flight = 0
        self._exhausted = False

    @property
    def done(self) -> bool:
        """Whether all have been read."""
        return self._exhausted and not self._in_flight

    def start(self) -> list[Request]:
        """Read the first ones."""
        return self.on_idle()

    def on_idle(self) -> list[Request]:
        """Read as many as may be in flight."""
        requests: list[Request] = []
        while not self._exhausted and self._in_flight < self._most:
            batch = next(self._batches, None)
            if batch is None:
                self._exhausted = True
            else:
                requests.append(ReadAgain.compared_with(batch))
                self._in_flight += 1
        return requests

    def on_reply(self, reply: Reply) -> Iterable[list[Request]]:
        """Compare the replies with what was captured. Marks stay, because nothing of these replies is kept."""
        request = reply.request
        assert isinstance(request, ReadAgain)
        zxid, body = only_answer(reply)
        self.tracker.reply(zxid)
        for (path, node), found in zip(request.candidates, request.replies(body), strict=True):
            if isinstance(found, Refusal) or stored_stat(found.stat) != node[-STORED_SIZE:]:
                self._differs(path, node, found)
        self._in_flight -= 1
        return ()

    def _differs(self, path: bytes, node: bytes, reply: DataReply | Refusal) -> None:
        if isinstance(reply, Refusal):
            require_gone(path, reply)
            self.require_event(path)
            self.unverified.add(path)
            return
        stat = stored_stat(reply.stat)
        if without_aversion(stat) != without_aversion(node[-STORED_SIZE:]):
            self.require_event(path)
        if version_of(stat) != version_of(node):
            self.unverified.add(path)

    def require_event(self, path: bytes) -> None:
        """Refuse a change without an event: the server withholds events that the login may not see (ZOOKEEPER-4799)."""
        if path not in self.tracker.dirty:
            raise ZnodeUnreadable(
                f"znode {printable(path)} changed without a watch event. "
                "This login cannot see it, or one of its children",
                "READ and ADMIN on every znode",
            )


def _sized(found: Candidate) -> tuple[Candidate, int, int]:
    """A znode with its bytes in a request, and in a reply if its size is unchanged."""
    path, node = found
    return found, len(path) + OP_BYTES, len(node) + READ_BYTES
