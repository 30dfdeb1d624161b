"""Which znodes have changed since they were last read, according to watch events.

Events and replies arrive in one order. So the reply to a read includes every change whose event came before it, and
none whose event comes after it. Therefore the reply clears a mark, and never the request.
"""

from collections.abc import Iterable

from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.net.messages import Event
from metadata_tool.zookeeper.protocol import CHANGED, CREATED, DELETED


def parent_of(path: bytes) -> bytes:
    """The parent's path. The parent of the root is the root."""
    return path[: max(path.rfind(b"/"), 0)]


class ChangeTracker:
    """Changed ("dirty") znodes in the order of their changes, and the last zxid without an event.

    `last_unannounced_zxid` is the newest zxid that no event carried: of a setACL, the start of a session, a failed
    operation. Events carry zxids since 3.9 (ZOOKEEPER-4655). Before, every zxid counts as unannounced.
    """

    def __init__(self, scope: Scope) -> None:
        """Only znodes in scope are marked."""
        self.dirty: dict[bytes, None] = {}
        self.zxid = 0
        self.last_unannounced_zxid = 0
        self.growth = 0
        """Creates minus deletes, of znodes that the server counts."""
        self._scope = scope

    def begin(self, zxid: int) -> None:
        """Start at this zxid, before the first read. Of what happened before, the marks and the growth are kept."""
        self.zxid = self.last_unannounced_zxid = max(zxid, self.zxid)

    def event(self, event: Event) -> tuple[bytes, ...]:
        """Mark the znodes that an event touches, and return their paths."""
        kind, path, zxid = event
        if zxid > self.zxid:
            if zxid > self.zxid + 1:
                self.last_unannounced_zxid = zxid - 1
            self.zxid = zxid
        if kind in (CREATED, DELETED) and self._scope.counts(path):
            self.growth += 1 if kind == CREATED else -1
        touched = self.touched(kind, path)
        for each in touched:
            self.mark(each)
        return touched

    def touched(self, kind: int, path: bytes) -> tuple[bytes, ...]:
        """The znodes that differ after an event. A create or delete also changes cversion and pzxid of the parent."""
        if kind in (CREATED, DELETED):
            return path, parent_of(path)
        return (path,) if kind == CHANGED else ()

    def mark(self, path: bytes) -> None:
        """Note that this znode must be read again."""
        if self._scope.includes(path):
            self.dirty[path] = None

    def reply(self, zxid: int) -> None:
        """Note the zxid of a reply. The events of all earlier zxids have arrived."""
        if zxid > self.zxid:
            self.zxid = self.last_unannounced_zxid = zxid

    def clear(self, paths: Iterable[bytes]) -> None:
        """Note that these znodes have been read."""
        if self.dirty:
            for path in paths:
                self.dirty.pop(path, None)
