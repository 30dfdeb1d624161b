"""Watches the complete tree, so that from then on every create, delete and set is reported as an event."""

from collections.abc import Iterable

from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.requests import only_answer
from metadata_tool.zookeeper.errors import TreeWatchUnsupported
from metadata_tool.zookeeper.net.messages import Reply, Request


class Watch(Phase):
    """Adds a persistent recursive watch on the root, then syncs. Then `first_zxid` is set.

    Raises:
        TreeWatchUnsupported: the server runs with a watch manager that cannot do that.
        OperationMissing: the server is too old for it.
        ConnectionBroken: the server refused it.
    """

    first_zxid: int | None = None
    """Every change after it has an event."""

    @property
    def done(self) -> bool:
        """Whether all changes will have events."""
        return self.first_zxid is not None

    def start(self) -> list[Request]:
        """Add the watch. The sync follows its reply, so that no server without watches is asked for one."""
        return [Request(protocol.ADD_WATCH, [protocol.watch_everything()])]

    def on_reply(self, reply: Reply) -> Iterable[list[Request]]:
        """Take the replies to both."""
        if reply.answers[0][1] == protocol.MARSHALLING:
            raise TreeWatchUnsupported
        zxid, _ = only_answer(reply)
        if reply.request.kind == protocol.ADD_WATCH:
            yield [Request(protocol.SYNC, [protocol.on_wire(b"")])]
        else:
            self.first_zxid = max(zxid, self.tracker.zxid)
            self.tracker.begin(self.first_zxid)
