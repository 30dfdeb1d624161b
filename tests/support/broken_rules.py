"""A capture without one of its rules, for negative controls: each must be noticed, or the tests would prove nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_table import UNKNOWN, AclReply, AclTable
from metadata_tool.zookeeper.capture.acl_verifier import AclVerifier
from metadata_tool.zookeeper.capture.captured_tree import CapturedTree
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.consistent_cut import ConsistentCut
from metadata_tool.zookeeper.capture.requests import ReadZnodes, only_answer
from metadata_tool.zookeeper.capture.rules import Rules
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.capture.spool import Overlay, Spool
from metadata_tool.zookeeper.net.connection import Connection
from metadata_tool.zookeeper.net.messages import Event, Reply, Request
from metadata_tool.zookeeper.protocol import DELETED


class NoEvents(ChangeTracker):
    """What changes is not read again."""

    def event(self, _event: Event) -> tuple[bytes, ...]:
        """Ignore it."""
        return ()


class NoParents(ChangeTracker):
    """A create or a delete does not mark the parent."""

    def touched(self, kind: int, path: bytes) -> tuple[bytes, ...]:
        """Return the znode alone."""
        return super().touched(kind, path)[:1]


class OnlyCreatesMarkParents(ChangeTracker):
    """A delete does not mark the parent."""

    def touched(self, kind: int, path: bytes) -> tuple[bytes, ...]:
        """Return the znode alone if it was deleted."""
        return super().touched(kind, path)[: 1 if kind == DELETED else 2]


class NoGrowth(ChangeTracker):
    """Creates and deletes since the cut are not taken from the server's count."""

    def event(self, event: Event) -> tuple[bytes, ...]:
        """Do not count it."""
        before = self.growth
        touched = super().event(event)
        self.growth = before
        return touched


class EarlierRepliesClear(ChangeTracker):
    """A reply clears the mark of an event that came after it."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._cleared: set[bytes] = set()

    def clear(self, paths: Iterable[bytes]) -> None:
        """Remember them."""
        super().clear(paths)
        self._cleared.update(paths)

    def event(self, event: Event) -> tuple[bytes, ...]:
        """Take away the marks of znodes that were just read."""
        touched = super().event(event)
        for path in touched:
            if path in self._cleared:
                self.dirty.pop(path, None)
        self._cleared.clear()
        return touched


class NothingIsUnannounced(ChangeTracker):
    """Every zxid counts as announced by an event."""

    def reply(self, zxid: int) -> None:
        """Note the zxid, but not that it had no event."""
        self.zxid = max(self.zxid, zxid)

    def event(self, event: Event) -> tuple[bytes, ...]:
        """Note that every zxid before it had an event."""
        self.zxid = max(self.zxid, event.zxid - 1)
        return super().event(event)


class AlwaysHolds(ConsistentCut):
    """Every round succeeds."""

    def holds(self) -> bool:
        """Accept the round."""
        return True


class NothingIsLate(ConsistentCut):
    """Znodes that are dirty at the cut are not read."""

    def dirty(self) -> list[bytes]:
        """Report none."""
        return []


class LateIsInTime(ConsistentCut):
    """A znode that changes again before its late read is accepted."""

    def on_event(self, event: Event) -> None:
        """Mark its znodes, and no more."""
        self.tracker.event(event)


class WrongZxid(ConsistentCut):
    """The zxid is that of the last reply, not of the first."""

    def on_reply(self, reply: Reply) -> Iterator[list[Request]]:
        """Take its zxid."""
        yield from super().on_reply(reply)
        if isinstance(reply.request, ReadZnodes):
            self.round.zxid = max(self.round.zxid, only_answer(reply)[0])


class AclsHold(ConsistentCut):
    """The ACL of a late read counts as that of the cut."""

    def acl_holds(self, _node: bytes, _before: bytes | None) -> bool:
        """Accept it."""
        return True


class AnyVersion(AclTable):
    """An ACL of any version of its znode is accepted."""

    def same_version(self, _one: bytes, _other: bytes) -> bool:
        """Accept it."""
        return True


class AnyVersionLater(AclTable):
    """An ACL of any version of its znode is accepted, for znodes that are read again."""

    def of_tail(self, path: bytes, _tail: bytes, reply: AclReply) -> int:
        """Accept it."""
        return self.of_any_version(path, reply, UNKNOWN)


class SameZxid(AclTable):
    """An ACL is accepted for a znode with the same zxid in another history."""

    def same_version(self, one: bytes, other: bytes) -> bool:
        """Ignore the time of the create."""
        return one[:8] == other[:8] and one[40:44] == other[40:44]


class Masked(AclTable):
    """Masked ACLs are accepted."""

    def require_unmasked(self, _path: bytes, _acl: bytes) -> None:
        """Accept a masked ACL."""


class NotVerified(AclVerifier):
    """ACLs are not read once more."""

    @property
    def done(self) -> bool:
        """Be done at once."""
        return True

    def start(self) -> list[Request]:
        """Ask for nothing."""
        return []


class VerifierClears(AclVerifier):
    """A read that keeps nothing takes marks away."""

    def on_reply(self, reply: Reply) -> Iterable[list[Request]]:
        """Clear them."""
        assert isinstance(reply.request, ReadZnodes)
        self.tracker.clear(reply.request.paths)
        return super().on_reply(reply)


class NotCounted(CapturedTree):
    """The server's count is ignored."""

    def require_all(self, _found: int) -> None:
        """Accept any number."""


