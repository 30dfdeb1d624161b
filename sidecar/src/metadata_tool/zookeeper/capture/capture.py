"""The phases of a capture, in their order.

A watch reports every change since before the first read. A walk over the tree takes time, so znodes that changed
meanwhile are read again, until all is consistent at the zxid of one reply. docs/capture.md has the reasoning.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.acl_verifier import unverified_znodes
from metadata_tool.zookeeper.capture.bulk_reader import BulkReader, Part, Reading
from metadata_tool.zookeeper.capture.captured_tree import CapturedTree
from metadata_tool.zookeeper.capture.chroot import FindChroot
from metadata_tool.zookeeper.capture.consistent_cut import Cut
from metadata_tool.zookeeper.capture.files import CaptureFiles
from metadata_tool.zookeeper.capture.phase import Phase
from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.capture.scope import Scope
from metadata_tool.zookeeper.capture.spool import PathQueue, merged
from metadata_tool.zookeeper.capture.watch import Watch
from metadata_tool.zookeeper.capture.znode_count import ZnodeCount
from metadata_tool.zookeeper.errors import ChrootDeleted
from metadata_tool.zookeeper.limits import ReadLimits
from metadata_tool.zookeeper.snapshot import printable, split

Children = Sequence[tuple[bytes, list[bytes]]]
"""Paths, and the sorted names of their children."""


@dataclass
class Capture:
    """One capture. Run each of `phases` to its end before the next one. Then `result` has the tree.

    `connections` are those for ACLs. ACLs in the cache are not read again. Then the cache holds those of this capture.
    """

    files: CaptureFiles
    scope: Scope = field(default_factory=Scope)
    limits: ReadLimits = field(default_factory=ReadLimits)
    connections: int = 0
    cache: AclCache | None = None
    rules: Rules = ALL_RULES

    def __post_init__(self) -> None:
        self.tracker = self.rules.tracker(self.scope)
        self.unproven: frozenset[bytes] = frozenset()
        self._table = self.rules.table()
        self._reading = Reading(self.tracker, self._table, self.limits, self.connections)
        self._quotas: dict[bytes, None] = {}
        self._first_zxid = 0
        self._counted = 0
        self.cut: Cut | None = None

    def phases(self) -> Iterator[Phase]:
        """Watch, walk, catch up, cut, count, verify ACLs. If some ACLs are unproven, the last four come once more.

        Raises:
            ChrootDeleted: the chroot did not exist at the zxid of the cut.
        """
        watch = Watch(self.tracker)
        yield watch
        self._first_zxid = watch.first_zxid or 0
        if self.scope.chroot:
            yield FindChroot(self.tracker, self.scope.chroot)
        yield from self.walk()
        yield from self._cut_and_verify(0)
        if self.unproven and self.cut:
            for path in self.unproven:
                self.tracker.mark(path)
            yield from self._cut_and_verify(self.cut.zxid)

    def result(self, server_version: str, seconds: dict[str, float]) -> CapturedTree:
        """The tree, after all phases. `seconds` is how long they took, by name."""
        assert self.cut
        return self.rules.result(
            server_version=server_version,
            first_zxid=self._first_zxid,
            zxid=self.cut.zxid,
            acls=self._table.encoded(),
            unproven=self.unproven,
            rounds=self.cut.rounds,
            seconds=seconds,
            counted=self._counted,
            tree=lambda: merged(self.files.spool, self.files.overlay),
            is_counted=self.scope.counts,
        )

    def progress(self) -> str:
        """What to say while it takes long."""
        dirty = len(self.tracker.dirty)
        return f"captured {self.files.spool.nodes} znodes so far, {dirty} have changed since they were read"

    def walk(self) -> Iterator[Phase]:
        """Read the tree level by level into the spool."""
        below = self.files.queue(0)
        below.put([b""])
        for depth in count():
            level, below = below, self.files.queue(depth + 1)
            self.files.spool.begin_level()
            if self.cache:
                self.cache.begin_level(depth)

            def keep(part: Part, queue: PathQueue = below) -> None:
                self._note(part)
                self.files.spool.append(part.zxid, part.content, part.nodes)
                queue.put_below(self._in_scope(part.lists))

            yield BulkReader(self._reading, level.drain(), keep, name="walk", children=True, cache=self.cache)
            if below.empty:
                break
        if self.cache:
            self.cache.learn(self.files.spool, self._table)

    def _in_scope(self, lists: Children) -> Children:
        """The lists without znodes that do not belong to the capture."""
        if not self.scope.chroot:
            return lists
        return [(path, [name for name in names if self.scope.includes(path + b"/" + name)]) for path, names in lists]

    def _cut_and_verify(self, verified_at_zxid: int) -> Iterator[Phase]:
        if self.scope.chroot:
            self.tracker.mark(self.scope.chroot)  # the overlay then tells whether it exists
        yield from self._catch_up()
        cut = self.rules.cut(self.tracker, self._table, self.files.overlay, self._quotas, self.limits)
        yield cut
        assert cut.cut
        self.cut = cut.cut
        self._require_chroot()
        count_ = ZnodeCount(self.tracker, self.scope.chroot, self.cut)
        yield count_
        self._counted = count_.counted or 0
        candidates = unverified_znodes(self.cut, verified_at_zxid, self.files.spool, self.files.overlay)
        verifier = self.rules.verifier(self.tracker, candidates, self.cut.unverified, self.limits)
        yield verifier
        self.unproven = frozenset(verifier.unverified)

    def _require_chroot(self) -> None:
        """A chroot that came back after the cut has a count again, but is not part of the tree."""
        if self.scope.chroot and self.files.overlay.size(self.scope.chroot) is None:
            raise ChrootDeleted(printable(self.scope.chroot))

    def _catch_up(self) -> Iterator[Phase]:
        """Read changed znodes again until few are left or it no longer helps, at least once so that sizes are known."""
        before = math.inf
        for _ in range(limits.CATCH_UP_ROUNDS):
            number = len(self.tracker.dirty)
            few, hopeless = number <= limits.CATCH_UP_FEW, number >= before * limits.CATCH_UP_GAIN
            if not number or (before < math.inf and (few or (hopeless and number <= limits.CATCH_UP_MANY))):
                return
            before = number
            yield BulkReader(self._reading, list(self.tracker.dirty), self._change, name="catch up", children=False)

    def _note(self, part: Part) -> None:
        for path in part.unknown:
            self.tracker.mark(path)
        self._quotas.update(dict.fromkeys(filter(self.rules.is_quota_stats, part.paths)))

    def _change(self, part: Part) -> None:
        self._note(part)
        nodes = dict(split(part.content)[0])
        for path in part.paths:
            if (node := nodes.get(path)) is None:
                self.files.overlay.remove(path)
            else:
                self.files.overlay.put(path, part.zxid, node)
