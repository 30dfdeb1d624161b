"""Scans a tree once: for the facts that a recovery needs, its coverage, and where Pulsar's metadata is."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from metadata_tool.pulsar.coverage import Coverage, CoverageCounter
from metadata_tool.pulsar.limits import DEFAULT_LIMITS, ScanLimits
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.placement import Placement, PlacementFinder
from metadata_tool.pulsar.topics import Cursor, Topic, TopicDecoder, Undecodable
from metadata_tool.pulsar.tree_facts import FactCollector, TreeFacts
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper.stat import MTIME, MZXID


class ScanResult(NamedTuple):
    """The facts and the coverage of a tree, and where it has the parts of Pulsar's metadata."""

    facts: TreeFacts
    coverage: Coverage
    placement: Placement
    kept: Mapping[bytes, Node]
    """The znodes that the scan was asked to keep, as far as they are in the tree, by their paths."""


class Observer(Protocol):
    """Takes what a scan comes across, in tree order."""

    def add_other(self, node: Node) -> None:
        """Take a znode that is not below the managed ledgers."""

    def add(self, found: Topic | Cursor | Undecodable) -> None:
        """Take a topic or a cursor."""


class TreeScan:
    """Takes every znode of a tree once, in tree order."""

    def __init__(
        self,
        layout: Layout,
        limits: ScanLimits = DEFAULT_LIMITS,
        keep: Collection[bytes] = (),
        observer: Observer | None = None,
    ) -> None:
        """`keep` are the paths of znodes that the result has as they are."""
        self._observer = observer
        self._keep, self._kept = frozenset(keep), dict[bytes, Node]()
        self._decoder = TopicDecoder(layout)
        self._facts, self._coverage = FactCollector(layout, limits), CoverageCounter(layout, limits)
        self._placement = PlacementFinder(layout)
        self._topics = self._decoder.root
        self._newest = bytes(8), bytes(8)
        """mzxid and mtime of the znode that was created or set last, encoded."""

    def add(self, node: Node) -> None:
        """Scan the next znode."""
        path, stat = node[0], node[3]
        if path in self._keep:
            self._kept[path] = node
        if stat[MZXID] > self._newest[0]:
            self._newest = stat[MZXID], stat[MTIME]
        if not path.startswith(self._placement.skip):
            self._placement.add(path, node[1])
        if not path.startswith(self._topics):
            self._facts.add_other(node)
            self._coverage.add_other(path)
            if self._observer:
                self._observer.add_other(node)
        elif found := self._decoder.decode(path, node[1]):
            self._facts.add(found)
            self._coverage.add(found)
            if self._observer:
                self._observer.add(found)
        else:
            self._coverage.coverage.unknown.add(path, node[1])

    def passed_through(self, encoded: Iterable[bytes]) -> Iterator[bytes]:
        """The same encoded znodes. Each is scanned before the caller gets it."""
        for node in encoded:
            self.add(Node.decode(node))
            yield node

    def result(self) -> ScanResult:
        """Everything that was found. Call it at the end of the tree."""
        self._coverage.finish()
        self._facts.facts.last_change = int.from_bytes(self._newest[1], signed=True)
        return ScanResult(self._facts.facts, self._coverage.coverage, self._placement.placement, self._kept)
