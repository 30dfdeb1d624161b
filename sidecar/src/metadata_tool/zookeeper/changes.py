"""What events say has changed since it was last read.

Events and replies come in one order, so the reply to a read shows everything that an event told before it, and nothing
that one tells after it: it is the reply that takes a mark away, never the sending.
"""

from collections.abc import Callable, Iterable

from metadata_tool.zookeeper.protocol import CHANGED, CREATED, DELETED


def parent_of(path: bytes) -> bytes:
    """The znode above; the root's is the root."""
    return path[: max(path.rfind(b"/"), 0)]


class ChangeTracker:
    """Marked znodes, in the order in which they were marked; and which zxids nobody told about.

    `last_silent` is the newest zxid that no event carried: a setACL is one, a session's begin or a failed operation,
    too. Events carry zxids since 3.9 (ZOOKEEPER-4655); before, every zxid counts as silent.
    """

    def __init__(self, in_scope: Callable[[bytes], bool], counted: Callable[[bytes], bool]) -> None:
        """Only what is in scope is marked; `growth` is of what is counted."""
        self.dirty: dict[bytes, None] = {}
        self.zxid = 0
        self.last_unannounced_zxid = 0
        self.growth = 0
        """Creates less deletes so far."""
        self.broken: set[bytes] = set()
        """What was marked again while it was pending."""
        self.pending: set[bytes] = set()
        self._in_scope = in_scope
        self._counted = counted

    def begin(self, zxid: int) -> None:
        """Nothing was read yet: what happened up to this zxid is of no concern, but for the marks."""
        self.zxid = self.last_unannounced_zxid = max(zxid, self.zxid)

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """An event came: mark its znode; with a create or delete its parent, too, whose cversion and pzxid changed."""
        if zxid > self.zxid:
            if zxid > self.zxid + 1:
                self.last_unannounced_zxid = zxid - 1
            self.zxid = zxid
        if kind in (CREATED, DELETED):
            if self._counted(path):
                self.growth += 1 if kind == CREATED else -1
            self.mark(path)
            self.mark(parent_of(path))
        elif kind == CHANGED:
            self.mark(path)

    def mark(self, path: bytes) -> None:
        """This znode must be read again."""
        if path in self.pending:
            self.broken.add(path)
        if self._in_scope(path):
            self.dirty[path] = None

    def reply(self, zxid: int) -> None:
        """A reply showed this zxid: events of all before it have come."""
        if zxid > self.zxid:
            self.zxid = self.last_unannounced_zxid = zxid

    def clear(self, paths: Iterable[bytes]) -> None:
        """The reply to a read of these came."""
        if self.dirty:
            for path in paths:
                self.dirty.pop(path, None)
        if self.pending:
            self.pending.difference_update(paths)

    def await_late(self, paths: Iterable[bytes]) -> None:
        """Watch these until they are cleared: what is marked again before is broken."""
        self.pending, self.broken = set(paths), set()
