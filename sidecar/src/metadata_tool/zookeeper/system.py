"""The znodes that a server makes before it has any other (DataTree's constructor), and that loading a snapshot drops.

Without `/zookeeper/quota` quotas break later, and without `/zookeeper/config` members differ in it. What the saved
ensemble's configuration was says nothing of the new one: each member fills in its own.
"""

import heapq
from collections.abc import Iterable, Iterator

from metadata_tool.zookeeper.jute import Stat
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key

CONFIG = b"/zookeeper/config"
NEW = Stat(0, 0, 0, 0, 0, 0, 0, 0, 0).pack()


def as_new(nodes: Iterable[Node], read_only: int) -> Iterator[Node]:
    """A tree, in tree order, with all of them; `read_only` is the key of an ACL that lets anyone read."""
    others = (node for node in nodes if node.path != CONFIG)
    own = [Node(path, b"", OPEN_ACL_KEY, NEW) for path in (b"/zookeeper", b"/zookeeper/quota")]
    own = sorted([*own, Node(CONFIG, b"", read_only, NEW)], key=_key)
    last = None
    for node in heapq.merge(others, own, key=_key):  # of equals, what was saved comes first
        if node.path != last:
            yield node
        last = node.path


def _key(node: Node) -> bytes:
    return tree_key(node.path)
