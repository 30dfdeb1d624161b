"""Asks the server how many znodes it has. Znodes that are hidden from this login show only in this number."""

from collections.abc import Iterable

from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.consistent_cut import Cut
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.errors import ChrootDeleted, OperationMissing, ZnodeUnreadable
from metadata_tool.zookeeper.net.messages import Reply, Request
from metadata_tool.zookeeper.snapshot import printable


class ZnodeCount(Phase):
    """The number of znodes below the capture's root at its zxid, ephemerals included. Then `counted` is set.

    Raises:
        ChrootDeleted: there is no root any more.
        ZnodeUnreadable: it cannot be counted.
        OperationMissing: the server is too old for it.
        DecodeError: the answer is malformed.
    """

    counted: int | None = None

    def __init__(self, tracker: ChangeTracker, chroot: bytes, cut: Cut) -> None:
        super().__init__(tracker)
        self._chroot = chroot
        self._growth_at_cut = cut.growth

    @property
    def done(self) -> bool:
        """Whether the number is known."""
        return self.counted is not None

    def start(self) -> list[Request]:
        """Ask for the number."""
        return [Request(protocol.COUNT_BELOW, [protocol.on_wire(self._chroot)])]

    def on_reply(self, reply: Reply) -> Iterable[list[Request]]:
        """Take the current number, without what was created or deleted since the cut."""
        ((zxid, error, body),) = reply.answers
        if error == protocol.UNIMPLEMENTED:
            raise OperationMissing
        if error == protocol.NO_NODE:
            raise ChrootDeleted(printable(self._chroot))
        if error:
            raise ZnodeUnreadable(
                f"the znodes below {printable(self._chroot)} cannot be counted, ZooKeeper error {error}", "READ on it"
            )
        self.tracker.reply(zxid)
        self.counted = protocol.count(body) - (self.tracker.growth - self._growth_at_cut)
        return ()
