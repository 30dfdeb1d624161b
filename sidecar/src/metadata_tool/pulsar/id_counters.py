"""Raises the counters of ledger ids in a tree, so that they know an id that the tree itself does not have."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from metadata_tool.pulsar import ids
from metadata_tool.pulsar.tree_facts import TreeSummary
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, inserted
from metadata_tool.zookeeper.stat import Stat


@dataclass(frozen=True)
class KnownIds:
    """The highest id that the counters must know. New znodes get this zxid and time (epoch ms)."""

    highest: int
    zxid: int
    time: int


def with_ids(nodes: Iterable[Node], known: KnownIds, summary: TreeSummary, chroot: str) -> Iterator[Node]:
    """The tree with counters that know these ids. `nodes` is in tree order, and so is the result.

    `summary` says which counters the tree has.
    """
    highest, zxid, time = known.highest, known.zxid, known.time
    counter = ids.counter_at(highest)
    new = Stat(zxid, zxid, time, time, 0, 0, 0, 0, zxid).pack()
    needed = [counter.path] if counter.high is None else [ids.LONG_ROOT, counter.path]
    missing = [path for path in needed if path not in summary.counters]
    raised = {f"{chroot}{counter.path}".encode()}
    if summary.flat and counter.high is None:
        raised.add(f"{chroot}{ids.FLAT_COUNTER}".encode())
    for node in inserted(nodes, (Node(f"{chroot}{path}".encode(), b"", OPEN_ACL_KEY, new) for path in missing)):
        yield _counting(node, counter, zxid) if node.path in raised else node


def _counting(node: Node, counter: ids.Counter, zxid: int) -> Node:
    stat = Stat.unpack(node.stat)
    if stat.cversion >= counter.next:
        return node
    return node._replace(stat=stat._replace(cversion=counter.next, pzxid=zxid).pack())
