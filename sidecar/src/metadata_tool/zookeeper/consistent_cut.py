"""Closing: the moment that a capture is of, once few znodes are marked.

Z is the zxid of a reply. What that reply brought is so at Z. What was marked still, D, is read next: if nothing of D is
marked again before its own read, its values were so at Z as well. If something is, the attempt has failed, and what was
read counts as any other read. What changed lately is likely to change again, so each first reply brings it, too.
(One reply for everything that is marked would do, too, and starves behind a slow network.)
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
    """Whether the server changes this znode's data without an event, a transaction or another stat (DataTree)."""
    return path.startswith(b"/zookeeper/quota/") and path.endswith(b"/zookeeper_stats")


class Cut(NamedTuple):
    """The capture is of `zxid`; the last silent zxid up to there; creates less deletes up to there; rounds it took.

    The ACL versions of the doubtful were read after it, and may be later ones.
    """

    zxid: int
    last_unannounced_zxid: int
    growth: int
    rounds: int
    doubtful: frozenset[bytes]


@dataclass
class Round:
    """One round, from its first request on."""

    zxid: int | None = None
    last_unannounced_zxid: int = 0
    growth: int = 0
    waiting: int = 0
    asked: set[bytes] = field(default_factory=set)
    unsound: bool = False
    stale: int = 0
    """Counters of quotas that its first request has no room for."""
    unknown: dict[bytes, int] = field(default_factory=dict)
    """Znodes whose ACL is not known in the version that they had, and the key of an earlier one, if that is."""
    doubtful: set[bytes] = field(default_factory=set)


class ConsistentCut:
    """Closes again and again, until it holds."""

    def __init__(self, reader: BulkReader, table: AclTable, overlay: Overlay, quotas: dict[bytes, None]) -> None:
        """`quotas` are znodes that the server changes without an event: they are part of every first reply."""
        self._reader = reader
        self._tracker = reader.tracker
        self._table = table
        self._overlay = overlay
        self._quotas = quotas
        self._hot: dict[bytes, None] = {}
        """What changed lately, the latest last."""
        self._time_to_say = Every(limits.LOG_INTERVAL)
        self._seen: dict[bytes, bytes] = {}
        """Key and stat of what was read here, so that what is still the same is not written again."""

    def run(self) -> Cut:
        """Close.

        Raises:
            NeverConsistent: the tree changes too fast.
            ZnodeUnreadable: a znode may not be read, or its ACL comes back masked.
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
                    log.warning("%d counters of quotas are of shortly before: they fit into no request", round_.stale)
                return Cut(round_.zxid, round_.last_unannounced_zxid, round_.growth, rounds, frozenset(round_.doubtful))
            for path in round_.unknown:
                self._tracker.mark(path)
        raise NeverConsistent(limits.CUT_ROUNDS)

    def _say_progress(self, rounds: int) -> None:
        if self._time_to_say():
            log.info("not closed yet, after %d rounds: %d znodes changed meanwhile", rounds, len(self._tracker.broken))

    def _begin(self, round_: Round) -> None:
        """Read what changes unseen, is marked, or is hot, all in one reply; its zxid is the one to close at."""
        wanted = dict.fromkeys([*self._quotas, b"", *self._tracker.dirty, *reversed(self._hot)])
        first = next(self._portions(sorted(wanted, key=self._is_stranger)))
        round_.stale = len(self._quotas.keys() - set(first))

        def arrived(zxid: int) -> None:
            round_.zxid = zxid
            round_.last_unannounced_zxid, round_.growth = self._tracker.last_unannounced_zxid, self._tracker.growth
            self._tracker.await_late(self._late())
            self._read_late(round_)

        self._read(first, round_, arrived=arrived)

    def _read_late(self, round_: Round) -> None:
        """Ask for what is marked by now, and was not asked for since the first request."""
        late = [path for path in self._late() if path not in round_.asked]
        for portion in self._portions(sorted(late, key=self._is_stranger)):
            self._read(portion, round_, late=True)

    def _late(self) -> list[bytes]:
        """What has changed and was not read since: when the reply at Z has come, that is D."""
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
            self._reader.ask_acls_here(unknown, on_acls)  # after it, for what is read late must be read soon

    def _forget(self, path: bytes, round_: Round) -> None:
        self._overlay.remove(path)
        for known in (self._quotas, self._hot, round_.unknown):
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
        """The ACL of a znode that was read just before."""
        if path in round_.unknown and (change := self._overlay.get(path)):
            key = self._table.of_stored(path, change.node, reply)
            if key != UNKNOWN:
                self._put(path, OverlayEntry(change.zxid, with_acl(change.node, key)), None)
                del round_.unknown[path]

    def _put(self, path: bytes, change: OverlayEntry, before: bytes | None) -> None:
        tail = tail_of(change.node)
        if tail != before:
            self._overlay.put(path, change)
            self._heat(path)
        elif is_quota_stats(path) and (known := self._overlay.get(path)) and known.node != change.node:
            self._overlay.put(path, change)
        else:  # the same mzxid: the same data
            self._overlay.seen_again(path, change.zxid)
        self._seen[path] = tail

    def _before(self, path: bytes) -> bytes | None:
        """Key and stat of what was read of a znode again before."""
        if self._overlay.size(path) is None:
            return None
        if path not in self._seen and (change := self._overlay.get(path)):
            self._seen[path] = tail_of(change.node)
        return self._seen[path]

    def _settled(self, round_: Round) -> bool:
        """Ask for the ACLs that are not known: of another version by now, or gone, an ACL is one of before or after."""
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
        """Whether a znode that was read late had this ACL version when it was closed.

        It never goes back: so none at all, or the same as before, or nothing happened since that no event told.
        """
        same = before is not None and version_of(before) == version_of(node)
        return (
            same or version_of(node)[1] == stat.NEVER_SET or self._tracker.last_unannounced_zxid <= (round_.zxid or 0)
        )

    def _needs_acl(self, path: bytes) -> bool:
        before = self._before(path)
        return before is None or acl_of(before) == UNKNOWN

    def _heat(self, path: bytes) -> None:
        self._hot.pop(path, None)
        self._hot[path] = None
        if len(self._hot) > limits.CUT_RECENT:
            del self._hot[next(iter(self._hot))]

    def _is_stranger(self, path: bytes) -> bool:
        return self._overlay.size(path) is None and not is_quota_stats(path)

    def _size_of(self, path: bytes) -> int:
        if self._is_stranger(path):
            return self._reader.limits.unknown_bytes
        return self._overlay.size(path) or limits.QUOTA_COUNTER_BYTES

    def _portions(self, paths: list[bytes]) -> Iterator[list[bytes]]:
        """In their order, each bounded, as far as sizes are known."""
        sized = ((path, len(path) + protocol.OP_BYTES, self._size_of(path)) for path in paths)
        return in_batches(sized, replace(self._reader.limits, batch=limits.CUT_BATCH))
