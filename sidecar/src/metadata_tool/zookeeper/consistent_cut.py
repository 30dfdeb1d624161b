"""Finds the zxid of a capture: one at which all that was read is consistent, once few changed znodes are left.

Each round starts with one multi-read. Z is the zxid of its reply, and what the reply holds is the state at Z. Let D be
the znodes that have changed and are not in the reply. D is read next ("late reads"). If no znode of D changes again
before its own late read, its value is the state at Z too, and the round succeeds. Otherwise the round fails, and its
reads count as any other reads. Recently changed znodes are likely to change again, so they are part of the first multi-
read.

One multi-read of all changed znodes would be simpler, but behind a slow network there are always more of them.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from metadata_tool.lifecycle import Every
from metadata_tool.zookeeper import limits, protocol, stat
from metadata_tool.zookeeper.acls import UNKNOWN, AclTable
from metadata_tool.zookeeper.bulk_reader import BulkReader, in_batches
from metadata_tool.zookeeper.errors import NeverConsistent
from metadata_tool.zookeeper.multi_read import require_gone
from metadata_tool.zookeeper.protocol import AclReply, DataReply, Refusal, Reply
from metadata_tool.zookeeper.snapshot import (
    OPEN_ACL_KEY,
    acl_of,
    encode_sliced,
    tail_of,
    version_of,
    with_acl,
)
from metadata_tool.zookeeper.spool import Overlay, OverlayEntry

log = logging.getLogger(__name__)


def is_quota_stats(path: bytes) -> bool:
    """Whether the server changes the data of this znode without an event, a transaction or a new stat (DataTree)."""
    return path.startswith(b"/zookeeper/quota/") and path.endswith(b"/zookeeper_stats")


class Cut(NamedTuple):
    """The capture's zxid, the last zxid without an event up to there, creates minus deletes up to there, and rounds.

    The ACL versions of `doubtful` znodes were read after that zxid, and may be later ones.
    """

    zxid: int
    last_unannounced_zxid: int
    growth: int
    rounds: int
    doubtful: frozenset[bytes]


@dataclass
class Round:
    """The state of one round. `asked` are the paths that it has read or requested."""

    zxid: int | None = None
    last_unannounced_zxid: int = 0
    growth: int = 0
    waiting: int = 0
    asked: set[bytes] = field(default_factory=set)
    unsound: bool = False
    stale: int = 0
    """How many quota counters do not fit into its first request."""
    unknown: dict[bytes, int] = field(default_factory=dict)
    """Znodes whose ACL is unknown in this version, with the key of an earlier ACL if there is one."""
    doubtful: set[bytes] = field(default_factory=set)


class ConsistentCut:
    """Repeats rounds until one succeeds."""

    def __init__(self, reader: BulkReader, table: AclTable, overlay: Overlay, quotas: dict[bytes, None]) -> None:
        """`quotas` are znodes that the server changes without an event. They are part of every first request."""
        self._reader = reader
        self._tracker = reader.tracker
        self._table = table
        self._overlay = overlay
        self._quotas = quotas
        self._recent: dict[bytes, None] = {}
        """Recently changed znodes, the latest last."""
        self._time_to_say = Every(limits.LOG_INTERVAL)
        self._seen: dict[bytes, bytes] = {}
        """Key and stat of znodes that were read here, so that unchanged ones are not written again."""

    def run(self) -> Cut:
        """Find the cut.

        Raises:
            NeverConsistent: the tree changes too fast.
            ZnodeUnreadable: the login cannot read a znode or its whole ACL.
            DecodeError: an answer is malformed.
            WireError: the connection broke.
        """
        for rounds in range(1, limits.CUT_ROUNDS + 1):
            round_ = Round()
            self._begin(round_)
            while round_.waiting:
                self._reader.wires.pump()
                if round_.zxid is None and round_.waiting < limits.CUT_REQUESTS_AHEAD:
                    self._read_late(round_)
            self._say_progress(rounds)
            holds = not (round_.unsound or self._tracker.broken or self._tracker.pending)
            if holds and round_.zxid is not None and self._settled(round_):
                if round_.stale:
                    log.warning(
                        "%d quota counters may date from just before that zxid. They do not fit into one request",
                        round_.stale,
                    )
                return Cut(round_.zxid, round_.last_unannounced_zxid, round_.growth, rounds, frozenset(round_.doubtful))
            for path in round_.unknown:
                self._tracker.mark(path)
        raise NeverConsistent(limits.CUT_ROUNDS)

    def _say_progress(self, rounds: int) -> None:
        if self._time_to_say():
            changed = len(self._tracker.broken)
            log.info("no consistent point yet after %d rounds, %d znodes changed during the last one", rounds, changed)

    def _begin(self, round_: Round) -> None:
        """Read quota counters, changed and recently changed znodes in one multi-read, whose zxid is Z."""
        wanted = dict.fromkeys([*self._quotas, b"", *self._tracker.dirty, *reversed(self._recent)])
        first = next(self._batches(sorted(wanted, key=self._has_unknown_size)))
        round_.stale = len(self._quotas.keys() - set(first))

        def arrived(zxid: int) -> None:
            round_.zxid = zxid
            round_.last_unannounced_zxid, round_.growth = self._tracker.last_unannounced_zxid, self._tracker.growth
            self._tracker.await_late(self.late())
            self._read_late(round_)

        self._read(first, round_, arrived=arrived)

    def _read_late(self, round_: Round) -> None:
        """Read what has changed by now and was not requested in this round."""
        late = [path for path in self.late() if path not in round_.asked]
        for batch in self._batches(sorted(late, key=self._has_unknown_size)):
            self._read(batch, round_, late=True)

    def late(self) -> list[bytes]:
        """Changed znodes that were not read since. When the reply at Z arrives, this is D."""
        return list(self._tracker.dirty)

    def _read(
        self,
        paths: list[bytes],
        round_: Round,
        arrived: Callable[[int], None] = lambda _: None,
        *,
        late: bool = False,
    ) -> None:
        round_.asked.update(paths)
        unknown = [path for path in paths if self._needs_acl(path)]

        def on_acls(acls: list[AclReply]) -> None:
            for path, acl in zip(unknown, acls, strict=True):
                self._learn(path, acl, round_)
            round_.waiting -= 1

        def on_replies(zxid: int, replies: list[Reply]) -> None:
            for path, reply in zip(paths, replies, strict=True):
                if isinstance(reply, Refusal):
                    require_gone(path, reply)
                    self._forget(path, round_)
                elif isinstance(reply, DataReply):
                    self._keep(path, reply, zxid, round_, late=late)
            round_.waiting -= 1

        round_.waiting += 1
        self._reader.multi_read(paths, on_replies, arrived=arrived)
        if unknown:
            round_.waiting += 1
            self._reader.ask_acls_here(unknown, on_acls)  # after the multi-read, because late reads must come soon

    def _forget(self, path: bytes, round_: Round) -> None:
        self._overlay.remove(path)
        for known in (self._quotas, self._recent, round_.unknown):
            known.pop(path, None)

    def _keep(self, path: bytes, reply: DataReply, zxid: int, round_: Round, *, late: bool) -> None:
        if is_quota_stats(path):
            self._quotas[path] = None
            round_.unsound |= late
        before = self._before(path)
        key = OPEN_ACL_KEY if stat.is_ephemeral(reply.stat) else UNKNOWN
        node = encode_sliced(path, reply.data, key, stat.stored_stat(reply.stat))
        if key == UNKNOWN and before and version_of(before) == version_of(node):
            key = acl_of(before)
            node = with_acl(node, key)
        if key == UNKNOWN:
            round_.unknown[path] = (
                acl_of(before) if before and version_of(before)[0] == version_of(node)[0] else UNKNOWN
            )
        else:
            round_.unknown.pop(path, None)
        if late and not self._holds(node, before, round_):
            round_.doubtful.add(path)
        self._put(path, OverlayEntry(zxid, node), before)

    def _learn(self, path: bytes, reply: AclReply, round_: Round) -> None:
        """Take the ACL of a znode that was read just before."""
        if path in round_.unknown and (change := self._overlay.get(path)):
            key = self._table.of_stored(path, change.node, reply)
            if key != UNKNOWN:
                self._put(path, OverlayEntry(change.zxid, with_acl(change.node, key)), None)
                del round_.unknown[path]

    def _put(self, path: bytes, change: OverlayEntry, before: bytes | None) -> None:
        tail = tail_of(change.node)
        if tail != before:
            self._overlay.put(path, change)
            self._note_recent(path)
        elif is_quota_stats(path) and (known := self._overlay.get(path)) and known.node != change.node:
            self._overlay.put(path, change)
        else:  # the same mzxid, so the same data
            self._overlay.seen_again(path, change.zxid)
        self._seen[path] = tail

    def _before(self, path: bytes) -> bytes | None:
        """Key and stat of a znode when it was last read again, None if it was not."""
        if self._overlay.size(path) is None:
            return None
        if path not in self._seen and (change := self._overlay.get(path)):
            self._seen[path] = tail_of(change.node)
        return self._seen[path]

    def _settled(self, round_: Round) -> bool:
        """Read the unknown ACLs. False if one of them cannot be read, not even in another version.

        If the version has changed since, or the znode was deleted, the ACL is doubtful.
        """
        if not round_.unknown:
            return True
        paths, replies = list(round_.unknown), list[AclReply]()
        self._reader.ask_acls_here(paths, replies.extend)
        self._reader.wires.until(lambda: len(replies) == len(paths))
        for path, reply in zip(paths, replies, strict=True):
            change = self._overlay.get(path)
            if change is None:
                continue
            key = self._table.of_stored(path, change.node, reply)
            if key == UNKNOWN:
                key = self._table.any_version(path, reply, round_.unknown[path])
                round_.doubtful.add(path)
            if key == UNKNOWN:
                return False
            self._put(path, OverlayEntry(change.zxid, with_acl(change.node, key)), None)
        return True

    def _holds(self, node: bytes, before: bytes | None, round_: Round) -> bool:
        """Whether a late read shows the ACL version of Z.

        A version never decreases. So it does if the ACL was never set, if the version is the same as before, or if
        every zxid since Z had an event.
        """
        same = before is not None and version_of(before) == version_of(node)
        return (
            same or version_of(node)[1] == stat.NEVER_SET or self._tracker.last_unannounced_zxid <= (round_.zxid or 0)
        )

    def _needs_acl(self, path: bytes) -> bool:
        before = self._before(path)
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
            return self._reader.limits.unknown_bytes
        return self._overlay.size(path) or limits.QUOTA_COUNTER_BYTES

    def _batches(self, paths: list[bytes]) -> Iterator[list[bytes]]:
        """The paths in their order, in batches bounded as far as sizes are known."""
        sized = ((path, len(path) + protocol.OP_BYTES, self._size_of(path)) for path in paths)
        return in_batches(sized, replace(self._reader.limits, batch=limits.CUT_BATCH))