class ChildrenStay(Overlay):
    """If a parent was deleted, its children come back."""

    def remove(self, path: bytes) -> None:
        """Forget what is known of its children."""
        super().remove(path)
        for other in [other for other in self._places if other.startswith(path + b"/")]:
            del self._places[other]


class NeverForgets(AclCache):
    """The cache stays as it is when the connection breaks."""

    def learn(self, walk: Spool, table: AclTable) -> None:
        """Replace its content, as ever."""
        super().forget()
        super().learn(walk, table)

    def forget(self) -> None:
        """Keep everything."""


class ThrottledAreDropped(Connection):
    """Throttled requests are not sent again."""

    def send_again(self, _request: Request) -> None:
        """Send nothing."""


class Trusting(AclVerifier):
    """A change without an event is accepted, so that a wrong capture is not refused before it is compared."""

    def require_event(self, _path: bytes) -> None:
        """Accept it."""


class TrustingVerifierClears(VerifierClears, Trusting):
    """Changes without an event are accepted, and marks are taken away."""


WITHOUT: dict[str, Rules] = {
    **{
        rule.__name__: Rules(tracker=rule)
        for rule in (NoEvents, NoParents, OnlyCreatesMarkParents, NoGrowth, EarlierRepliesClear, NothingIsUnannounced)
    },
    **{rule.__name__: Rules(cut=rule) for rule in (AlwaysHolds, NothingIsLate, LateIsInTime, WrongZxid, AclsHold)},
    **{rule.__name__: Rules(table=rule) for rule in (AnyVersion, AnyVersionLater, SameZxid, Masked)},
    **{rule.__name__: Rules(verifier=rule) for rule in (NotVerified, VerifierClears)},
    "NotCounted": Rules(result=NotCounted),
    "ChildrenStay": Rules(overlay=ChildrenStay),
    "NoQuotas": Rules(is_quota_stats=lambda _: False),
}
"""The rules of a capture without one of them, by the name of what is missing."""


def unchecked(name: str) -> Rules:
    """The rules without one, and without the checks that refuse a tree, which would stop a wrong capture."""
    verifiers: dict[str, type[AclVerifier]] = {"NotVerified": NotVerified, "VerifierClears": TrustingVerifierClears}
    return replace(WITHOUT[name], result=NotCounted, verifier=verifiers.get(name, Trusting))
