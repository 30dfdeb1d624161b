"""Finds the zxid of a capture: one at which all that was read is consistent, once few changed znodes are left.

Theory of operation. Events and replies of one connection arrive in the order of the server's transactions, so a reply
with zxid R shows every change up to R, and all events up to R have come before it. A round is:

    1. ask first     one multi-read of dirty znodes, as many as fit, and of those that are likely to change again
    2. meanwhile     what is dirty and was not asked for is asked for, too, as much as may be in flight ("late reads")
    3. the reply     to the first request: its zxid is Z, and what it holds is the state at Z
    4. D             the znodes that are dirty now: they changed before Z, or their ACL is unknown
    5. ask for D     as far as it was not asked for, soon: also late reads
    6. their replies each shows its znode at a later zxid L

If no event hits a znode of D between Z and its own reply, it did not change from Z to L, so its value is that at Z. All
other znodes are as they were last read, because they are not dirty. Then everything is consistent at Z.

    state of a round   input                                  next state
    FIRST              reply to the first request             LATE: Z and D are known
    LATE               event for a znode of D                 FAILED
    LATE               all replies, and D was read            ACLS if some are unknown, else the cut is found
    LATE               all replies, but D was not read (*)    FIRST, of the next round
    FAILED             all replies                            FIRST, of the next round
    ACLS               their replies                          the cut is found, or FIRST if an ACL cannot be read

(*) A znode of D was read before Z and changed again, which happens only if the first request was throttled. Or a quota
counter was read late, so that its value at Z is unknown.

A failed round is not lost: its reads count as any other reads. One multi-read of all dirty znodes would be simpler, but
behind a slow network there are always more of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple, Protocol

from metadata_tool.zookeeper import limits, protocol, stat
from metadata_tool.zookeeper.capture.acl_table import UNKNOWN, AclTable, acl_replies
from metadata_tool.zookeeper.capture.batches import in_batches
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.multi_read import require_gone
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.requests import ReadAcls, ReadZnodes, only_answer
from metadata_tool.zookeeper.errors import NeverConsistent
from metadata_tool.zookeeper.limits import ReadLimits
from metadata_tool.zookeeper.net.messages import Event, Reply, Request
from metadata_tool.zookeeper.protocol import DataReply, Refusal
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, acl_of, encode_sliced, tail_of, version_of, with_acl


def is_quota_stats(path: bytes) -> bool:
    """Whether the server changes the data of this znode without an event, a transaction or a new stat (DataTree)."""
    return path.startswith(b"/zookeeper/quota/") and path.endswith(b"/zookeeper_stats")


class ChangedZnodes(Protocol):
    """The znodes that were read again since the walk, by path. In the program they are a file (`Overlay`)."""

    def tail(self, path: bytes) -> bytes | None:
        """The key of the ACL and the stat, None if the znode was not read again, or was deleted."""

    def size(self, path: bytes) -> int | None:
        """The bytes of the encoded znode, None in the same cases."""

    def put(self, path: bytes, zxid: int, node: bytes) -> None:
        """Set the state of a znode, which was read at this zxid."""

    def set_acl(self, path: bytes, key: int) -> None:
        """Set the key of the ACL of a znode that was put."""

    def remove(self, path: bytes) -> None:
        """Note that a znode was deleted."""


class Cut(NamedTuple):
    """The capture's zxid, the last zxid without an event up to there, creates minus deletes up to there, and rounds.

    The ACL versions of `unverified` znodes were read after that zxid, and may be later ones. The quota counters in
    `stale_quotas` may be older than that zxid, because they do not fit into one request.
    """

    zxid: int
    last_unannounced_zxid: int
    growth: int
    rounds: int
    unverified: frozenset[bytes]
    stale_quotas: frozenset[bytes]


class State(Enum):
    """The state of a round."""

    FIRST = "Z is not known yet"
    LATE = "Z is known, and no znode of D has changed since"
    FAILED = "a znode of D changed before it was read"
    ACLS = "the round succeeds if the ACLs that are unknown can be read"


@dataclass
class Round:
    """One round. `asked` are the paths that it has requested, in `in_flight` requests without a reply."""

    number: int
    state: State = State.FIRST
    zxid: int = 0
    last_unannounced_zxid: int = 0
    growth: int = 0
    first: Request | None = None
    asked: set[bytes] = field(default_factory=set)
    in_flight: int = 0
    unread: set[bytes] = field(default_factory=set)
    """D, without those that have been read since."""
    rest: Iterator[list[bytes]] = field(default_factory=lambda: iter(()))
    """D, without those that have been requested, in batches."""
    changed: set[bytes] = field(default_factory=set)
    """Znodes of D that changed before they were read."""
    stale_quotas: frozenset[bytes] = frozenset()
    late_quotas: bool = False
    """Whether a late read showed a quota counter, so that its value at Z is unknown."""
    unknown: dict[bytes, int] = field(default_factory=dict)
    """Znodes whose ACL is unknown in this version, with the key of an earlier ACL if there is one."""
    unverified: set[bytes] = field(default_factory=set)


class ConsistentCut(Phase):
    """Repeats rounds until one succeeds. Then `cut` is set.

    Raises, from all methods:
        NeverConsistent: the tree changes too fast.
        ZnodeUnreadable, ReadRefused: the login cannot read a znode or its whole ACL, or the server refuses it.
        DecodeError, ConnectionBroken: an answer is malformed, or an error.
    """

    name = "cut"

    def __init__(
        self,
        tracker: ChangeTracker,
        table: AclTable,
        overlay: ChangedZnodes,
        quotas: dict[bytes, None],
        read_limits: ReadLimits,
    ) -> None:
        """`quotas` are znodes that the server changes without an event. They are part of every first request."""
        super().__init__(tracker)
        self._table = table
        self._overlay = overlay
        self._quotas = quotas
        self._limits = read_limits
        self._recent: dict[bytes, None] = {}
        """Recently changed znodes, the latest last."""
        self.round = Round(0)
        self.cut: Cut | None = None

    @property
    def done(self) -> bool:
        """Whether a round has succeeded."""
        return self.cut is not None

    @property
    def progress(self) -> str:  # type: ignore[override]  # a constant of other phases
        """What to say while it takes long."""
        failed, changed = self.round.number - 1, len(self.round.changed)
        return f"no consistent point yet after {failed} rounds, {changed} znodes changed during this one"

    def start(self) -> list[Request]:
        """Begin the first round."""
        return self._begin()

    def on_event(self, event: Event) -> None:
        """An event marks its znodes. If one of them is in D and was not read since, its value at Z is lost."""
        round_ = self.round
        for path in self.tracker.event(event):
            if path in round_.unread:
                round_.changed.add(path)
                round_.state = State.FAILED

    def on_reply(self, reply: Reply) -> Iterator[list[Request]]:
        """Every reply goes through these steps, in this order."""
        round_, request = self.round, reply.request
        if isinstance(request, ReadZnodes):
            zxid, body = only_answer(reply)
            self.tracker.reply(zxid)  # no event up to this zxid is still to come
            self.tracker.clear(request.paths)  # the reply shows every change of these up to this zxid
            round_.unread.difference_update(request.paths)
            if request is round_.first:
                self._know_z(zxid)
                yield self._late_reads()  # on their way before this reply is decoded, because they must come soon
            self._keep_all(request, zxid, body)
        elif isinstance(request, ReadAcls):
            self._learn_acls(request, reply)
        round_.in_flight -= 1

    def on_idle(self) -> list[Request]:
        """Ask for what has changed meanwhile, or end the round once all replies are there."""
        late = self._late_reads()
        return late if late or self.round.in_flight else self._end()

    def _begin(self) -> list[Request]:
        """Read quota counters, changed and recently changed znodes in one multi-read, whose zxid is Z."""
        if self.round.number == limits.CUT_ROUNDS:
            raise NeverConsistent(limits.CUT_ROUNDS)
        self.round = Round(self.round.number + 1)
        wanted = dict.fromkeys([*self._quotas, b"", *self.tracker.dirty, *reversed(self._recent)])
        first = next(self._batches(sorted(wanted, key=self._has_unknown_size)))
        self.round.stale_quotas = frozenset(self._quotas.keys() - set(first))
        requests = self._reads(first)
        self.round.first = requests[0]
        return requests

    def _know_z(self, zxid: int) -> None:
        """Z is known, and so is D."""
        self.round.zxid = zxid
        self.round.last_unannounced_zxid = self.tracker.last_unannounced_zxid
        self.round.growth = self.tracker.growth
        self.round.unread = set(self.dirty())
        self.round.rest = self._not_asked()
        self.round.state = State.LATE

    def dirty(self) -> list[bytes]:
        """Changed znodes that were not read since. When the reply at Z arrives, this is D."""
        return list(self.tracker.dirty)

    def _late_reads(self) -> list[Request]:
        """Read what is dirty by now, or once Z is known, the rest of D, as much as may be in flight."""
        round_, most = self.round, self._limits.cut_in_flight
        if round_.in_flight >= most:
            return []
        requests: list[Request] = []
        batches = self._not_asked() if round_.state is State.FIRST else round_.rest
        while round_.in_flight < most and (batch := next(batches, None)):
            requests += self._reads(batch)
        return requests

    def _not_asked(self) -> Iterator[list[bytes]]:
        """What is dirty and was not requested in this round, in batches."""
        late = [path for path in self.dirty() if path not in self.round.asked]
        return self._batches(sorted(late, key=self._has_unknown_size))

    def _reads(self, paths: list[bytes]) -> list[Request]:
        """Requests for these, and behind them for their ACLs, where no earlier one may still be valid."""
        requests: list[Request] = [ReadZnodes.of(paths)]
        if unknown := [path for path in paths if self._needs_acl(path)]:
            requests.append(ReadAcls.of(unknown))
        self.round.asked.update(paths)
        self.round.in_flight += len(requests)
        return requests

    def _keep_all(self, request: ReadZnodes, zxid: int, body: bytes) -> None:
        is_late = request is not self.round.first
        for path, reply in zip(request.paths, request.replies(body), strict=True):
            if isinstance(reply, Refusal):
                require_gone(path, reply)
                self._forget(path)
            else:
                self._keep(path, reply, zxid, is_late=is_late)

    def _forget(self, path: bytes) -> None:
        self._overlay.remove(path)
        for known in (self._quotas, self._recent, self.round.unknown):
            known.pop(path, None)

    def _keep(self, path: bytes, reply: DataReply, zxid: int, *, is_late: bool) -> None:
        round_, before = self.round, self._overlay.tail(path)
        if is_quota_stats(path):
            self._quotas[path] = None
            round_.late_quotas |= is_late
        key = OPEN_ACL_KEY if stat.is_ephemeral(reply.stat) else UNKNOWN
        node = encode_sliced(path, reply.data, key, stat.stored_stat(reply.stat))
        if key == UNKNOWN and before and version_of(before) == version_of(node):
            key = acl_of(before)
            node = with_acl(node, key)
        if key == UNKNOWN:
            same_create = before and version_of(before)[0] == version_of(node)[0]
            round_.unknown[path] = acl_of(before) if before and same_create else UNKNOWN
        else:
            round_.unknown.pop(path, None)
        if is_late and not self.acl_holds(node, before):
            round_.unverified.add(path)
        if tail_of(node) != before:
            self._note_recent(path)
        self._overlay.put(path, zxid, node)

    def acl_holds(self, node: bytes, before: bytes | None) -> bool:
        """Whether a late read shows the ACL version of Z.

        A version never decreases. So it does if the ACL was never set, if the version is the same as before, or if
        every zxid since Z had an event.
        """
        same = before is not None and version_of(before) == version_of(node)
        never_set = version_of(node)[1] == stat.NEVER_SET
        return same or never_set or self.tracker.last_unannounced_zxid <= self.round.zxid

    def _learn_acls(self, request: ReadAcls, reply: Reply) -> None:
        """Take the ACLs of znodes that were read just before."""
        round_ = self.round
        for path, acl in zip(request.paths, acl_replies(reply.answers), strict=True):
            tail = self._overlay.tail(path)
            if path not in round_.unknown or tail is None:
                continue
            key = self._table.of_tail(path, tail, acl)
            if key == UNKNOWN and round_.state is State.ACLS:  # it was set or deleted since
                key = self._table.of_any_version(path, acl, round_.unknown[path])
                round_.unverified.add(path)
            if key != UNKNOWN:
                self._overlay.set_acl(path, key)
                self._note_recent(path)
                del round_.unknown[path]

    def _end(self) -> list[Request]:
        """The cut, another question about unknown ACLs, or the next round."""
        round_ = self.round
        if self.holds():
            unknown = [path for path in round_.unknown if self._overlay.tail(path) is not None]
            if not unknown:
                self.cut = self._found()
                return []
            if round_.state is State.LATE:
                round_.state = State.ACLS
                round_.in_flight += 1
                return [ReadAcls.of(unknown)]
        for path in round_.unknown:
            self.tracker.mark(path)
        return self._begin()

    def holds(self) -> bool:
        """Whether all of D was read, none of it changed before, and quota counters are in the reply at Z alone."""
        return self.round.state in (State.LATE, State.ACLS) and not (self.round.unread or self.round.late_quotas)

    def _found(self) -> Cut:
        found = self.round
        return Cut(
            found.zxid,
            found.last_unannounced_zxid,
            found.growth,
            found.number,
            frozenset(found.unverified),
            found.stale_quotas,
        )

    def _needs_acl(self, path: bytes) -> bool:
        before = self._overlay.tail(path)
        return before is None or acl_of(before) == UNKNOWN

    def _note_recent(self, path: bytes) -> None:
        self._recent.pop(path, None)
        self._recent[path] = None
        if len(self._recent) > limits.CUT_RECENT:
            del self._recent[next(iter(self._recent))]

    def _has_unknown_size(self, path: bytes) -> bool:
        return self._overlay.size(path) is None and not is_quota_stats(path)

    def _size_of(self, path: bytes) -> int:
        if self._has_unknown_size(path):
            return self._limits.unknown_bytes
        return self._overlay.size(path) or limits.QUOTA_COUNTER_BYTES

    def _batches(self, paths: list[bytes]) -> Iterator[list[bytes]]:
        """The paths in their order, in batches bounded as far as sizes are known."""
        sized = ((path, len(path) + protocol.OP_BYTES, self._size_of(path)) for path in paths)
        return in_batches(sized, replace(self._limits, batch=limits.CUT_BATCH))
