"""A look at a whole tree as it streams by: the facts that a recovery needs, and what it would bring back."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from metadata_tool.pulsar.coverage import Coverage, CoverageCounter
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Reader
from metadata_tool.pulsar.tree_facts import FactCollector, TreeFacts
from metadata_tool.zookeeper.snapshot import Node


class ScanResult(NamedTuple):
    """What was found in a tree."""

    facts: TreeFacts
    coverage: Coverage


class TreeScan:
    """Sees every znode once, in tree order."""

    def __init__(self, layout: Layout) -> None:
        self._reader, self._collector, self._coverage = Reader(layout), FactCollector(layout), CoverageCounter(layout)
        self._topics = self._reader.root

    def see(self, node: Node) -> None:
        """Learn from one znode."""
        path = node[0]
        if not path.startswith(self._topics):
            self._collector.see_other(node)
            self._coverage.see_other(path)
        elif found := self._reader.read(path, node[1]):
            self._collector.see(found)
            self._coverage.see(found)

    def watch(self, encoded: Iterable[bytes]) -> Iterator[bytes]:
        """Pass encoded znodes on, and learn from them."""
        for node in encoded:
            self.see(Node.decode(node))
            yield node

    def findings(self) -> ScanResult:
        """What was found, once the tree has ended."""
        self._coverage.finish()
        return ScanResult(self._collector.facts, self._coverage.coverage)
