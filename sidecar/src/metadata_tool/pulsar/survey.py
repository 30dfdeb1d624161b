"""A look at a whole tree as it streams by: the facts that a recovery needs, and what it would bring back."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from metadata_tool.pulsar.coverage import Coverage, Surveyor
from metadata_tool.pulsar.facts import Facts, Reading
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Reader
from metadata_tool.zookeeper.snapshot import Node


class Findings(NamedTuple):
    """What was found in a tree."""

    facts: Facts
    coverage: Coverage


class Survey:
    """Sees every znode once, in tree order."""

    def __init__(self, layout: Layout) -> None:
        self._reader, self._reading, self._surveyor = Reader(layout), Reading(layout), Surveyor(layout)
        self._topics = self._reader.root

    def see(self, node: Node) -> None:
        """Learn from one znode."""
        path = node[0]
        if not path.startswith(self._topics):
            self._reading.see_other(node)
            self._surveyor.see_other(path)
        elif found := self._reader.read(path, node[1]):
            self._reading.see(found)
            self._surveyor.see(found)

    def watch(self, encoded: Iterable[bytes]) -> Iterator[bytes]:
        """Pass encoded znodes on, and learn from them."""
        for node in encoded:
            self.see(Node.decode(node))
            yield node

    def findings(self) -> Findings:
        """What was found, once the tree has ended."""
        self._surveyor.finish()
        return Findings(self._reading.facts, self._surveyor.coverage)
