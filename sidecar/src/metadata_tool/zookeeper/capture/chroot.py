"""Looks whether the chroot of a capture exists."""

from collections.abc import Iterable

from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.multi_read import require_gone
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.requests import ReadZnodes, only_answer
from metadata_tool.zookeeper.errors import ChrootMissing
from metadata_tool.zookeeper.net.messages import Reply, Request
from metadata_tool.zookeeper.protocol import Refusal
from metadata_tool.zookeeper.snapshot import printable


class FindChroot(Phase):
    """Reads the chroot.

    Raises:
        ChrootMissing: it does not exist.
        ZnodeUnreadable, ReadRefused: it cannot be read.
        DecodeError, OperationMissing, ConnectionBroken: as other reads do.
    """

    def __init__(self, tracker: ChangeTracker, chroot: bytes) -> None:
        super().__init__(tracker)
        self._chroot = chroot
        self._found = False

    @property
    def done(self) -> bool:
        """Whether it was found."""
        return self._found

    def start(self) -> list[Request]:
        """Read it."""
        return [ReadZnodes.of([self._chroot])]

    def on_reply(self, reply: Reply) -> Iterable[list[Request]]:
        """Take the reply."""
        request = reply.request
        assert isinstance(request, ReadZnodes)
        _, body = only_answer(reply)
        (found,) = request.replies(body)
        if isinstance(found, Refusal):
            require_gone(self._chroot, found)
            raise ChrootMissing(printable(self._chroot))
        self._found = True
        return ()
